"""The optional package pyarrow."""

from __future__ import annotations

from typing import Any

from ..errors import InputError


def load_pyarrow() -> Any:
    """``pyarrow``, with its ``compute`` and ``parquet``.

    Raises:
        InputError: it is not installed.
    """
    try:
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError:
        raise InputError("a batch run takes the package pyarrow: pip install 'onnx_lrp[batch]'") from None
    return pyarrow
