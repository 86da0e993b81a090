"""What a rule consists of: terms that share a denominator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .modifiers import SIGNS, Modifier, Signed, identity, neg, pos

Gate = Literal["all", "positive", "negative"]


@dataclass(frozen=True)
class Term:
    """One summand of a part: what is done to the input, and what to the weight.

    ``fixed`` says that the modified input is the same for every sample, so that one is enough to compute its part of
    the denominator: true of ``constant(low)`` and of ``ones``, which read no more than the shape of x, and of nothing
    that looks at a value of x. For example, z^B's second term is ``Term(constant(low), Signed(-1, 0), fixed=True)``:
    of a batch of 64, Σ low·w⁺ is summed once.
    """

    input: Modifier
    weight: Modifier
    fixed: bool = False


@dataclass(frozen=True)
class Part:
    """Terms that share a denominator, and the outputs that it serves.

    ``gate`` names them by the layer's own output z = Wx + b (without b under ``bias="ignore"``): all, or those with
    z > 0 or z < 0. It chooses, it promises nothing: the denominator of a gated part may have either sign, and is
    stabilized by the sign that it has. For example, of the outputs z = (2, -1) with relevance R = (4, 6)

        Part((Term(identity, Signed(1.25, 1)),), bias=Signed(1.25, 1), gate="positive")

    serves the first one only: it hands 4 / st(z + 0.25 z⁺) back to the inputs of the first, and nothing of the 6.
    """

    terms: tuple[Term, ...]
    bias: Modifier | None = None
    scale: float = 1.0
    gate: Gate = "all"

    @property
    def is_model(self) -> bool:
        """Whether it is the layer as it stands: all outputs, each over itself."""
        return self == OUTPUT

    def slopes(self, nonnegative: bool = False) -> Signed | None:
        """(u, d) if the denominator is u·z⁺ + d·z⁻, the sums of positive and of negative contributions; else None.

        ``nonnegative`` says that the input has no negative entry.
        """
        found = {term.input: term.weight for term in self.terms}
        if set(found) == {identity} and nonnegative:
            slopes = found[identity]
        elif set(found) == {pos, neg} and len(self.terms) == 2:
            slopes = found[pos]
            if not isinstance(slopes, Signed) or found[neg] != Signed(slopes.negative, slopes.positive):
                return None
        else:
            return None
        return slopes if isinstance(slopes, Signed) and len(self.terms) == len(found) and self.bias == slopes else None

    def sign(self, nonnegative: bool = False) -> int:
        """1 or -1 if the denominator cannot have the other sign where the part serves an output; else 0.

        It follows from the terms. Of a gated part, u·z⁺ + d·z⁻ = d·z + (u - d)·z⁺ > 0 for z > 0 if u > d >= 0. With
        u = d it is z itself, which may cancel, so that ε must not be added before.
        """
        if self.gate != "all":
            slopes = self.slopes(nonnegative)
            if slopes is None:
                return 0
            large, small = slopes.positive, slopes.negative
            if self.gate == "negative":
                large, small = small, large
            return (1 if self.gate == "positive" else -1) if large > small >= 0 else 0
        inputs = SIGNS | {identity: int(nonnegative)}
        signs = {inputs.get(term.input, 0) * SIGNS.get(term.weight, 0) for term in self.terms}
        signs |= {SIGNS.get(self.bias, 0)} if self.bias is not None else set()
        return signs.pop() if len(signs) == 1 else 0


OUTPUT = Part((Term(identity, identity),), bias=identity)  # the layer itself
