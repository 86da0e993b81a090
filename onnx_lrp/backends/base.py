"""What a backend must be able to do: about forty functions on arrays; elementwise arithmetic is by operators.

An op's map and a rule's modifier are written once, against :class:`Backend`, and so run on NumPy, on Torch, or on
symbolic values that are recorded as ONNX nodes. A backend knows neither ops nor rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Array = Any  # numpy.ndarray, torch.Tensor, or a symbolic value: whatever the backend computes with
Shape = tuple[int, ...]
FUNCTIONS = ("Sqrt", "Sin", "Cos", "Floor", "Ceil", "Sign")  # of one number, beside those that have a method


@dataclass(frozen=True)
class Window:
    """Where a kernel stands: everything about a convolution or pooling but its weight, one entry per spatial axis.

    ``before`` and ``after`` are zeros added at either end; negative ones crop. ``groups`` is Conv's ``group``.
    """

    kernel: Shape
    strides: Shape
    before: Shape
    after: Shape
    dilations: Shape
    groups: int = 1

    def reach(self) -> Shape:
        """Extent of the dilated kernel."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations))

    def output(self, spatial: Sequence[int]) -> Shape:
        """Positions of the kernel over an input of this spatial shape."""
        ends = zip(spatial, self.before, self.after, self.reach(), self.strides)
        return tuple((n + b + a - r) // s + 1 for n, b, a, r, s in ends)


class Backend(Protocol):
    """Arrays of one dtype on one device."""

    name: str
    dtype: np.dtype[Any]
    out_of_memory: tuple[type[Exception], ...]  # what it raises where memory runs out

    def asarray(self, value: np.ndarray) -> Array:
        """Bring a NumPy array here; floats take the backend's dtype."""

    def to_numpy(self, a: Array) -> np.ndarray:
        """Bring an array back to NumPy, dtype kept."""

    def shape(self, a: Array) -> Shape:
        """Shape as a tuple of ints."""

    def where(self, condition: Array, a: Array | float, b: Array | float) -> Array:
        """Elementwise choice."""

    def maximum(self, a: Array, b: float) -> Array:
        """Elementwise maximum with a number."""

    def minimum(self, a: Array, b: float) -> Array:
        """Elementwise minimum with a number."""

    def leaky(self, a: Array, slope: float) -> Array:
        """a where it is positive, else slope · a."""

    def abs(self, a: Array) -> Array:
        """|a|."""

    def exp(self, a: Array) -> Array:
        """e to the power of a."""

    def log(self, a: Array) -> Array:
        """Natural logarithm of a > 0."""

    def tanh(self, a: Array) -> Array:
        """Hyperbolic tangent."""

    def erf(self, a: Array) -> Array:
        """Error function."""

    def round(self, a: Array) -> Array:
        """To the nearest integer, halves to the even one."""

    def truncate(self, a: Array) -> Array:
        """The whole part: to the nearest integer towards 0."""

    def elementwise(self, function: str, a: Array) -> Array:
        """One of :data:`FUNCTIONS`, by the name that ONNX has for it."""

    def power(self, a: Array, exponent: Array | float) -> Array:
        """a to the power of a number, or of an array that broadcasts to it."""

    def softmax(self, a: Array, axis: int) -> Array:
        """e^a over its sum along an axis."""

    def whole(self, a: Array) -> Array:
        """Whole numbers, stored as floats, as indices."""

    def largest(self, a: Array) -> Array:
        """The largest of all elements, as a scalar."""

    def stabilized_ratio(self, a: Array, epsilon: float, nonnegative: bool = False) -> Array:
        """|a| / (|a| + ε), for ε > 0; ``nonnegative`` says that |a| is a."""

    def stabilize(self, z: Array, epsilon: float) -> Array:
        """z + ε sign(z) with sign(0) = +1, for ε > 0."""

    def zeros_like(self, a: Array) -> Array:
        """Zeros of the same shape."""

    def ones_like(self, a: Array) -> Array:
        """Ones of the same shape."""

    def sum(self, a: Array, axes: Sequence[int], keepdims: bool = False) -> Array:
        """Sum over axes; over none when ``axes`` is empty."""

    def reshape(self, a: Array, shape: Sequence[int]) -> Array:
        """Same values, other shape."""

    def permute(self, a: Array, axes: Sequence[int]) -> Array:
        """Transpose to this order of axes."""

    def expand(self, a: Array, shape: Sequence[int]) -> Array:
        """Broadcast to a shape."""

    def concat(self, arrays: Sequence[Array], axis: int) -> Array:
        """Join along an axis."""

    def pad(self, a: Array, before: Sequence[int], after: Sequence[int]) -> Array:
        """Add zeros at either end of each axis; negative counts crop."""

    def take(self, a: Array, indices: np.ndarray, axis: int) -> Array:
        """``a`` at these (1-D, non-negative) positions of an axis."""

    def put(self, a: Array, indices: np.ndarray, axis: int, length: int) -> Array:
        """Adjoint of :meth:`take`: add each slice into zeros of that length along the axis."""

    def lookup(self, table: Array, indices: Array, axis: int) -> Array:
        """``table`` at whole numbers of any shape, in place of an axis; negative ones count from its end."""

    def matmul(self, a: Array, b: Array) -> Array:
        """Matrix product over the last two axes, leading ones broadcast."""

    def conv(self, x: Array, w: Array, window: Window) -> Array:
        """Cross-correlation: x (N, C, *in), w (O, C/groups, *kernel) -> (N, O, *out)."""

    def conv_transpose(self, s: Array, w: Array, window: Window, spatial: Sequence[int]) -> Array:
        """Adjoint of :meth:`conv` for an input of shape (N, C, *spatial): s (N, O, *out) -> (N, C, *spatial)."""

    def max_pool(self, x: Array, window: Window) -> tuple[Array, Array]:
        """Maximum of each window, (N, C, *out), and its winner, the first one on ties, for :meth:`max_unpool`."""

    def max_unpool(self, s: Array, winner: Array, window: Window, shape: Shape) -> Array:
        """Add values into zeros of this shape, where the winners of :meth:`max_pool` stood."""

    def argmax(self, a: Array) -> Array:
        """Winner along the last axis; the first one on ties."""

    def top(self, a: Array, count: int) -> Array:
        """Positions of the largest along the last axis, in descending order; the first one first on ties."""

    def gather(self, a: Array, indices: Array) -> Array:
        """``a[..., indices[..., i]]``: values at positions of the last axis."""

    def scatter(self, a: Array, indices: Array, length: int) -> Array:
        """Adjoint of :meth:`gather`: add values into zeros whose last axis has that length."""


def sum_to(xp: Backend, a: Array, shape: Sequence[int]) -> Array:
    """Adjoint of broadcasting: sum ``a`` down to ``shape``."""
    have = xp.shape(a)
    if have == tuple(shape):
        return a
    extra = len(have) - len(shape)
    if extra < 0:  # a itself is still to be broadcast
        return xp.expand(a, shape)
    axes = [i for i, n in enumerate(have) if i < extra or (shape[i - extra] == 1 and n != 1)]
    reduced = xp.reshape(xp.sum(a, axes), tuple(1 if i in axes else n for i, n in enumerate(have))[extra:])
    return xp.expand(reduced, shape)
