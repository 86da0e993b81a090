"""What every contender is told alike. Nothing is imported here: whoever measures memory counts imports."""

from __future__ import annotations

COMPOSITES = ("epsilon", "epsilon_plus", "epsilon_plus_flat", "epsilon_gamma_box", "epsilon_alpha2_beta1")
LOW, HIGH = -4.0, 4.0  # the bounds of z^B; nearly all samples of a standard normal distribution lie between


def with_bounds(composite: str) -> str:
    """The composite in this package's own words, with bounds where z^B wants them."""
    return f"{composite}:low={LOW},high={HIGH}" if composite == "epsilon_gamma_box" else composite
