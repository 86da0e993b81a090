"""Which inputs are ids, and how large the tables are that they are looked up in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..model.graph import array
from ..ops import Route
from ..ops.lookup import TableMap
from ..ops.routes import ExpandMap, PermuteMap, ReshapeMap, SelectMap
from ..text import printable
from .plan import Plan


def check_ids(feeds: Mapping[str, np.ndarray], plan: Plan, model: ir.Model, source: str) -> None:
    """Refuse ids that are outside of their table; ids that are computed before they are looked up are not looked at.

    Raises:
        InputError: there is one.
    """
    for name, (rows, node) in _tables(plan, model).items():
        ids = feeds[name]
        outside = ids[(ids < -rows) | (ids >= rows)]
        if outside.size:
            raise InputError(
                f"{source}: input {printable(name)!r} holds the id {outside.reshape(-1)[0]:g}, "
                f"but the table of node {node} has {rows} rows: ids are 0 to {rows - 1}"
            )


def _tables(plan: Plan, model: ir.Model) -> dict[str, tuple[int, str]]:
    """Of each input that is looked up as it is, the smallest table's rows, and the node that looks them up."""
    origin: dict[str, set[str]] = {name: {name} for name in plan.inputs}
    found: dict[str, tuple[int, str]] = {}
    for step in plan.steps:
        role = step.role
        if isinstance(role, Route) and isinstance(role.map, TableMap):
            table = array(model.graph.initializers.get(step.inputs[0] or ""))
            for name in origin.get(step.receivers[0], ()) if table is not None else ():
                rows = table.shape[role.map.axis]  # type: ignore[union-attr]
                found[name] = min(found.get(name, (rows, step.name)), (rows, step.name))
        elif isinstance(role, Route) and isinstance(role.map, ReshapeMap | PermuteMap | ExpandMap | SelectMap):
            moved = origin.get(step.receivers[0], set())
            origin.update(dict.fromkeys(step.outputs, moved) if len(step.outputs) == 1 else {})
    return found
