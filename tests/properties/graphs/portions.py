"""Many different graphs, ten at a time: after ten examples hypothesis mostly repeats parts of what it has drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

PORTION = 11  # the first of a portion is always the simplest
SETTINGS = settings(max_examples=PORTION, deadline=None, database=None, suppress_health_check=list(HealthCheck))
GENERATE = settings(SETTINGS, phases=[Phase.generate], report_multiple_bugs=False)


def drawn(
    check: Callable[..., None], portions: int, first: int = 0, how: settings = SETTINGS, **strategies: Any
) -> None:
    """Run a check on the examples of so many portions, each with a seed of its own."""
    for number in range(first, first + portions):
        seed(number)(how(given(**strategies)(check)))()
