"""Mark the activations through which relevance passes unchanged because the user says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import onnx_ir as ir

from ...errors import CompositeError
from ...ops import OPS, activation, smooth
from ...text import printable
from ..graph import HINT

AT_HOME = tuple(name for name, op in OPS.items() if op.__module__ == activation.__name__)


def pass_through(model: ir.Model, ops: Iterable[str], source: str) -> list[str]:
    """Mark every node of these ops; returns notes.

    Raises:
        CompositeError: one of them is no activation, or the model has none of it.
    """
    wanted = dict.fromkeys(ops)
    here = [node for node in model.graph if node.domain in ("", "ai.onnx") and node.op_type in smooth.TRUSTABLE]
    count = Counter(node.op_type for node in here if HINT not in node.meta)
    for op in wanted:
        _check(op, count, source)
    for node in here:
        if node.op_type in wanted:
            node.meta.setdefault(HINT, "trusted")
    return [f"{op} ({_nodes(count[op])}) passes relevance unchanged, on your word" for op in wanted]


def _check(op: str, count: Counter[str], source: str) -> None:
    shown = printable(op)
    if op in AT_HOME and op not in smooth.TRUSTABLE:
        raise CompositeError(f"{source}: relevance passes {shown} anyway; --pass-op is for other activations")
    if op not in smooth.TRUSTABLE:
        known = ", ".join(sorted(smooth.TRUSTABLE))
        raise CompositeError(
            f"{source}: {shown} is no elementwise activation, so relevance cannot pass it unchanged; "
            f"--pass-op takes {known}"
        )
    if not count[op]:
        there = ", ".join(f"{name} ({_nodes(n)})" for name, n in sorted(count.items()))
        raise CompositeError(
            f"{source}: there is no {shown} for --pass-op; "
            f"of activations that can be passed, the model has {there or 'none'}"
        )


def _nodes(n: int) -> str:
    return f"{n} node{'s' if n > 1 else ''}"
