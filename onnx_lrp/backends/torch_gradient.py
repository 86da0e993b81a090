"""Torch's own differentiation, for what the reverse walk has no transpose of."""

from __future__ import annotations

import torch
from torch import Tensor


def autograd(target: Tensor, seed: Tensor, tensor: Tensor) -> Tensor:
    """∂(seed · target) / ∂tensor, of the tensor's shape; 0 if the target does not depend on it."""
    if not target.requires_grad:
        return torch.zeros_like(tensor)
    (found,) = torch.autograd.grad(target, tensor, seed, allow_unused=True)
    return torch.zeros_like(tensor) if found is None else found
