"""Replace calls of the model's own functions by their bodies, and Constant nodes by initializers."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir
from onnx_ir.passes import common as passes

from ...errors import InvalidModelError

MOST_INLINED = 200_000


def inline(model: ir.Model, source: str) -> list[str]:
    """Replace calls of the model's own functions by their bodies, and Constant nodes by initializers; returns notes.

    Raises:
        InvalidModelError: functions that call themselves, or that would expand to an absurd number of nodes.
    """
    notes: list[str] = []
    if model.functions:
        count = len(model.functions)
        sizes: dict[ir.OperatorIdentifier, int] = {}
        for function in _callees_first(model, source):
            sizes[function.identifier()] = sum(sizes.get(node.op_identifier(), 1) for node in function)
        total = sum(sizes.get(node.op_identifier(), 1) for node in model.graph)
        if total > MOST_INLINED:
            raise InvalidModelError(f"{source}: its local functions expand to {total} nodes; refused")
        passes.InlinePass()(model)
        notes = [f"the model's own functions ({count}) opened: {total} nodes"]
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    passes.RemoveInitializersFromInputsPass()(model)
    return notes


def _callees_first(model: ir.Model, source: str) -> Iterator[ir.Function]:
    """Functions in an order in which each one comes after those it calls, without recursion."""
    waiting = {key: {n.op_identifier() for n in f} & set(model.functions) for key, f in model.functions.items()}
    while waiting:
        ready = [key for key, calls in waiting.items() if not calls & set(waiting)]
        if not ready:
            raise InvalidModelError(f"{source}: a local function calls itself; LRP needs a feed-forward model")
        for key in ready:
            del waiting[key]
            yield model.functions[key]
