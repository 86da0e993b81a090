"""γ at merges: a sum of tensors is a linear map whose weights are its signs."""

from __future__ import annotations

from collections.abc import Sequence

from ..backends.base import Array, sum_to
from ..ops import Merge
from ..rules import Part, Rule, Signed
from .linear import quotient, total
from .step import Step
from .tape import StepOperands


def merged(step: Step, role: Merge, r: Array, operands: StepOperands) -> list[Array]:
    """R_i = Σ_parts scale · ρ(x_i) gate(R) / st(Σ_i ρ(x_i)), with ρ(x) = u·x⁺ + d·x⁻ of a signed summand x."""
    assert step.rule is not None
    positions = role.data if step.rule.bias == "ignore" else sorted(role.values)
    shares: dict[int, list[Array]] = {i: [] for i in role.data}
    for part in step.rule.parts():
        for i, share in _of_part(step.rule, part, role, r, operands, positions).items():
            shares[i].append(share)
    xp = operands.weights.xp
    return [sum_to(xp, total(found), operands.shape(i)) for i, found in shares.items()]


def _of_part(
    rule: Rule, part: Part, role: Merge, r: Array, operands: StepOperands, positions: Sequence[int]
) -> dict[int, Array]:
    """What one part hands to each summand, of the sum's shape or of one that broadcasts to it."""
    xp, slopes = operands.weights.xp, part.slopes()
    assert isinstance(slopes, Signed), "γ modifies a summand by its sign alone"
    modified = {i: slopes(xp, role.contribution(operands, i)) for i in positions}
    if part.gate != "all":
        z = role.sum(operands, positions)
        r = xp.where(z > 0 if part.gate == "positive" else z < 0, r, 0.0)
    s = part.scale * quotient(xp, r, total(modified.values()), rule.epsilon)
    return {i: modified[i] * s for i in role.data}
