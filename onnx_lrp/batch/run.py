"""The public face: ``explain_all(model, inputs, out)`` explains very many inputs, and goes on where it was stopped."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from ..composites import Composite
from ..errors import InputError, TargetError
from ..explainer import Explainer
from ..model.loading import Source
from ..pictures.labels import index_of
from ..targets import AnyTarget, Contrast, Rivals, Seed, as_seed
from .asked import Run
from .conducting import conduct
from .folder import Folder
from .opened import BatchResult, open_batch
from .progress import ProgressCallback
from .selecting import Selection
from .sources.opening import source_of
from .sources.paths import STDIN


def explain_all(
    model: Source | Explainer,
    inputs: Any,
    out: str | os.PathLike[str],
    *,
    target: AnyTarget | str = None,
    seed: Seed | None = None,
    against: Rivals = None,
    baseline: float | None = None,
    save: str | Iterable[str] = ("maps",),
    precision: Literal["float16", "float32", "int8"] = "float16",
    whole: bool = False,
    top: int = 5,
    batch: int | Literal["auto"] = "auto",
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    only: str | None = None,
    sample: int | None = None,
    random_seed: int = 0,
    column: str | None = None,
    label: str | None = None,
    target_column: str | None = None,
    features: Sequence[str] | None = None,
    progress: ProgressCallback | None = None,
    composite: str | Composite = "default",
    **options: Any,
) -> BatchResult:
    """Explain every input, and keep maps and an index in a folder; called again, it goes on where it was stopped.

    An input that cannot be explained costs a row with its error. What is stored does not depend on how often the run
    was stopped, nor on the number of workers.

    Args:
        model: path, bytes, ``onnx.ModelProto``, or an :class:`onnx_lrp.Explainer`.
        inputs: a folder, a pattern, a list file, ``"-"`` (paths from standard input), .npy, .npz, CSV, Parquet or .tar,
            or several of a kind; or an array with one row per input, or a dict of these.
        out: the folder; made if it is missing.
        target: as for a call of the Explainer, the same for all inputs without a target of their own.
        seed: as for a call.
        against: as for a call.
        baseline: as for a call.
        save: what is kept beside the index: ``"maps"``, ``"png"``, ``"figure"``, ``"scores"``, ``"topk"``.
        precision: of the maps: ``"float16"``, ``"float32"`` or ``"int8"``.
        whole: keep the channels of pictures apart in the maps; else they are summed.
        top: how many classes ``"topk"`` keeps.
        batch: how many inputs the model is given at once.
        workers: processes; by default this one alone.
        engine: ``"local"``, or ``"ray"`` for the workers of a cluster.
        only: ``"wrong"`` (of the inputs with a label, those whose prediction is another class) or ``"class=NAME"``
            (those of which this class is predicted); it takes a first pass over all inputs.
        sample: so many inputs at random, of those that ``only`` leaves.
        random_seed: of the sample.
        column: of a table or an archive, what holds the inputs.
        label: where the true class of each input stands, ``"folder"`` for the name of its folder.
        target_column: where the target of each input stands.
        features: the columns or arrays that are inputs.
        progress: is called with how many are done, of how many, how many failed, and the phase.
        composite: as for the Explainer.
        options: of the Explainer; none may be given beside an Explainer.

    Returns:
        The opened folder.

    Raises:
        OutputError: the folder holds something else or another run, or it is being written.
        InputError: the inputs cannot be listed, or are others than before.
        KeyboardInterrupt: after Ctrl-C, once the blocks under way are finished; a second one ends it at once.
        OnnxLrpError: as for the Explainer; what is done stays done.
    """
    if isinstance(model, Explainer):
        if options or composite != "default":
            raise InputError(f"an Explainer has its own {', '.join(options) or 'composite'}; give it there")
        explainer = model
    else:
        explainer = Explainer(model, composite, **options)
    order = {
        "target": target_for_all(target, explainer.labels),
        "seed": as_seed(explainer.composite.seed_for(seed, against, baseline), against, baseline),
        "save": frozenset((save,) if isinstance(save, str) else save),
        "precision": precision, "whole": whole, "top": top,
    }  # fmt: skip
    if not isinstance(order["seed"], str | Contrast):
        raise TargetError("a run takes no array as seed, but a word such as 'logit'")
    source = source_of(inputs, column=column, label=label, target=target_column, features=features)
    run = Run(
        explainer, source, Folder(Path(out)), order, None if batch == "auto" else batch,
        Selection(only, sample, random_seed), workers, engine, from_pipe(inputs), progress or (lambda *_: None),
    )  # fmt: skip
    conduct(run)
    return open_batch(out)


def target_for_all(target: AnyTarget | str, labels: Sequence[str]) -> AnyTarget:
    """The target that all inputs share; of a class's name its index.

    Raises:
        TargetError: no such class, or one target per sample.
    """
    if isinstance(target, str):
        return index_of(target, labels)
    if isinstance(target, list) or getattr(target, "ndim", None):
        raise TargetError("a run takes one target for all inputs; give each its own in a table (target_column)")
    return target


def from_pipe(inputs: Any) -> bool:
    """Whether the inputs can be listed only once."""
    return isinstance(inputs, str | list | tuple) and STDIN in ([inputs] if isinstance(inputs, str) else inputs)
