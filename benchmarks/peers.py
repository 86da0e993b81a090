"""Torch's gradient and zennit, with the nets and the wrappers that the regression tests have.

No ONNX library is imported here, so that it cannot count for torch or zennit where memory is measured.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .settings import HIGH, LOW

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "regression"))

import nets
import reference

with reference.torchvision_stand_in():
    from zennit import composites, rules

__all__ = ["ZENNIT_COMPOSITES", "nets", "reference", "seeded_gradient"]

ZENNIT_COMPOSITES: dict[str, Callable[[], Any]] = {  # under our names
    "epsilon": lambda: reference.zennit_everywhere(rules.Epsilon()),
    "epsilon_plus": composites.EpsilonPlus,
    "epsilon_plus_flat": composites.EpsilonPlusFlat,
    "epsilon_alpha2_beta1": composites.EpsilonAlpha2Beta1,
    "epsilon_alpha2_beta1_flat": composites.EpsilonAlpha2Beta1Flat,
    "epsilon_gamma_box": lambda: composites.EpsilonGammaBox(LOW, HIGH),
}


def seeded_gradient(net: nn.Module, x: Tensor, target: np.ndarray) -> np.ndarray:
    """Gradient of the input, seeded with the logit; where zennit has its hooks, relevance."""
    x = x.clone().requires_grad_()
    output = net(x)
    return torch.autograd.grad(output, x, reference.seeded(output, target))[0].numpy()
