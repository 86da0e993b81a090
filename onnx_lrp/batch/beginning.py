"""How a run begins, or goes on: its manifest, and the list of its inputs, are written or found to be the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import InputError, OutputError
from ..writing import shown
from .asked import Run
from .inventory import Inventory
from .manifest import REMEDY, former_run, manifest_of, same_run, write_manifest
from .order import Order
from .work import sized


def begun(run: Run) -> tuple[dict[str, Any], Order, list[str]]:
    """The manifest, written or found, the order, and notes; batch and block are those of the beginning.

    Raises:
        OutputError: the folder holds something else, or a run that was begun otherwise.
    """
    old = former_run(run.folder)
    if old is None:
        order = sized(run.explainer, run.source, {**run.order, "batch": run.batch or "auto"})
        new = manifest_of(run.explainer, order, run.selection.as_dict())
        write_manifest(run.folder, new)
        return new, order, []
    try:
        batch, block = int(old["order"]["batch"]), int(old["order"]["block"])
    except (KeyError, TypeError, ValueError):
        raise OutputError(f"{shown(run.folder.manifest)}: says no batch and block; {REMEDY}") from None
    order = Order(**run.order, batch=run.batch or batch, block=block)
    new = manifest_of(run.explainer, order, run.selection.as_dict())
    return old, order, same_run(old, new, run.folder.path)


def all_listed(run: Run, manifest: dict[str, Any], told: Callable[[int], None]) -> Inventory:
    """All inputs, or once they are chosen, these; listed again to see that they are the same.

    Args:
        run: whose inputs.
        manifest: is told how many there are, and written.
        told: is called with the number of inputs so far.

    Raises:
        InputError: they cannot be listed, or are others than before.
        OutputError: the list cannot be written.
    """
    folder = run.folder
    if manifest.get("listed") is not None:
        if not run.once:
            _compare(run, manifest, told)
        return Inventory.open(folder.inputs)
    if folder.inputs.exists():  # it got its name when it was complete, but the manifest does not know it yet
        inventory = Inventory.open(folder.inputs)
    else:
        inventory = Inventory.write(folder.inputs, run.source, told)
    manifest.update(listed=len(inventory), inventory_sha256=inventory.sha256)
    if run.selection.all:
        manifest["count"] = len(inventory)
    write_manifest(folder, manifest)
    return inventory


def _compare(run: Run, manifest: dict[str, Any], told: Callable[[int], None]) -> None:
    folder = run.folder
    path = folder.path / f".onnx_lrp-now{folder.inputs.suffix}"
    try:
        now = Inventory.write(path, run.source, told)
        if now.sha256 == manifest["inventory_sha256"]:
            return
        raise InputError(
            f"{shown(folder.path)} was begun with {manifest['listed']:,} inputs, and now there are {len(now):,}, "
            f"or others; give the same ones, or {REMEDY}"
        )
    finally:
        path.unlink(missing_ok=True)
