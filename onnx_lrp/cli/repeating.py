"""One run of ``onnx-lrp verify``: hashes first, then the same computation, then what differs."""

from __future__ import annotations

import hashlib
import json
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..engines.recipe import hash_of_model
from ..errors import InputError
from ..explainer import Explainer
from ..explanation.record import canonical
from ..pictures.preprocessing import Preprocessing
from ..pictures.reading import Picture
from ..recording.differing import differences
from ..recording.reading import read_record
from ..recording.repeating import recorded_explainer, repeated
from ..recording.saying import Difference
from ..recording.sources import of_model, of_shapes, of_versions
from ..text import printable
from ..writing import shown
from .feeding import Batch, Feeder, read_files
from .holding import held
from .keeping import record_of_batches
from .targeting import meant
from .texts import Texts
from .words import target


def verified(args: Namespace) -> tuple[list[str], bool]:
    """What to print, and whether all is equal.

    Raises:
        OnnxLrpError: the record, the model or the data cannot be read, or do not go together.
    """
    record = read_record(Path(args.record))
    model, sha256, weights = hash_of_model(Path(args.model), record["model"].get("sha256_of") == "message")
    found = of_model(record, sha256, weights)
    if found:
        return _verdict(args, found, [])
    explainer = recorded_explainer(record, model, held(args))
    preprocessing = _preprocessing(record)
    batches = _batches(args, record, explainer, preprocessing)
    if found := of_shapes(record, [batch.feeds for batch in batches]):
        return _verdict(args, found, [])
    region = None if args.target is None else meant(target(args.target), None)
    explanations = repeated(record, explainer, [batch.feeds for batch in batches], region)
    ranks = len(explanations) // len(batches)
    grouped = [explanations[i * ranks : (i + 1) * ranks] for i in range(len(batches))]
    here = json.loads(canonical(record_of_batches(batches, grouped, preprocessing)))
    found = [*differences(record, here), *_pictures(record, Path(args.record).parent)]
    return _verdict(args, found, of_versions(record, here))


def _verdict(args: Namespace, found: list[Difference], versions: list[str]) -> tuple[list[str], bool]:
    notes = [f"note: {line}" for line in versions]
    beyond = [difference for difference in found if not 0 <= difference.drift <= args.tolerance or not args.tolerance]
    lines = [f"  {difference}" for difference in found]
    name = shown(args.record)
    if not found:
        return [f"{name}: equal", *notes], True
    if not beyond:
        return [f"{name}: equal within {args.tolerance:g}", *lines, *notes], True
    return [
        f"{name}: not equal, {len(found)} differences" if len(found) > 1 else f"{name}: not equal",
        *lines,
        *notes,
    ], False


def _preprocessing(record: Mapping[str, Any]) -> Preprocessing | None:
    given = record.get("preprocessing")
    if given is None:
        return None
    try:
        return Preprocessing.of(given)
    except InputError:
        raise InputError("the record's preprocessing makes no sense; make the record again") from None


def _batches(
    args: Namespace, record: Mapping[str, Any], explainer: Explainer, preprocessing: Preprocessing | None
) -> list[Batch]:
    """The inputs, as the record says that pictures become inputs."""
    texts = Texts.read(args)
    files = read_files(args.inputs, bool(args.tokenizer))
    if preprocessing is None and any(isinstance(file.content, Picture) for file in files):
        raise InputError("the record is of arrays, not of pictures; give the .npy or .npz that it was made of")
    inputs = explainer.prepared.inputs
    feeder = Feeder(inputs, preprocessing or Preprocessing(), explainer.prepared.source)
    most = max(len(one["samples"]) for one in record["explanations"])  # a report explains samples one by one
    return feeder.batches(texts.fed(files, inputs), most)


def _pictures(record: Mapping[str, Any], folder: Path) -> Iterator[Difference]:
    """Those beside the record that are not what it says."""
    for name, known in (record.get("pictures") or {}).items():
        path = folder / Path(name).name
        if path.is_file() and (here := hashlib.sha256(path.read_bytes()).hexdigest()) != known:
            yield Difference(
                f"picture {printable(name)}", f"SHA-256 {str(known)[:16]}… in the record, {here[:16]}… here"
            )
