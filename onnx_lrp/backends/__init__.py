"""How arrays are computed: ``numpy`` (reference), ``torch`` (CPU, CUDA), ``onnx`` (recorded, compiled into a model).

Nothing here knows ops or rules.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from ..errors import BackendError
from .base import Backend

__all__ = ["Backend", "Choice", "choices", "create"]

DEFAULT_DTYPES = {"onnx": "float32", "numpy": "float64", "torch": "float32"}


@dataclass(frozen=True)
class Choice:
    """A backend by name, its dtype and device."""

    name: str
    dtype: str
    device: str | None = None


def choices(name: str = "auto", dtype: str | None = None, device: str | None = None) -> list[Choice]:
    """What to try, in this order: one backend, or for ``auto`` what has the dtype and the device, the fastest first.

    ``dtype`` is ``"float32"`` or ``"float64"`` (default: float64 on NumPy, else float32); ``device`` is Torch's.

    Raises:
        BackendError: unknown name or dtype, or one that the backend does not have.
    """
    if name not in ("auto", *DEFAULT_DTYPES):
        raise BackendError(f"unknown backend {name!r}; choose one of auto, {', '.join(DEFAULT_DTYPES)}")
    if dtype not in (None, "float32", "float64"):
        raise BackendError(f"unknown dtype {dtype!r}; choose float32 or float64")
    plain = device in (None, "cpu")
    if name == "auto":
        compiled = ["onnx"] if plain and dtype != "float64" else []
        return [
            Choice(n, dtype or DEFAULT_DTYPES[n], device) for n in (*compiled, "torch" if _installed() else "numpy")
        ]
    if name == "onnx" and dtype == "float64":
        raise BackendError("the onnx backend computes in float32; use backend='torch' or 'numpy' for float64")
    if name != "torch" and not plain:
        raise BackendError(f"the {name} backend has no device {device!r}; use backend='torch'")
    return [Choice(name, dtype or DEFAULT_DTYPES[name], device)]


def create(choice: Choice) -> Backend:
    """Make a computing backend.

    Raises:
        BackendError: Torch is not installed, or does not have the device.
    """
    return (
        _torch(choice.dtype, choice.device or "cpu") if choice.name == "torch" else _numpy(choice.dtype, choice.device)
    )


def _installed() -> bool:
    return importlib.util.find_spec("torch") is not None


def _numpy(dtype: str, device: str | None) -> Backend:
    from .numpy import NumpyBackend

    if device not in (None, "cpu"):
        raise BackendError(f"the numpy backend has no device {device!r}; use backend='torch'")
    return NumpyBackend(dtype)


def _torch(dtype: str, device: str) -> Backend:
    if not _installed():
        raise BackendError("the torch backend needs PyTorch; install it with: pip install 'onnx_lrp[torch]'")
    import torch

    from .torch import TorchBackend

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BackendError(f"torch device {device!r} cannot be used: {str(error).splitlines()[0]}") from None
    return TorchBackend(dtype, device)
