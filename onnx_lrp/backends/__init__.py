"""How arrays are computed: ``numpy`` (reference), ``torch`` (CPU, CUDA). Nothing here knows ops or rules."""

from __future__ import annotations

import importlib.util

from ..errors import BackendError
from .base import Backend

__all__ = ["Backend", "create"]

DEFAULT_DTYPES = {"numpy": "float64", "torch": "float32"}


def create(name: str = "auto", dtype: str | None = None, device: str | None = None) -> Backend:
    """Make a backend.

    ``auto`` is Torch where it is installed, else NumPy. ``dtype`` is ``"float32"`` or ``"float64"`` (default: float64
    on NumPy, float32 on Torch); ``device`` is Torch's, for example ``"cuda:0"``.

    Raises:
        BackendError: unknown name, dtype or device, or Torch is not installed.
    """
    installed = importlib.util.find_spec("torch") is not None
    name = ("torch" if installed else "numpy") if name == "auto" else name
    if name not in DEFAULT_DTYPES:
        raise BackendError(f"unknown backend {name!r}; choose one of auto, {', '.join(DEFAULT_DTYPES)}")
    dtype = dtype or DEFAULT_DTYPES[name]
    if dtype not in ("float32", "float64"):
        raise BackendError(f"unknown dtype {dtype!r}; choose float32 or float64")
    return _torch(dtype, device or "cpu", installed) if name == "torch" else _numpy(dtype, device)


def _numpy(dtype: str, device: str | None) -> Backend:
    from .numpy import NumpyBackend

    if device not in (None, "cpu"):
        raise BackendError(f"the numpy backend has no device {device!r}; use backend='torch'")
    return NumpyBackend(dtype)


def _torch(dtype: str, device: str, installed: bool) -> Backend:
    if not installed:
        raise BackendError("the torch backend needs PyTorch; install it with: pip install 'onnx_lrp[torch]'")
    import torch

    from .torch import TorchBackend

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BackendError(f"torch device {device!r} cannot be used: {str(error).splitlines()[0]}") from None
    return TorchBackend(dtype, device)
