"""How a run begins, or goes on: its manifest, and the list of its inputs, are written or found to be the same."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import InputError, OutputError
from ..explainer import Explainer
from ..writing import shown
from .asked import Run
from .blocks import Block
from .folder import Folder
from .grouping import reader_of
from .inventory import Inventory
from .manifest import REMEDY, former_run, manifest_of, same_run, write_manifest
from .order import Order, sizes_in
from .sizing import with_sizes
from .store.index import done_blocks, is_complete
from .store.store import Store
from .trying import verify_first


@dataclass(frozen=True)
class Begun:
    """What a run has before its first block.

    Attributes:
        manifest: as it is written.
        order: with its sizes; they are those of the beginning.
        inventory: all inputs; once they are selected, these.
        explainer: the run's, on the one backend that all of it is computed by, and verified.
        notes: what there is to say.
    """

    manifest: dict[str, Any]
    order: Order
    inventory: Inventory
    explainer: Explainer
    notes: list[str]


def begun(run: Run, told: Callable[[int], None]) -> Begun:
    """A run that begins: its inputs are listed, its sizes found, its manifest written; or one that goes on.

    Args:
        run: which.
        told: is called with the number of inputs that are listed so far.

    Raises:
        OutputError: the folder holds something else, or a run that was begun otherwise; or it cannot be written.
        InputError: the inputs cannot be listed, none can be read, or they are others than before.
        OnnxLrpError: the model does not explain the first of them.
    """
    old = former_run(run.folder)
    if old is None or not _has_results(run.folder):
        listed = _listed(run, run.folder.inputs, told)
        if old is None or listed is not None:
            return _first(run, listed or Inventory.open(run.folder.inputs))
    return _again(run, old, told)


def _has_results(folder: Folder) -> bool:
    """Whether anything was found that is worth to be kept; a start that failed can be mended and given again."""
    return is_complete(folder) or bool(done_blocks(folder)) or folder.predictions.exists()


def _listed(run: Run, path: Path, told: Callable[[int], None]) -> Inventory | None:
    """The inputs as they are now, or None of a pipe that gives nothing this time, but did so to an earlier start."""
    before = run.once and run.folder.inputs.exists()
    if before and sys.stdin is not None and sys.stdin.isatty():  # nobody types them again
        return None
    try:
        return Inventory.write(path, run.source, told)
    except InputError:
        if before:
            return None
        raise


def _first(run: Run, inventory: Inventory) -> Begun:
    _clear(run.folder)
    order = with_sizes(Order(**run.order), run.explainer, run.source, inventory, run.batch)
    explainer = run.explainer.on_one_backend()  # that the first inputs showed to be fit
    manifest = _manifest(run, explainer, order)
    manifest |= {"listed": len(inventory), "inventory_sha256": inventory.sha256}
    if run.selection.all:
        manifest["count"] = len(inventory)
    write_manifest(run.folder, manifest)
    return Begun(manifest, order, inventory, explainer, [])


def _clear(folder: Folder) -> None:
    """Remove what a start that found nothing left behind: it may have wanted something else.

    The manifest goes last: without it, what is left would be somebody else's.
    """
    for path in (folder.maps, *(folder.path / kind for kind in ("png", "figure"))):
        shutil.rmtree(path, ignore_errors=True)
    folder.manifest.unlink(missing_ok=True)


def _again(run: Run, old: dict[str, Any], told: Callable[[int], None]) -> Begun:
    try:
        order = replace(Order(**run.order), **sizes_in(old["order"]))
        before, digest = int(old["listed"]), str(old["inventory_sha256"])
        explainer = run.explainer.on_one_backend(str(old["settings"]["backend"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise OutputError(f"{shown(run.folder.manifest)}: lacks what it takes to go on; {REMEDY}") from None
    asked = order if run.batch is None or min(run.batch, before) == order.batch else replace(order, batch=run.batch)
    now = _manifest(run, explainer, asked)
    if old.get("count") is None:  # no input is chosen yet, and what is predicted is the same for every choice
        old = {**old, "chosen": now["chosen"]}
    notes = same_run(old, now, run.folder.path)
    _compare(run, before, digest, told)
    inventory = Inventory.open(run.folder.inputs)
    notes += _forgotten(Store(run.folder, order).forget_lost(len(inventory)))
    if not is_complete(run.folder):
        verify_first(explainer, reader_of(explainer, run.source, inventory, order.batch))
    return Begun(old, order, inventory, explainer, notes)


def _forgotten(lost: Mapping[Block, Path]) -> list[str]:
    if not lost:
        return []
    path, inputs = next(iter(lost.values())), sum(map(len, lost))
    more = ", as were files of other blocks" if len(lost) > 1 else ""
    return [f"note: {shown(path)} was missing or empty{more}: {inputs:,} inputs were explained anew"]


def _manifest(run: Run, explainer: Explainer, order: Order) -> dict[str, Any]:
    """With what of the inputs their list does not say."""
    columns = getattr(run.source, "columns", None)
    said = {} if columns is None else {"column": columns.column, "features": list(columns.features)}
    features = list(getattr(run.source, "feature_names", ()))
    return manifest_of(explainer, order, run.selection.as_dict()) | {"columns": said, "features": features}


def _compare(run: Run, before: int, digest: str, told: Callable[[int], None]) -> None:
    """List the inputs once more, to see that they are the same."""
    folder = run.folder
    path = folder.path / f".onnx_lrp-now{folder.inputs.suffix}"
    try:
        now = _listed(run, path, told)
        if now is not None and now.sha256 != digest:
            many = f"{before:,} inputs, and now there are {len(now):,}"
            which = f"{before:,} other inputs" if len(now) == before else many
            raise InputError(f"{shown(folder.path)} was begun with {which}; give the same ones, or {REMEDY}")
    finally:
        path.unlink(missing_ok=True)
