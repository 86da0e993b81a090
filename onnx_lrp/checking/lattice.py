"""A lattice over a map: relevance that sits where the first layers' strides put it, whatever the picture shows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..explanation import Explanation
from ..model.graph import attributes
from ..pictures.layout import Layout
from ..propagation.plan import Plan
from ..propagation.step import Step
from ..rules import Flat
from ..text import printable

LATTICE = "a lattice lies over the map of"
STRIDED = ("Conv", "MaxPool", "AveragePool", "LpPool")
DEEP = 2  # strided layers whose strides multiply to the period
EXCESS = 1.5  # times its even share, that one place in the lattice carries
REPEATS = 12  # periods along both sides at least: fewer, and a lattice cannot be told from a coarse picture


def lattices(explanation: Explanation, plan: Plan) -> Iterator[str]:
    """A line for every input whose |R|, summed over the batch, is far from even over the places within a period.

    The period is the stride of the first layer, or its product with the next one's. Layers whose windows do not cover
    all places equally often, or which weigh them differently, leave such a lattice (as deconvolution does: Odena,
    Dumoulin and Olah 2016).
    """
    for name in plan.inputs:
        relevance = explanation.inputs.get(name)
        if relevance is None or relevance.ndim != 4:
            continue
        layout = Layout.of((None, *relevance.shape[1:]))
        summed = np.abs(relevance.sum(layout.axes.index("C"))).sum(0, dtype=np.float64)
        strided = _strided(plan, name)
        found = [(excess(summed, periods), periods) for periods in _periods(strided)]
        worst, periods = max(found, default=(0.0, (1, 1)))
        if worst > EXCESS:
            yield _line(name, worst, periods, strided)


def excess(plane: np.ndarray, periods: tuple[int, int]) -> float:
    """How many times its even share the strongest place within a period carries; 0 of too small a map.

    Args:
        plane: |R|, (H, W).
        periods: along both axes.
    """
    (height, width), (down, across) = plane.shape, periods
    rows, columns = height // down, width // across
    if min(rows, columns) < REPEATS or not plane.any():
        return 0.0
    places = plane[: rows * down, : columns * across].reshape(rows, down, columns, across).sum((0, 2))
    return float(places.max() / max(float(places.mean()), 1e-300))


def _line(name: str, worst: float, periods: tuple[int, int], strided: list[Step]) -> str:
    size = max(periods)
    layers = " and ".join(f"{step.op} {printable(step.name.rpartition('→')[2], 60)}" for step in strided)
    even = (
        ", or give the first layer the flat rule, which is even there (--composite epsilon_plus_flat)"
        if _flat_is_even(strided[0]) and len(strided) == 1
        else ""
    )
    return (
        f"{LATTICE} {printable(name)!r}: one pixel in {periods[0] * periods[1]} carries {worst:.2g} "
        f"times its share, again every {size} pixels. It comes from the strides of {layers}, not from the picture: "
        f"blur it (--smooth {max(1, size // 2)}){even}"
    )


def _flat_is_even(step: Step) -> bool:
    """Whether windows cover every place equally often, and the rule is not flat already."""
    windows = attributes(step.node).get("kernel_shape", ()) if step.node is not None else ()
    return not isinstance(step.rule, Flat) and all(k % s == 0 for k, s in zip(windows, _strides(step)))


def _periods(strided: list[Step]) -> Iterator[tuple[int, int]]:
    down, across = 1, 1
    for step in strided:
        down, across = down * _strides(step)[0], across * _strides(step)[1]
        yield down, across


def _strided(plan: Plan, name: str) -> list[Step]:
    """The first layers behind an input that move by more than a pixel."""
    tensors, found = {name}, list[Step]()
    for step in plan.steps:
        if tensors.isdisjoint(step.receivers):
            continue
        tensors |= set(step.outputs)
        if step.op in STRIDED and max(_strides(step)) > 1 and len(found) < DEEP:
            found.append(step)
    return found


def _strides(step: Step) -> tuple[int, int]:
    given = [] if step.node is None else list(attributes(step.node).get("strides", ()))
    return (int(given[0]), int(given[1])) if len(given) == 2 else (1, 1)
