"""The ledger as a waterfall: from the relevance of the target, node by node, down to that of the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..propagation.ledger import LedgerEntry
from ..text import printable

MOST_BARS, LEAST_SHARE = 16, 0.002  # nodes of their own, and what of the whole each keeps or adds


@dataclass(frozen=True)
class WaterfallBar:
    """One step: ``left`` and ``width`` in percent of the drawing; ``kind`` is end, loss or gain."""

    node: str
    about: str
    amount: float
    left: float
    width: float
    kind: str


def waterfall(entries: Sequence[LedgerEntry], start: float, end: float) -> list[WaterfallBar]:
    """The bars, from the target to the inputs: nodes that keep or add most, in their order, and one for all others.

    Args:
        entries: from the output down.
        start: what the target has.
        end: what the inputs get.
    """
    ranked = sorted(range(len(entries)), key=lambda i: -abs(entries[i].absorbed))
    kept = sorted(i for i in ranked[:MOST_BARS] if abs(entries[i].absorbed) > LEAST_SHARE * max(abs(start), abs(end)))
    steps = [
        (printable(entries[i].node, 80), f"{printable(entries[i].op, 40)}, {entries[i].kind}", -entries[i].absorbed)
        for i in kept
    ]
    rest = (end - start) - sum(amount for _, _, amount in steps)
    others = len(entries) - len(kept)
    if others:
        steps.append((f"{others} other node{'s' * (others > 1)}", "together", rest))
    levels = [start]
    for _, _, amount in steps:
        levels.append(levels[-1] + amount)
    low, high = min(0.0, *levels, end), max(0.0, *levels, end)
    span = (high - low) or 1.0

    def bar(node: str, about: str, amount: float, a: float, b: float, kind: str) -> WaterfallBar:
        left, width = 100 * (min(a, b) - low) / span, 100 * abs(a - b) / span
        return WaterfallBar(node, about, amount, round(left, 3), round(max(width, 0.4), 3), kind)

    middle = [
        bar(*step, a, b, "loss" if step[2] < 0 else "gain") for step, a, b in zip(steps, levels, levels[1:])
    ]  # fmt: skip
    return [bar("target", "", start, 0.0, start, "end"), *middle, bar("inputs", "", end, 0.0, end, "end")]
