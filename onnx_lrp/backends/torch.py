"""Torch on CPU or CUDA, float32 unless told otherwise; batches stay on the device.

Step three of the method is the explicit transpose of each map: no graph is recorded, which is faster than autograd.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from . import torch_products as products
from .base import Shape, Window

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class TorchBackend:
    """One dtype on one device."""

    name = "torch"
    out_of_memory: tuple[type[Exception], ...] = (MemoryError, torch.cuda.OutOfMemoryError)

    def __init__(self, dtype: str = "float32", device: str = "cpu") -> None:
        self.dtype = np.dtype(dtype)
        self._dtype = DTYPES[self.dtype.name]
        self.device = torch.device(device)
        torch.set_flush_denormal(True)  # tiny relevances would slow a CPU by an order of magnitude

    def asarray(self, value: np.ndarray) -> Tensor:
        plain = value.flags.writeable and min(value.strides, default=0) >= 0  # torch warns, or refuses
        value = value if plain else value.copy()
        tensor = torch.from_numpy(np.ascontiguousarray(value)).reshape(value.shape).to(self.device)
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor

    def to_numpy(self, a: Tensor) -> np.ndarray:
        return np.asarray(a.detach().cpu().numpy())

    def shape(self, a: Tensor) -> Shape:
        return tuple(a.shape)

    def where(self, condition: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
        if not isinstance(a, Tensor) and not isinstance(b, Tensor):
            a = torch.full((), a, dtype=self._dtype, device=self.device)  # made there, not sent
        return torch.where(condition, a, b)

    def maximum(self, a: Tensor, b: float) -> Tensor:
        return a.clamp(min=b)

    def minimum(self, a: Tensor, b: float) -> Tensor:
        return a.clamp(max=b)

    def leaky(self, a: Tensor, slope: float) -> Tensor:
        return functional.leaky_relu(a, slope)

    def abs(self, a: Tensor) -> Tensor:
        return a.abs()

    def exp(self, a: Tensor) -> Tensor:
        return a.exp()

    def log(self, a: Tensor) -> Tensor:
        return a.log()

    def tanh(self, a: Tensor) -> Tensor:
        return a.tanh()

    def erf(self, a: Tensor) -> Tensor:
        return a.erf()

    def round(self, a: Tensor) -> Tensor:
        return a.round()

    def truncate(self, a: Tensor) -> Tensor:
        return a.trunc()

    def elementwise(self, function: str, a: Tensor) -> Tensor:
        return getattr(torch, function.lower())(a)  # type: ignore[no-any-return]

    def power(self, a: Tensor, exponent: Tensor | float) -> Tensor:
        return torch.pow(a, exponent)

    def softmax(self, a: Tensor, axis: int) -> Tensor:
        return a.softmax(axis)

    def whole(self, a: Tensor) -> Tensor:
        return a.long()

    def largest(self, a: Tensor) -> Tensor:
        return a.max()

    def stabilized_ratio(self, a: Tensor, epsilon: float, nonnegative: bool = False) -> Tensor:
        size = a if nonnegative else a.abs()
        return size / (size + epsilon)

    def stabilize(self, z: Tensor, epsilon: float) -> Tensor:
        return self.where(z < 0, z - epsilon, z + epsilon)

    def zeros_like(self, a: Tensor) -> Tensor:
        return torch.zeros_like(a)

    def ones_like(self, a: Tensor) -> Tensor:
        return torch.ones_like(a)

    def sum(self, a: Tensor, axes: Sequence[int], keepdims: bool = False) -> Tensor:
        return a.sum(tuple(axes), keepdim=keepdims) if axes else a  # torch sums over all axes for an empty tuple

    def reshape(self, a: Tensor, shape: Sequence[int]) -> Tensor:
        return a.reshape(tuple(shape))

    def permute(self, a: Tensor, axes: Sequence[int]) -> Tensor:
        return a.permute(tuple(axes))

    def expand(self, a: Tensor, shape: Sequence[int]) -> Tensor:
        return a.expand(tuple(shape))

    def concat(self, arrays: Sequence[Tensor], axis: int) -> Tensor:
        return torch.cat(tuple(arrays), axis)

    def pad(self, a: Tensor, before: Sequence[int], after: Sequence[int]) -> Tensor:
        for sign in (1, -1):  # first add, then crop: one call refuses to crop more than was there
            widths = [max(sign * n, 0) for pair in zip(reversed(before), reversed(after)) for n in pair]
            a = functional.pad(a, [sign * n for n in widths]) if any(widths) else a  # counts from the last axis
        return a

    def take(self, a: Tensor, indices: np.ndarray, axis: int) -> Tensor:
        return a.index_select(axis, self._indices(indices, a.shape[axis]))

    def put(self, a: Tensor, indices: np.ndarray, axis: int, length: int) -> Tensor:
        zeros = a.new_zeros((*a.shape[:axis], length, *a.shape[axis + 1 :]))
        return zeros.index_add_(axis, self._indices(indices, length), a)

    def lookup(self, table: Tensor, indices: Tensor, axis: int) -> Tensor:
        flat, length = indices.long().reshape(-1), table.shape[axis]
        if flat.numel() and not -length <= int(flat.min()) <= int(flat.max()) < length:
            raise IndexError(f"an index is out of range for an axis of {length}")
        rows = table.index_select(axis, flat % length)
        return rows.reshape(*table.shape[:axis], *indices.shape, *table.shape[axis + 1 :])

    def _indices(self, indices: np.ndarray, length: int) -> Tensor:
        if indices.size and not 0 <= indices.min() <= indices.max() < length:
            raise IndexError(f"an index is out of range for an axis of {length}")  # on a GPU, the process's last error
        return torch.as_tensor(indices.copy(), device=self.device)  # it refuses negative strides

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        return products.matrix_product(a, b)

    def conv(self, x: Tensor, w: Tensor, window: Window) -> Tensor:
        padding = window.before
        if window.before != window.after or min(padding) < 0:  # torch's own padding is symmetric
            x, padding = self.pad(x, (0, 0, *window.before), (0, 0, *window.after)), (0,) * len(padding)
        return products.correlated(x, w, window, padding)

    def conv_transpose(self, s: Tensor, w: Tensor, window: Window, spatial: Sequence[int]) -> Tensor:
        pads, extra = window.before, self._output_padding(window, tuple(s.shape[2:]), spatial)
        if extra is not None:
            return products.correlated_back(s, w, window, pads, extra)
        full = products.correlated_back(s, w, window, (0,) * len(pads), (0,) * len(pads))
        after = tuple(n + b - f for n, b, f in zip(spatial, pads, full.shape[2:]))
        return self.pad(full, (0, 0, *(-b for b in pads)), (0, 0, *after))

    @staticmethod
    def _output_padding(window: Window, out: Shape, spatial: Sequence[int]) -> Shape | None:
        """Torch's ``output_padding`` that gives this spatial shape at once, or None if none does."""
        ends = zip(spatial, out, window.strides, window.before, window.reach())
        extra = tuple(n - ((o - 1) * s - 2 * b + r) for n, o, s, b, r in ends)
        fits = all(0 <= e < max(s, d) for e, s, d in zip(extra, window.strides, window.dilations))
        return extra if fits and min(window.before) >= 0 else None

    def max_pool(self, x: Tensor, window: Window) -> tuple[Tensor, Tensor]:
        pool = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}[len(window.kernel)]
        widths = [n for pair in zip(reversed(window.before), reversed(window.after)) for n in pair]
        padded = functional.pad(x, widths, value=-math.inf) if any(widths) else x
        best, winner = pool(padded, window.kernel, window.strides, 0, window.dilations, return_indices=True)
        return best, self._unpadded(winner, tuple(padded.shape[2:]), tuple(x.shape[2:]), window.before)

    def max_unpool(self, s: Tensor, winner: Tensor, window: Window, shape: Shape) -> Tensor:
        rows = (*shape[:2], -1)
        return self.scatter(s.reshape(rows), winner.reshape(rows), math.prod(shape[2:])).reshape(shape)

    @staticmethod
    def _unpadded(flat: Tensor, padded: Shape, spatial: Shape, before: Shape) -> Tensor:
        """Turn flat positions in the padded axes into flat positions in the original ones."""
        if padded == spatial:
            return flat
        result, stride = torch.zeros_like(flat), 1
        for size, length, b in reversed(list(zip(padded, spatial, before))):
            result += (flat % size - b) * stride
            flat, stride = flat // size, stride * length
        return result.clamp(min=0)  # a window wholly in the padding has no winner, and nothing to give

    def argmax(self, a: Tensor) -> Tensor:
        return a.argmax(-1, keepdim=True)  # documented to give the first of several maxima

    def top(self, a: Tensor, count: int) -> Tensor:
        return a.sort(dim=-1, descending=True, stable=True).indices[..., :count]

    def gather(self, a: Tensor, indices: Tensor) -> Tensor:
        return a.gather(-1, indices)

    def scatter(self, a: Tensor, indices: Tensor, length: int) -> Tensor:
        return a.new_zeros((*a.shape[:-1], length)).scatter_add_(-1, indices, a)
