"""Symbolic arrays: every function appends ONNX nodes to a graph, so that the walk *records* itself as a model.

Shapes are known but for the batch, which is a :class:`~.symbols.BatchSize` wherever the source leaves it open. Weight
transforms are emitted as nodes on the stored weight: runtimes fold them when they load the model, and the file stays
small. Every node has the form of the graph's own opset, so that the source's nodes can stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from ..errors import ConversionError
from .base import Window
from .symbols import BatchSize, Graph, Size, Symbol, SymbolicShape, broadcast

TINY, STEEP = 1e-12, 1e38
LARGEST_ONE_HOT, MOST_TAKES = 2**20, 32  # elements of a matrix that puts, and how many takes are better than that


class EmittedArrays:
    """Functions on float32 arrays that are recorded into one graph; what adjoints of windows are made of."""

    name = "onnx"
    out_of_memory: tuple[type[Exception], ...] = ()  # it computes nothing

    def __init__(self, graph: Graph) -> None:
        self.dtype = np.dtype(np.float32)
        self.graph = graph

    def asarray(self, value: np.ndarray) -> Symbol:
        return self.graph.constant(value.astype(np.float32) if value.dtype.kind == "f" else value)

    def to_numpy(self, a: Symbol) -> np.ndarray:
        raise TypeError("a recorded value has no numbers yet")

    def shape(self, a: Symbol) -> Any:
        return a.shape

    def where(self, condition: Symbol, a: Symbol | float, b: Symbol | float) -> Symbol:
        shape: SymbolicShape = ()
        for symbol in (v for v in (condition, a, b) if isinstance(v, Symbol)):
            shape = broadcast(shape, symbol.shape)
        return self.graph.emit("Where", [condition, self.graph.symbol(a), self.graph.symbol(b)], shape)

    def maximum(self, a: Symbol, b: float) -> Symbol:
        return self.graph.emit("Relu", [a], a.shape) if b == 0 else self._clip(a, min=float(b))

    def minimum(self, a: Symbol, b: float) -> Symbol:
        return -self.maximum(-a, 0.0) if b == 0 and self.graph.is_small(a) else self._clip(a, max=float(b))

    def _clip(self, a: Symbol, **bounds: float) -> Symbol:
        """Attributes became inputs in opset 11."""
        if self.graph.opset < 11:
            return self.graph.emit("Clip", [a], a.shape, **bounds)
        given = [self.graph.symbol(bounds[key]) if key in bounds else None for key in ("min", "max")]
        return self.graph.emit("Clip", [a, *given[: 1 + ("max" in bounds)]], a.shape)

    def leaky(self, a: Symbol, slope: float) -> Symbol:
        return self.graph.emit("LeakyRelu", [a], a.shape, alpha=slope)

    def abs(self, a: Symbol) -> Symbol:
        return self.graph.emit("Abs", [a], a.shape)

    def exp(self, a: Symbol) -> Symbol:
        return self.graph.emit("Exp", [a], a.shape)

    def log(self, a: Symbol) -> Symbol:
        return self.graph.emit("Log", [a], a.shape)

    def tanh(self, a: Symbol) -> Symbol:
        return self.graph.emit("Tanh", [a], a.shape)

    def erf(self, a: Symbol) -> Symbol:
        return self.graph.emit("Erf", [a], a.shape)

    def round(self, a: Symbol) -> Symbol:
        if self.graph.opset < 11:
            raise ConversionError("rounding takes opset 11: raise the model with onnx.version_converter")
        return self.graph.emit("Round", [a], a.shape)

    def truncate(self, a: Symbol) -> Symbol:
        return self._cast(self._cast(a, ir.DataType.INT64), ir.DataType.FLOAT)

    def _cast(self, a: Symbol, to: ir.DataType) -> Symbol:
        return self.graph.emit("Cast", [a], a.shape, to=int(to))

    def elementwise(self, function: str, a: Symbol) -> Symbol:
        return self.graph.emit(function, [a], a.shape)

    def power(self, a: Symbol, exponent: Symbol | float) -> Symbol:
        other = self.graph.symbol(exponent)
        return self.graph.emit("Pow", [a, other], broadcast(a.shape, other.shape))

    def softmax(self, a: Symbol, axis: int) -> Symbol:
        rank = len(a.shape)
        if self.graph.opset >= 13 or axis % rank == rank - 1:
            return self.graph.emit("Softmax", [a], a.shape, axis=axis % rank)
        order = [i for i in range(rank) if i != axis % rank] + [axis % rank]  # it normalised all axes behind this one
        back = [order.index(i) for i in range(rank)]
        return self.permute(self.softmax(self.permute(a, order), rank - 1), back)

    def whole(self, a: Symbol) -> Symbol:
        return self._cast(a, ir.DataType.INT64)

    def largest(self, a: Symbol) -> Symbol:
        return self.graph.emit("ReduceMax", [a], (), keepdims=0)

    def stabilized_ratio(self, a: Symbol, epsilon: float, nonnegative: bool = False) -> Symbol:
        """As |softsign(a / ε)|, softsign(t) = t / (1 + |t|): fewer passes than the quotient itself."""
        if epsilon < TINY:  # a / ε might overflow
            size = a if nonnegative else self.abs(a)
            return size / (size + epsilon)
        share = self.graph.emit("Softsign", [self._multiple(a, 1 / epsilon)], a.shape)
        return share if nonnegative else self.abs(share)

    def _multiple(self, a: Symbol, factor: float) -> Symbol:
        """a · factor; of a difference, the difference of multiples, which are often there already."""
        if not self.graph.is_made(a, "Sub"):
            return a * factor
        left, right = self.graph.sources(a)
        return left * factor - right * factor

    def stabilize(self, z: Symbol, epsilon: float) -> Symbol:
        """A steep HardSigmoid is 1 from 0 upwards and 0 below; Where would take several times as long."""
        step = self.graph.emit("HardSigmoid", [z], z.shape, alpha=STEEP, beta=1.0)
        return (z - epsilon) + step * (2 * epsilon)

    def zeros_like(self, a: Symbol) -> Symbol:
        return self.expand(self.graph.symbol(0.0), a.shape)

    def ones_like(self, a: Symbol) -> Symbol:
        return self.expand(self.graph.symbol(1.0), a.shape)

    def sum(self, a: Symbol, axes: Sequence[int], keepdims: bool = False) -> Symbol:
        if not axes:
            return a
        kept = [1 if i in axes else n for i, n in enumerate(a.shape)]
        shape = kept if keepdims else [n for i, n in enumerate(a.shape) if i not in axes]
        if self.graph.opset < 13:
            return self.graph.emit("ReduceSum", [a], shape, axes=sorted(axes), keepdims=int(keepdims))
        return self.graph.emit("ReduceSum", [a, self.graph.ints(sorted(axes))], shape, keepdims=int(keepdims))

    def reshape(self, a: Symbol, shape: Sequence[Size]) -> Symbol:
        if list(shape).count(-1) > 1:
            raise ValueError(f"the shape {list(shape)} has more than one open size")
        known = math.prod(n for n in shape if n != -1)
        resolved = tuple(math.prod(a.shape) // known if n == -1 else n for n in shape)
        if all(isinstance(n, int) for n in (*a.shape, *resolved)) and math.prod(a.shape) != math.prod(resolved):
            raise ValueError(f"the shape {a.shape} cannot become {list(shape)}")
        if resolved == a.shape:
            return a
        wanted = [-1 if isinstance(n, BatchSize) else n for n in resolved]
        return self.graph.emit("Reshape", [a, self.graph.ints(wanted)], resolved)

    def permute(self, a: Symbol, axes: Sequence[int]) -> Symbol:
        order = list(axes)
        if len(order) != len(a.shape):
            raise ValueError(f"a permutation of {len(order)} axes does not fit the shape {a.shape}")
        if self.graph.is_made(a, "Transpose"):  # a transposition of a transposition
            assert a.node is not None
            inner = a.node.attributes["perm"].as_ints()
            return self.permute(self.graph.sources(a)[0], [inner[i] for i in order])
        if order == sorted(order):
            return a
        return self.graph.emit("Transpose", [a], [a.shape[i] for i in order], perm=order)

    def expand(self, a: Symbol, shape: Sequence[Size]) -> Symbol:
        if tuple(shape) == a.shape:
            return a
        aligned = (1,) * (len(shape) - len(a.shape)) + a.shape
        sizes = [1 if n == have else n for n, have in zip(shape, aligned)]
        return self.graph.emit("Expand", [a, self.graph.sizes(sizes)], shape)

    def concat(self, arrays: Sequence[Symbol], axis: int) -> Symbol:
        if len(arrays) == 1:
            return arrays[0]
        shape = list(arrays[0].shape)
        shape[axis] = sum(a.shape[axis] for a in arrays)
        return self.graph.emit("Concat", list(arrays), shape, axis=axis)

    def pad(self, a: Symbol, before: Sequence[int], after: Sequence[int]) -> Symbol:
        starts, stops = [max(-b, 0) for b in before], [n - max(-e, 0) for n, e in zip(a.shape, after)]
        cropped = self.slice(a, starts, stops, [1] * len(starts))
        widths = [max(n, 0) for n in (*before, *after)]
        if not any(widths):
            return cropped
        ends = zip(cropped.shape, before, after)
        shape = [n + max(b, 0) + max(e, 0) if b > 0 or e > 0 else n for n, b, e in ends]
        if self.graph.opset < 11:
            return self.graph.emit("Pad", [cropped], shape, pads=widths)
        return self.graph.emit("Pad", [cropped, self.graph.ints(widths)], shape)

    def slice(self, a: Symbol, starts: Sequence[int], stops: Sequence[Size], steps: Sequence[int]) -> Symbol:
        """a[start:stop:step] on every axis, start <= stop; a negative step reverses the whole axis."""
        whole = zip(a.shape, starts, stops, steps)
        axes = [i for i, (n, b, e, t) in enumerate(whole) if b or e != n or t != 1]
        if not axes:
            return a
        shape = list(a.shape)
        for i in axes:
            shape[i] = -((starts[i] - stops[i]) // abs(steps[i]))
        if self.graph.opset < 10:
            return self._slice9(a, starts, stops, steps, axes)
        first = [starts[i] if steps[i] > 0 else -1 for i in axes]
        last = [stops[i] if steps[i] > 0 else -(2**31) for i in axes]
        limits = [self.graph.ints(v) for v in (first, last, axes, [steps[i] for i in axes])]
        return self.graph.emit("Slice", [a, *(limits if any(steps[i] != 1 for i in axes) else limits[:3])], shape)

    def _slice9(
        self, a: Symbol, starts: Sequence[int], stops: Sequence[Size], steps: Sequence[int], axes: Sequence[int]
    ) -> Symbol:
        """Steps came with opset 10."""
        for i in axes:
            a = self.take(a, np.arange(starts[i], stops[i])[:: steps[i]], i)
        return a

    def take(self, a: Symbol, indices: np.ndarray, axis: int) -> Symbol:
        if indices.size and isinstance(n := a.shape[axis], int) and not -n <= indices.min() <= indices.max() < n:
            raise IndexError(f"index {indices.max()} is out of bounds for an axis of size {n}")
        shape = [len(indices) if i == axis else n for i, n in enumerate(a.shape)]
        return self.graph.emit("Gather", [a, self.graph.ints(indices)], shape, axis=axis)

    def put(self, a: Symbol, indices: np.ndarray, axis: int, length: int) -> Symbol:
        most = int(np.bincount(indices, minlength=1).max())
        if len(indices) * length > LARGEST_ONE_HOT and most <= MOST_TAKES:
            return self._put_by_takes(a, indices, axis, length, most)
        if len(a.shape) == 1:  # a product takes a matrix
            return self.reshape(self.put(self.reshape(a, (1, a.shape[0])), indices, 1, length), (length,))
        one_hot = np.zeros((len(indices), length), np.float32)
        one_hot[np.arange(len(indices)), indices] = 1
        order = [*(i for i in range(len(a.shape)) if i != axis), axis]
        moved = self.matmul(self.permute(a, order), self.asarray(one_hot))
        return self.permute(moved, [order.index(i) for i in range(len(order))])

    def _put_by_takes(self, a: Symbol, indices: np.ndarray, axis: int, length: int, most: int) -> Symbol:
        """The sum of what goes to each place: first ones, second ones, ..., or the zero that is added at the end."""
        order = np.argsort(indices, kind="stable")
        rank = np.arange(len(indices)) - np.searchsorted(indices[order], indices[order])
        table = np.full((most, length), len(indices))
        table[rank, indices[order]] = order
        at_end = [int(i == axis) for i in range(len(a.shape))]
        padded = self.pad(a, [0] * len(a.shape), at_end)
        first, *others = [self.take(padded, row, axis) for row in table]
        for other in others:
            first = first + other
        return first

    def lookup(self, table: Symbol, indices: Symbol, axis: int) -> Symbol:
        shape = (*table.shape[:axis], *indices.shape, *table.shape[axis + 1 :])
        return self.graph.emit("Gather", [table, self._cast(indices, ir.DataType.INT64)], shape, axis=axis)

    def matmul(self, a: Symbol, b: Symbol) -> Symbol:
        if a.shape[-1] != b.shape[-2]:
            raise ValueError(f"{a.shape} and {b.shape} cannot be multiplied")
        lead = a.shape[:-2] if len(a.shape) >= len(b.shape) else b.shape[:-2]
        return self.graph.emit("MatMul", [a, b], (*lead, a.shape[-2], b.shape[-1]))

    def conv(self, x: Symbol, w: Symbol, window: Window) -> Symbol:
        if min(*window.before, *window.after) < 0:  # Conv has no negative padding
            x = self.pad(x, (0, 0, *window.before), (0, 0, *window.after))
            zeros = (0,) * len(window.before)
            window = replace(window, before=zeros, after=zeros)
        if len(x.shape) != len(w.shape) or x.shape[1] != w.shape[1] * window.groups:
            raise ValueError(f"a weight of shape {w.shape} does not fit the shape {x.shape}")
        shape = (x.shape[0], w.shape[0], *window.output(x.shape[2:]))
        return self.graph.emit("Conv", [x, w], shape, **window_attributes(window), group=window.groups)

    def argmax(self, a: Symbol) -> Symbol:
        return self.graph.emit("ArgMax", [a], (*a.shape[:-1], 1), axis=len(a.shape) - 1, keepdims=1)

    def top(self, a: Symbol, count: int) -> Symbol:
        emit, shapes = self.graph.emit_all, [(*a.shape[:-1], count)] * 2
        if self.graph.opset < 10:
            return emit("TopK", [a], shapes, axis=-1, k=count)[1]
        return emit("TopK", [a, self.graph.ints([count])], shapes, axis=-1)[1]

    def gather(self, a: Symbol, indices: Symbol) -> Symbol:
        if indices.shape[-1] != 1:
            if self.graph.opset < 11:
                rows = self.reshape(a, (*a.shape[:-1], 1, a.shape[-1])) * self._rows(indices, a.shape[-1])
                return self.sum(rows, [len(a.shape)])
            return self.graph.emit("GatherElements", [a, indices], indices.shape, axis=len(a.shape) - 1)
        chosen = self.one_hot(indices, a.shape[-1]) * a
        return self.sum(chosen, [len(a.shape) - 1], keepdims=True)

    def scatter(self, a: Symbol, indices: Symbol, length: int) -> Symbol:
        if indices.shape[-1] != 1:  # no position twice, as of the largest
            if self.graph.opset < 11:
                return self.sum(self._rows(indices, length) * self.reshape(a, (*a.shape, 1)), [len(a.shape) - 1])
            zeros = self.expand(self.graph.symbol(0.0), (*a.shape[:-1], length))
            return self.graph.emit("ScatterElements", [zeros, indices, a], zeros.shape, axis=len(a.shape) - 1)
        return self.one_hot(indices, length) * a

    def _rows(self, indices: Symbol, length: Size) -> Symbol:
        """(..., k) of int64 -> (..., k, length) of 0 and 1."""
        return self.one_hot(self.reshape(indices, (*indices.shape, 1)), length)

    def one_hot(self, indices: Symbol, length: Size) -> Symbol:
        """(..., 1) of int64 -> (..., length) of 0 and 1."""
        lead, values = indices.shape[:-1], self.asarray(np.array([0.0, 1.0]))
        depth = self.graph.constant(np.array(length, np.int64))
        return self.graph.emit("OneHot", [self.reshape(indices, lead), depth, values], (*lead, length), axis=-1)


def window_attributes(window: Window, opset: int = 11) -> dict[str, Any]:
    """What Conv and MaxPool share."""
    given: dict[str, Any] = {
        "kernel_shape": list(window.kernel),
        "pads": [*window.before, *window.after],
        "strides": list(window.strides),
    }
    if opset >= 10:  # MaxPool had no dilations before
        given["dilations"] = list(window.dilations)
    return given
