"""The rules of LRP as data: how each one modifies a linear map's input, weight and bias.

A rule lists its *parts*; one formula (:mod:`onnx_lrp.propagation.linear`) runs them all, on every op and backend. With
z = Σ_terms W̃ x̃ + b̃ and the stabilizer st(z) = z + ε·sign(z), sign(0) = +1, a part contributes to the input

    R_j = scale · Σ_terms x̃_j Σ_k w̃_jk gate(R_k) / st(z_k).

Your own rule is a frozen dataclass with a ``parts`` method::

    @dataclass(frozen=True)
    class Quarter(Rule):
        \"\"\"LRP-0 on a quarter of the negative weights.\"\"\"

        def parts(self):
            soften = Signed(1, 0.25)  # a modifier: any function of (backend, array)
            return (Part((Term(identity, soften),), bias=soften),)

``modifiers`` are what is done to an array, ``parts`` what a rule consists of, ``rule`` what all of them have, and
``published`` are those of the literature.
"""

from .modifiers import Bound, Modifier, Signed, constant, identity, neg, ones, pos, square, times
from .parts import OUTPUT, Gate, Part, Term
from .published import AlphaBeta, Epsilon, Flat, Gamma, Pass, WSquare, ZBox, Zero, ZPlus
from .rule import Relative, Rule, Stabilizer

__all__ = [
    "OUTPUT", "AlphaBeta", "Bound", "Epsilon", "Flat", "Gamma", "Gate", "Modifier", "Part", "Pass", "Relative", "Rule",
    "Signed", "Stabilizer", "Term", "WSquare", "ZBox", "ZPlus", "Zero", "constant", "identity", "neg", "ones", "pos",
    "square", "times",
]  # fmt: skip
