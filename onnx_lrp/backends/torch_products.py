"""Convolutions and matrix products on Torch in the precision of their operands: no TF32, whatever the user allows.

TF32 keeps ten bits of a factor, and LRP divides by differences of products. The switches that allow it belong to the
whole process, so they are read here and never set.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .base import Window


def matrix_product(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product. No argument of Torch's refuses TF32 here; float64 has none, and is rounded once."""
    if a.is_cuda and a.dtype == torch.float32 and _tf32_allowed():
        return (a.double() @ b.double()).float()
    return a @ b


def correlated(x: Tensor, w: Tensor, window: Window, padding: Sequence[int]) -> Tensor:
    """Cross-correlation, padded alike at both ends."""
    return _convolution(x, w, window, padding, None)


def correlated_back(s: Tensor, w: Tensor, window: Window, padding: Sequence[int], extra: Sequence[int]) -> Tensor:
    """Its adjoint, with Torch's ``output_padding``."""
    return _convolution(s, w, window, padding, extra)


def _convolution(x: Tensor, w: Tensor, window: Window, padding: Sequence[int], extra: Sequence[int] | None) -> Tensor:
    """What ``functional.conv*`` call, with one more argument: ``allow_tf32``, which Torch's settings have on."""
    cudnn, transposed = torch.backends.cudnn, extra is not None
    shape = (window.strides, padding, window.dilations, transposed, extra or (0,) * len(padding), window.groups)
    how = (cudnn.benchmark, cudnn.deterministic, cudnn.enabled)
    return torch._convolution(x, w, None, *shape, *how, allow_tf32=False)


def _tf32_allowed() -> bool:
    """The setting for matrix products: since Torch 2.9 the older name is an error where the newer one was set."""
    setting = torch.backends.cuda.matmul
    newer = getattr(setting, "fp32_precision", None)
    return bool(setting.allow_tf32 if newer is None else newer == "tf32")
