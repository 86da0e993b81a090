"""If with a condition that is known: the branch that it takes, in its place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...ops import Unsupported
from .expanding import Builder, expands


@expands("", "If")
def taken_branch(build: Builder) -> Sequence[ir.Value]:
    """The nodes of one branch; what it reads from outside it goes on reading."""
    condition = build.array(0)
    if condition is None:
        raise Unsupported("control flow that depends on the data", "export with fixed control flow (tracing)")
    names = ("then_branch", "else_branch") if np.asarray(condition).all() else ("else_branch", "then_branch")
    branch, other = (build.attributes[name] for name in names)
    for node in ir.traversal.RecursiveGraphIterator(other):  # it reads no longer
        for i in range(len(node.inputs)):
            node.replace_input_with(i, None)
    weights, nodes, results = list(branch.initializers.values()), list(branch), list(branch.outputs)
    branch.outputs.clear()
    branch.initializers.clear()
    branch.remove(nodes)
    build.adopt(nodes, weights)
    return [value if value.producer() in nodes else build.node("Identity", [value], f"out{i}")
            for i, value in enumerate(results)]  # fmt: skip
