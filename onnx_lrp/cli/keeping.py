"""``onnx-lrp explain --record``, and what every heatmap carries in its metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ..explanation import Explanation
from ..explanation.record import as_bytes, canonical, record_of, record_sha256
from ..pictures.pngtext import with_text
from ..pictures.preprocessing import Preprocessing
from ..writing import Outputs, shown
from .feeding import Batch
from .former import QUESTION
from .naming import OutputPaths


def keep(
    content: Mapping[str, Any], targets: Mapping[Path, list[int]], question: str, outputs: Outputs, record: str | None
) -> None:
    """Put a record's hash, the composite, the targets and the question's hash into every PNG that will be written, and
    write the record behind them, if it is asked for.
    """
    hashes: dict[str, str] = {}
    for path in outputs.paths:
        if path.suffix.lower() == ".png":
            outputs.then(path, partial(_mark, _essentials(content, targets.get(path, []), question), path.name, hashes))
    if record:
        outputs.add(Path(record), partial(_write, content, hashes))


def record_of_batches(
    batches: Sequence[Batch], found: Sequence[Sequence[Explanation]], preprocessing: Preprocessing | None,
    labels: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """The record of a run; ``preprocessing`` is None without pictures."""
    titles = [
        [sample.title for sample in batch.counted(len(ranks[0]))] for batch, ranks in zip(batches, found) for _ in ranks
    ]
    prepared = None if preprocessing is None else asdict(preprocessing)
    explanations = [e for ranks in found for e in ranks]
    return record_of(explanations, names=titles, labels=labels, preprocessing=prepared)


def _essentials(content: Mapping[str, Any], targets: list[int], question: str) -> str:
    essentials = {
        "model_sha256": content["model"]["sha256"], "record_sha256": record_sha256(content),
        "composite": content["settings"]["composite"] or content["composite"], "targets": targets,
        QUESTION: question,
    }  # fmt: skip
    return json.dumps(essentials, sort_keys=True, ensure_ascii=False)


def targets_by_picture(
    batches: Sequence[Batch], found: Sequence[Sequence[Explanation]], names: OutputPaths
) -> dict[Path, list[int]]:
    """Which classes a picture shows, by its path."""
    there: dict[Path, list[int]] = {}
    for batch, ranks in zip(batches, found):
        for i, sample in enumerate(batch.counted(len(ranks[0]))):
            for name in names.inputs:
                for target in [int(explanation.target[i]) for explanation in ranks]:
                    there.setdefault(names.picture(sample, name, target), []).append(target)
    return there


def _mark(text: str, name: str, hashes: dict[str, str], made: Path) -> None:
    content = with_text(made.read_bytes(), text)
    made.write_bytes(content)
    hashes[shown(name)] = hashlib.sha256(content).hexdigest()


def _write(content: Mapping[str, Any], pictures: Mapping[str, str], made: Path) -> None:
    made.write_bytes(as_bytes(canonical({**content, "pictures": pictures})))
