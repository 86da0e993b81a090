"""What there is to say where z^B waits for bounds that nobody knows."""

from __future__ import annotations

from collections.abc import Iterator

from ..composites import Bounded
from ..rules import ZPlus
from .plan import Plan
from .step import Step


def unknown_bounds(plan: Plan) -> Iterator[str]:
    """A composite that has z^B for the first layer where bounds are known, and an input whose bounds are not."""
    waiting = any(isinstance(rule, Bounded) and rule.given is None for _, rule in plan.composite.entries)
    if waiting and any(reads_input_under_plus(step, plan) for step in plan.steps):
        yield (
            "the input's bounds are not known, so the first layer is under z⁺, which gives nothing to zeros; say them "
            f"(--preprocess NAME, or --composite {plan.composite.name}:low=NUMBER,high=NUMBER), and it is under z^B"
        )


def reads_input_under_plus(step: Step, plan: Plan) -> bool:
    """Whether it is a layer under z⁺ that an input goes into as it is."""
    return isinstance(step.rule, ZPlus) and step.role.mixes and not {*step.receivers}.isdisjoint(plan.inputs)
