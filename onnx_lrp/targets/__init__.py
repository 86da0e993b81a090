"""What is explained of a tensor: one element (``indices``), one against others (``contrasts``), or a weighting of all
(``regions``)."""

from .contrasts import SEED_WORDS, Contrast, runner_up, softmaxed
from .indices import Target, largest, resolve, seed_relevance
from .regions import AnyTarget, Region, as_region
from .seeds import Rivals, Seed, as_seed

__all__ = [
    "SEED_WORDS", "AnyTarget", "Contrast", "Region", "Rivals", "Seed", "Target", "as_region", "as_seed", "largest",
    "resolve", "runner_up", "seed_relevance", "softmaxed",
]  # fmt: skip
