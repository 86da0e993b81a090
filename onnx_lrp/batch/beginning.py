"""How a run begins, or goes on: its manifest, and the list of its inputs, are written or found to be the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..errors import InputError, OutputError
from ..explainer import Explainer
from ..writing import shown
from .asked import Run
from .grouping import reader_of
from .inventory import Inventory
from .manifest import REMEDY, former_run, manifest_of, same_run, write_manifest
from .order import Order, sizes_in
from .sizing import with_sizes
from .store.index import is_complete
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
    return _first(run, told) if old is None else _again(run, old, told)


def _first(run: Run, told: Callable[[int], None]) -> Begun:
    path, sized = run.folder.inputs, Order(**run.order)
    listed = run.once and path.exists()  # by a start that was killed; a pipe does not give it again
    inventory = Inventory.open(path) if listed else Inventory.write(path, run.source, told)
    order = with_sizes(sized, run.explainer, run.source, inventory, run.batch)
    explainer = run.explainer.on_one_backend()  # that the first inputs showed to be fit
    manifest = manifest_of(explainer, order, run.selection.as_dict())
    manifest |= {"listed": len(inventory), "inventory_sha256": inventory.sha256}
    if run.selection.all:
        manifest["count"] = len(inventory)
    write_manifest(run.folder, manifest)
    return Begun(manifest, order, inventory, explainer, [])


def _again(run: Run, old: dict[str, Any], told: Callable[[int], None]) -> Begun:
    try:
        order = replace(Order(**run.order), **sizes_in(old["order"]))
        before, digest = int(old["listed"]), str(old["inventory_sha256"])
        explainer = run.explainer.on_one_backend(str(old["settings"]["backend"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise OutputError(f"{shown(run.folder.manifest)}: lacks what it takes to go on; {REMEDY}") from None
    asked = replace(order, batch=run.batch or order.batch)
    notes = same_run(old, manifest_of(explainer, asked, run.selection.as_dict()), run.folder.path)
    if not run.once:
        _compare(run, before, digest, told)
    inventory = Inventory.open(run.folder.inputs)
    if not is_complete(run.folder):
        verify_first(explainer, reader_of(explainer, run.source, inventory, order.batch))
    return Begun(old, order, inventory, explainer, notes)


def _compare(run: Run, before: int, digest: str, told: Callable[[int], None]) -> None:
    """List the inputs once more, to see that they are the same."""
    folder = run.folder
    path = folder.path / f".onnx_lrp-now{folder.inputs.suffix}"
    try:
        now = Inventory.write(path, run.source, told)
        if now.sha256 != digest:
            raise InputError(
                f"{shown(folder.path)} was begun with {before:,} inputs, and now there are {len(now):,}, or others; "
                f"give the same ones, or {REMEDY}"
            )
    finally:
        path.unlink(missing_ok=True)
