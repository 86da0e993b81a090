"""A function of arrays as a Torch module, for libraries that take nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from ..errors import BackendError

try:
    import torch
    from torch import Tensor, nn
except ImportError:
    raise BackendError(
        "a model for Quantus is a Torch module; install it with: pip install 'onnx_lrp[quantus]'"
    ) from None


class FunctionModule(nn.Module):
    """A module, in evaluation mode, without parameters and without a gradient.

    Args:
        function: an array (n, ...) -> an array.
    """

    def __init__(self, function: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__()
        self.function = function
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """The function, in the dtype and on the device of ``x``."""
        return torch.from_numpy(np.ascontiguousarray(self.function(x.detach().cpu().numpy()))).to(x)

    def state_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        """There is none.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            "an ONNX model has no layers that Torch could draw anew, so randomisation metrics cannot run on it here"
        )
