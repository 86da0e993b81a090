"""From ONNX attributes (auto_pad, pads, ceil_mode, ...) and shapes to a :class:`~onnx_lrp.backends.base.Window`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..backends.base import Shape, Window
from .registry import Unsupported


@dataclass(frozen=True)
class Padding:
    """The attributes that convolutions and poolings share, defaults still open because the rank is."""

    auto_pad: str
    pads: Shape | None
    strides: Shape | None
    dilations: Shape | None
    group: int = 1

    @classmethod
    def of(
        cls,
        auto_pad: str,
        pads: Sequence[int] | None,
        strides: Sequence[int] | None,
        dilations: Sequence[int] | None = None,
        group: int = 1,
    ) -> Padding:
        """Check what can be checked without shapes."""
        if auto_pad not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
            raise Unsupported(f"unknown auto_pad {auto_pad!r}", "export with explicit pads")
        if any(n < 0 for n in pads or ()):
            raise Unsupported("negative pads", "crop with a Slice or a Pad")
        if any(n < 1 for n in (*(strides or ()), *(dilations or ()), group)):
            raise Unsupported("a stride, dilation or group below 1", "the model is malformed: export it again")
        return cls(auto_pad, _tuple(pads), _tuple(strides), _tuple(dilations), group)

    def window(self, kernel: Sequence[int]) -> Window:
        """Fill in the defaults for this kernel; ``auto_pad`` is not applied yet."""
        rank = len(kernel)
        given = (self.pads, 2 * rank), (self.strides, rank), (self.dilations, rank)
        if any(numbers is not None and len(numbers) != count for numbers, count in given):
            raise ValueError(f"its pads, strides or dilations do not fit a kernel of {rank} axes")
        pads = self.pads if self.pads and self.auto_pad == "NOTSET" else (0,) * (2 * rank)
        ones = (1,) * rank
        dilations = self.dilations or ones
        return Window(tuple(kernel), self.strides or ones, pads[:rank], pads[rank:], dilations, self.group)

    def split(self, total: Sequence[int]) -> tuple[Shape, Shape]:
        """Total padding to (before, after): the odd one at the end for SAME_UPPER, else at the beginning."""
        small, large = tuple(n // 2 for n in total), tuple(n - n // 2 for n in total)
        return (small, large) if self.auto_pad == "SAME_UPPER" else (large, small)


def pooled(padding: Padding, kernel: Sequence[int]) -> Shape:
    """A pooling's kernel, checked: each place of it must reach the data.

    Raises:
        Unsupported: it does not.
    """
    rank, pads = len(kernel), padding.pads or ()
    if any(n < 1 for n in kernel) or not kernel:
        raise Unsupported("a kernel below 1", "the model is malformed: export it again")
    if padding.auto_pad == "NOTSET" and len(pads) == 2 * rank and any(p >= k for p, k in zip(pads, (*kernel, *kernel))):
        raise Unsupported("pads as large as the kernel", "the model is malformed: export it again")
    return tuple(kernel)


def _tuple(values: Sequence[int] | None) -> Shape | None:
    return tuple(values) if values else None


def conv_window(padding: Padding, kernel: Sequence[int], spatial: Sequence[int]) -> Window:
    """The window of a Conv over an input of this spatial shape."""
    window = padding.window(kernel)
    if len(kernel) != len(spatial):
        raise ValueError(f"a kernel of {len(kernel)} axes does not fit {len(spatial)} spatial ones")
    if not padding.auto_pad.startswith("SAME"):
        if any(n < 0 for n in window.output(spatial)):
            raise ValueError(f"a kernel that reaches {window.reach()} does not fit into {tuple(spatial)}")
        return window
    ends = zip(spatial, window.strides, window.reach())
    before, after = padding.split([max((-(-n // s) - 1) * s + r - n, 0) for n, s, r in ends])
    return replace(window, before=before, after=after)


def pool_window(padding: Padding, kernel: Sequence[int], spatial: Sequence[int], ceil_mode: bool) -> Window:
    """The window of a pooling; with ``ceil_mode`` the end is padded so that the last, partial window counts."""
    window = conv_window(padding, kernel, spatial)
    if not ceil_mode:
        return window
    after = []
    for n, b, a, r, s in zip(spatial, window.before, window.after, window.reach(), window.strides):
        out = -(-(n + b + a - r) // s) + 1
        out -= (out - 1) * s >= n + b  # a window that would start in the end padding does not exist
        after.append((out - 1) * s + r - n - b)
    return replace(window, after=tuple(after))


def window_counts(window: Window, spatial: Sequence[int], padding: Sequence[tuple[int, int]]) -> np.ndarray:
    """How many elements each window covers, where ``padding`` (before, after) per axis counts as elements."""
    counts = np.ones(())
    for axis, (n, (before, after)) in enumerate(zip(spatial, padding)):
        start = np.arange(window.output(spatial)[axis]) * window.strides[axis] - window.before[axis]
        position = start[:, None] + np.arange(window.kernel[axis]) * window.dilations[axis]
        inside = ((position >= -before) & (position < n + after)).sum(1)
        counts = counts[..., None] * inside
    return counts


def transposed_window(
    padding: Padding, kernel: Sequence[int], spatial: Sequence[int], extra: Shape | None, output: Shape | None
) -> tuple[Window, Shape]:
    """The window of a ConvTranspose and the spatial shape of its output, for an input of shape ``spatial``."""
    window = padding.window(kernel)
    extra = extra or (0,) * len(kernel)
    reached = tuple((n - 1) * s + r for n, s, r in zip(spatial, window.strides, window.reach()))
    if output is None and padding.auto_pad.startswith("SAME"):
        output = tuple(n * s for n, s in zip(spatial, window.strides))
    if output is None:
        output = tuple(f + e - b - a for f, e, b, a in zip(reached, extra, window.before, window.after))
        before = window.before
    else:
        output = output[-len(kernel) :]  # some exporters put batch and channels in front
        before, _ = padding.split([f + e - o for f, e, o in zip(reached, extra, output)])
    # as a convolution's window it must stand at exactly as many places as the input has
    return replace(window, before=before, after=tuple(f - b - o for f, b, o in zip(reached, before, output))), output
