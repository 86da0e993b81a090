"""Einsum as a MatMul between transpositions and reshapes: of a variable and a constant, under a profile of any two."""

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

    def is_product(self, outer: bool = False) -> bool:
        """Whether nothing is repeated, nor summed over that one operand alone has; ``outer``: or summed over at all."""
        distinct = all(len(set(letters)) == len(letters) for letters in (self.x, self.w, self.out))
        return (
            distinct
            and sorted(self.out) == sorted(self.both + self.free_x + self.free_w)
            and (outer or bool(self.summed))
        )


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


@expands("", "Einsum", profile=True)
def product_of_two(build: Builder) -> Sequence[ir.Value | None] | None:
    """x → (both, free_x, summed), w → (both, summed, free_w), their product → the output's order."""
    operands = [value for value in build.old.inputs if value is not None]
    if len(operands) == 2 and sum(build.array(i) is not None for i in (0, 1)) == 1:
        return product(build)
    how = Contraction(*_letters(build, operands))
    if not how.is_product(outer=True) or max(map(len, (how.free_x, how.free_w, how.summed))) > 1:
        raise Unsupported(f"Einsum {build.attributes['equation']!r} is no plain product", PLAIN_MATMUL)
    rows = _axes(build, operands[0], how.x, how.both + how.free_x + how.summed, how, "rows")
    columns = _axes(build, operands[1], how.w, how.both + how.summed + how.free_w, how, "columns")
    z = build.node("MatMul", [rows, columns])
    made = how.both + how.free_x + how.free_w
    if not (how.free_x and how.free_w):  # without the axes of size 1
        z = build.node("Reshape", [z, _shape(build, [0] * len(how.both) + [-1] * (len(made) > len(how.both)), "shape")],
                       "shaped")  # fmt: skip
    return [build.node("Transpose", [z], "moved", perm=[made.index(c) for c in how.out])]


def _axes(build: Builder, value: ir.Value, have: str, want: str, how: Contraction, part: str) -> ir.Value:
    """An operand's axes in this order, as a stack of matrices."""
    moved = build.node("Transpose", [value], f"{part}/ordered", perm=[have.index(c) for c in want])
    inner = want[len(how.both) :]
    if len(inner) == 2:
        return moved
    alone = [-1, 1] if inner and (inner == how.free_x or (part == "columns" and inner == how.summed)) else [1, -1]
    sizes = [0] * len(how.both) + (alone if inner else [1, 1])
    return build.node("Reshape", [moved, _shape(build, sizes, part)], part)


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
    *terms, out = _letters(build, operands)
    data = 0 if constants[0] is None else 1
    how, weight = Contraction(terms[data], terms[1 - data], out), constants[1 - data]
    assert weight is not None
    if not how.is_product():
        raise Unsupported(f"Einsum {build.attributes['equation']!r} is no plain product", PLAIN_MATMUL)
    return how, operands[data], weight


def _letters(build: Builder, operands: Sequence[ir.Value]) -> tuple[str, str, str]:
    """The axes of two operands and of the output.

    Raises:
        Unsupported: it is no product of two.
    """
    left, _, out = str(build.attributes["equation"]).replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != 2 or len(operands) != 2 or not all(letters.isalpha() for letters in (*terms, out or "a")):
        raise Unsupported(f"Einsum {build.attributes['equation']!r} is no plain product", PLAIN_MATMUL)
    if not out:
        out = "".join(sorted(c for c in set(left) - {","} if left.count(c) == 1))
    return terms[0], terms[1], out
