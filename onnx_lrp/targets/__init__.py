"""What is explained of a tensor: one element (``indices``), or a weighting of all of them (``regions``)."""

from .indices import Seed, Target, largest, resolve, seed_relevance
from .regions import AnyTarget, Region, as_region

__all__ = ["AnyTarget", "Region", "Seed", "Target", "as_region", "largest", "resolve", "seed_relevance"]
