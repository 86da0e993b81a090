"""How the weights that canonizers make follow from those that the source stores, so that none need be stored twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

ORIGIN = "onnx_lrp.origin"


@dataclass(frozen=True)
class Scaled:
    """gain · (the tensor of this name in the source - shift); both broadcast to it."""

    base: str
    gain: np.ndarray
    shift: np.ndarray | None = None


@dataclass(frozen=True)
class Stacked:
    """Rows of the matrices at one index of these tensors (matrices, rows, columns), transposed, one below the other."""

    bases: tuple[ir.Value, ...]
    index: int
    rows: np.ndarray


def origin_of(value: ir.Value) -> Scaled | Stacked | None:
    """Where a weight comes from, if a canonizer made it."""
    origin = value.meta.get(ORIGIN)
    return origin if isinstance(origin, Scaled | Stacked) else None
