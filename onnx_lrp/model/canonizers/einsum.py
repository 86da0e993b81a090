"""Einsum of a variable and a constant: a MatMul between transpositions and reshapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...ops import Unsupported
from .expanding import Builder, expands

PLAIN_MATMUL = "write it as a MatMul with a constant"


@dataclass(frozen=True)
class Contraction:
    """The letters of x, w and the output: those that both share and keep, each alone keeps, and those summed over."""

    x: str
    w: str
    out: str

    @property
    def both(self) -> str:
        """Batches of the product."""
        return "".join(c for c in self.x if c in self.w and c in self.out)

    @property
    def free_x(self) -> str:
        """Axes of x alone."""
        return "".join(c for c in self.x if c not in self.w)

    @property
    def free_w(self) -> str:
        """Axes of w alone."""
        return "".join(c for c in self.w if c not in self.x)

    @property
    def summed(self) -> str:
        """Axes of the sum."""
        return "".join(c for c in self.x if c in self.w and c not in self.out)

    @property
    def is_product(self) -> bool:
        """Whether nothing is repeated, and nothing summed over that only one operand has."""
        distinct = all(len(set(letters)) == len(letters) for letters in (self.x, self.w, self.out))
        return distinct and sorted(self.out) == sorted(self.both + self.free_x + self.free_w) and bool(self.summed)


@expands("", "Einsum")
def product(build: Builder) -> Sequence[ir.Value]:
    """x → (free, both, 1, summed) @ (both, summed, free_w) → (free, both, free_w) → the output's order."""
    how, x, w = _contraction(build)
    order = how.free_x + how.both + how.summed
    x = build.node("Transpose", [x], "ordered", perm=[how.x.index(c) for c in order])
    size = dict(zip(how.w, w.shape))
    kept = [0] * (len(how.free_x) + len(how.both))  # a 0 copies the size
    depth, width = (math.prod(size[c] for c in letters) for letters in (how.summed, how.free_w))
    rows = build.node("Reshape", [x, _shape(build, [*kept, 1, depth], "rows")], "rows")
    matrix = w.transpose([how.w.index(c) for c in how.both + how.summed + how.free_w])
    matrix = matrix.reshape(*(size[c] for c in how.both), depth, width)
    z = build.node("MatMul", [rows, build.constant(matrix, "weight")])
    z = build.node("Reshape", [z, _shape(build, [*kept, *(size[c] for c in how.free_w)], "shape")], "shaped")
    made = how.free_x + how.both + how.free_w
    return [build.node("Transpose", [z], "moved", perm=[made.index(c) for c in how.out])]


def _shape(build: Builder, sizes: list[int], part: str) -> ir.Value:
    return build.constant(np.array(sizes, np.int64), f"{part}/shape")


def _contraction(build: Builder) -> tuple[Contraction, ir.Value, np.ndarray]:
    """What is computed, the variable and the constant.

    Raises:
        Unsupported: it is no product of one variable and one constant.
    """
    operands = [value for value in build.old.inputs if value is not None]
    constants = [build.array(i) for i in range(len(operands))]
    if len(operands) != 2 or sum(c is None for c in constants) != 1:
        raise Unsupported("Einsum of anything but one variable and one constant", PLAIN_MATMUL)
    left, _, out = str(build.attributes["equation"]).replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != 2 or not all(letters.isalpha() for letters in (*terms, out or "a")):
        raise Unsupported(f"Einsum {build.attributes['equation']!r} is no plain product", PLAIN_MATMUL)
    if not out:
        out = "".join(sorted(c for c in set(left) - {","} if left.count(c) == 1))
    data = 0 if constants[0] is None else 1
    how, weight = Contraction(terms[data], terms[1 - data], out), constants[1 - data]
    assert weight is not None
    if not how.is_product:
        raise Unsupported(f"Einsum {build.attributes['equation']!r} is no plain product", PLAIN_MATMUL)
    return how, operands[data], weight
