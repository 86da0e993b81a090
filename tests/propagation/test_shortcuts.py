"""Every shortcut gives what the formula gives: one test of each, on random layers with claims that are true of them.

The tests come from the list of shortcuts, so that none can be added without; a shortcut that is never taken fails.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from drawing import Drawn, fits, pool
from layers import NUMPY, TORCH

from onnx_lrp import AlphaBeta, backends
from onnx_lrp.propagation import shortcuts
from onnx_lrp.propagation.fast import FastRelevance, Shortcut
from onnx_lrp.propagation.shortcuts import SHORTCUTS

FEWEST = 20  # layers in which a shortcut has to be taken
MOST = 1000  # layers on which one shortcut is tried
DIGITS = 1e-9  # in float64
WORSE = 10  # times as far from the truth as the formula's own float32 a shortcut may be
FLOOR = 2 * float(np.finfo(np.float32).eps)

SINGLE = [backends.create(backends.Choice(name, "float32")) for name in ("numpy", "torch")]

each_shortcut = pytest.mark.parametrize("shortcut", SHORTCUTS, ids=lambda s: type(s).__name__)
in_float64 = pytest.mark.parametrize("xp", [NUMPY, TORCH], ids=lambda xp: xp.name)
in_float32 = pytest.mark.parametrize("xp", SINGLE, ids=lambda xp: xp.name)


class Counted(Shortcut):
    """A shortcut that knows how often it was taken."""

    def __init__(self, shortcut: Shortcut) -> None:
        self.shortcut, self.stage, self.runs = shortcut, shortcut.stage, 0

    def applies(self, at: FastRelevance, what: Any) -> bool:
        return self.shortcut.applies(at, what)

    def run(self, at: FastRelevance, what: Any, *arguments: Any) -> Any:
        self.runs += 1
        return self.shortcut.run(at, what, *arguments)


@functools.cache
def fitting(shortcut: Shortcut) -> list[Drawn]:
    """Layers where it can be taken, spread over all that were drawn."""
    found = [drawn for drawn in pool() if fits(shortcut, drawn.fast(NUMPY, (shortcut,)))]
    return found[:: 1 + len(found) // MOST]


def error(drawn: Drawn, found: np.ndarray, truth: np.ndarray) -> float:
    """Of the worst entry, measured by the sizes of its shares: where these cancel, every way to add them errs."""
    assert found.shape == truth.shape
    sizes = drawn.sizes()
    return float((np.abs(found - truth) / np.where(sizes == 0, 1.0, sizes)).max())


def assert_equal(drawn: Drawn, xp: Any, allowed: tuple[Shortcut, ...]) -> None:
    assert error(drawn, drawn.by_shortcuts(xp, allowed), drawn.by_formula(xp)) <= DIGITS, drawn


def assert_as_exact(drawn: Drawn, xp: Any, allowed: tuple[Shortcut, ...]) -> None:
    truth = drawn.by_formula(NUMPY)
    most = WORSE * error(drawn, drawn.by_formula(xp), truth) + FLOOR
    assert error(drawn, drawn.by_shortcuts(xp, allowed), truth) <= most, drawn


def taken(shortcut: Shortcut, xp: Any, check: Any) -> int:
    """Check layers where it can be taken; in how many it was."""
    layers = 0
    for drawn in fitting(shortcut):
        counted = Counted(shortcut)
        check(drawn, xp, (counted,))
        layers += counted.runs > 0
    return layers


@in_float64
@each_shortcut
def test_a_shortcut_gives_what_the_formula_gives(shortcut: Shortcut, xp: Any) -> None:
    assert taken(shortcut, xp, assert_equal) >= FEWEST


@in_float32
@each_shortcut
def test_a_shortcut_loses_no_digits_that_the_formula_keeps(shortcut: Shortcut, xp: Any) -> None:
    assert taken(shortcut, xp, assert_as_exact) >= FEWEST


@in_float64
def test_all_shortcuts_give_what_the_formula_gives(xp: Any) -> None:
    for drawn in pool():
        assert_equal(drawn, xp, SHORTCUTS)


def assert_all_as_exact(layers: Iterable[Drawn], xp: Any) -> None:
    for drawn in layers:
        assert_as_exact(drawn, xp, SHORTCUTS)


@in_float32
def test_all_shortcuts_lose_no_digits_that_the_formula_keeps(xp: Any) -> None:
    assert_all_as_exact(pool(), xp)


@in_float32
def test_alpha_beta_loses_no_digits_that_the_formula_keeps(xp: Any) -> None:
    """Twice one sum less another: what cancels here has to cancel in the formula, too."""
    rules = [AlphaBeta(2.0, 1.0, epsilon=d.rule.epsilon, bias=d.rule.bias) for d in pool()[:1000]]
    assert_all_as_exact((d.under(rule) for d, rule in zip(pool(), rules)), xp)


def test_what_is_claimed_is_true() -> None:
    for drawn in pool():
        layer = drawn.layer(NUMPY)
        assert not drawn.nonnegative or (layer.a >= 0).all()
        assert not (drawn.masked and drawn.relevance(layer)[drawn.output(layer) <= 0].any())


def test_every_shortcut_is_in_the_list() -> None:
    defined = [c for _, c in inspect.getmembers(shortcuts, inspect.isclass) if issubclass(c, Shortcut)]
    assert {type(s) for s in SHORTCUTS} == {c for c in defined if c is not Shortcut}
    assert len({type(s) for s in SHORTCUTS}) == len(SHORTCUTS)


def test_every_stage_is_one_that_is_asked_for() -> None:
    """A stage that nothing asks for would never be taken."""
    assert {s.stage for s in SHORTCUTS} <= {"parts", "layer", "gate", "sum", "quotient", "transpose"}
