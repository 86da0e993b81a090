"""Attention of several heads as elementary nodes: what every fused form of it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from .expanding import Builder


@dataclass(frozen=True)
class SplitHeads:
    """Attention of several heads over (batch, length, heads · size)."""

    build: Builder
    count: int
    shared: int  # heads of keys and values
    scale: float
    softcap: float = 0.0

    def apart(self, x: ir.Value, part: str, count: int) -> ir.Value:
        """(batch, heads, length, size)."""
        shape = self.build.constant(np.array([0, 0, count, -1]), f"{part}/shape")
        return self.build.node("Transpose", [self.build.node("Reshape", [x, shape], f"{part}/heads")],
                               f"{part}/apart", perm=[0, 2, 1, 3])  # fmt: skip

    def repeated(self, x: ir.Value, part: str) -> ir.Value:
        """Each head of keys or values for all queries that share it."""
        times = self.count // self.shared
        if times == 1:
            return x
        index = self.build.constant(np.repeat(np.arange(self.shared), times), f"{part}/which")
        return self.build.node("Gather", [x, index], f"{part}/shared", axis=1)

    def attend(self, q: ir.Value, k: ir.Value, v: ir.Value, biases: Sequence[ir.Value | None]) -> ir.Value:
        """softmax(scale · q kᵀ + biases) v, of heads that are apart, put together again."""
        build = self.build
        across = build.node("Transpose", [self.repeated(k, "keys")], "keys/across", perm=[0, 1, 3, 2])
        scaled = build.node("Mul", [q, build.constant(np.float32(self.scale), "scale")], "scaled")
        scores = build.node("MatMul", [scaled, across], "scores")
        if self.softcap:
            cap = build.constant(np.float32(self.softcap), "cap")
            bent = build.node("Tanh", [build.node("Div", [scores, cap], "uncapped")], "bent")
            scores = build.node("Mul", [bent, cap], "capped")
        for i, bias in enumerate(biases):
            if bias is not None:
                scores = build.node("Add", [scores, bias], f"biased{i}")
        weights = build.node("Softmax", [scores], axis=3)
        seen = build.node("MatMul", [weights, self.repeated(v, "values")], "seen")
        together = build.node("Transpose", [seen], "together", perm=[0, 2, 1, 3])
        return build.node("Reshape", [together, build.constant(np.array([0, 0, -1]), "shape")], "joined")

    def causal(self, q: ir.Value, k: ir.Value, window: int = -1) -> ir.Value:
        """A mask of what stands behind each query, and of what is further before it than the window."""
        build = self.build
        rows, columns = (self.positions(x, part) for x, part in ((q, "rows"), (k, "columns")))
        rows = build.node("Unsqueeze", [rows, build.constant(np.array([1]), "rows/axes")], "rows/column")
        hidden = build.node("Less", [rows, columns], "later")
        if window > 0:
            earliest = build.node("Sub", [rows, build.constant(np.int64(window), "window")], "earliest")
            hidden = build.node("Or", [hidden, build.node("LessOrEqual", [columns, earliest], "earlier")], "hidden")
        lowest, zero = build.constant(np.float32(-1e20), "lowest"), build.constant(np.float32(0), "none")
        return build.node("Where", [hidden, lowest, zero], "causal")

    def positions(self, x: ir.Value, part: str) -> ir.Value:
        """0, 1, 2 ... along the third axis."""
        build = self.build
        length = length_of(build, x, 2, part)
        zero, one = build.constant(np.int64(0), f"{part}/from"), build.constant(np.int64(1), f"{part}/step")
        return build.node("Range", [zero, length, one], part)


def length_of(build: Builder, x: ir.Value, axis: int, part: str) -> ir.Value:
    """The size of an axis."""
    sizes, index = build.node("Shape", [x], f"{part}/size"), build.constant(np.int64(axis), f"{part}/axis0")
    return build.node("Gather", [sizes, index], f"{part}/length", axis=0)
