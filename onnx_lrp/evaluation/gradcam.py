"""Grad-CAM: the maps of the last convolution, weighed by their mean gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..composites import CONVOLUTION
from ..errors import InputError
from ..model.graph import dims
from ..ops import Activation, Linear, Merge
from ..propagation.plan import Plan
from ..propagation.step import Step
from .gradients import Gradient
from .grids import Grid


def grad_cam(gradient: Gradient) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """max(0, Σ_k α_k A_k), α_k the mean of ∂z/∂A_k over the map (Selvaraju et al. 2017, eq. 1 and 2).

    A is what the last convolution with more than one place ends in: behind its BatchNorm, its residual sum and its
    activation. The map is resized linearly to the input, and the same for all channels.

    Args:
        gradient: of the model.

    Raises:
        InputError: no convolution has more than one place, or the input spans no space.
    """
    plan, source = gradient.plan, gradient.prepared.source
    tensor = _last_map(plan)
    if tensor is None:
        raise InputError(f"{source}: Grad-CAM needs a convolution whose map has more than one place; there is none")

    def part(x: np.ndarray, targets: np.ndarray) -> np.ndarray:
        maps, slopes = gradient.part(x, targets, tensor)
        space = tuple(range(2, maps.ndim))
        grid = Grid.of(gradient.prepared, x.shape)
        if grid is None or len(grid.space) != len(space):
            raise InputError(f"{source}: Grad-CAM needs an input that spans a space, not one of shape {x.shape}")
        cam = np.maximum((slopes.mean(space, keepdims=True) * maps).sum(1), 0)
        return grid.spread(cam, x.shape)

    return lambda inputs, targets: gradient.parts.run(part, np.asarray(inputs), np.asarray(targets))


def _last_map(plan: Plan) -> str | None:
    """The tensor that the last convolution with more than one place ends in."""
    for step in plan.reached():  # from the target on
        if step.op in CONVOLUTION and isinstance(step.role, Linear) and _is_wide(step):
            return _end(step.outputs[0], plan.steps, plan.target)
    return None


def _is_wide(step: Step) -> bool:
    shape = dims(step.node.outputs[0]) if step.node is not None else None
    return shape is None or any(size != 1 for size in shape[2:])


def _end(tensor: str, steps: Sequence[Step], target: str) -> str:
    """Behind what works element by element and alone reads the tensor."""
    readers = [step for step in steps if tensor in step.inputs]
    if tensor == target or len(readers) != 1:
        return tensor
    (reader,) = readers
    normalizes = isinstance(reader.role, Linear) and reader.role.keeps_shape
    if normalizes or isinstance(reader.role, Activation | Merge):
        return _end(reader.outputs[0], steps, target)
    return tensor
