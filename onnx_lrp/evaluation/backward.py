"""The exact gradient by the reverse walk: what LRP-0 multiplies by, without the division.

At a recorded activation every node is a linear map, and of a network that is linear in pieces the product of their
transposes is the gradient. So the walk needs no rule; only an activation's slope is no share of anything: where a ReLU6
is at its 6, relevance passes, and the gradient is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..backends.base import Array, Backend, sum_to
from ..ops import Activation, Linear, Merge, Route
from ..propagation.linear import quotient
from ..propagation.plan import Plan
from ..propagation.step import Step
from ..propagation.tape import StepOperands, Tape, Weights


def backward(plan: Plan, tape: Tape, weights: Weights, seed: Array, tensor: str) -> Array | None:
    """∂(seed · target) / ∂tensor.

    Args:
        plan: of a model all of whose steps have a slope, see :func:`without_slope`.
        tape: everything that a forward pass recorded.
        weights: the model's constants.
        seed: of the target's shape.
        tensor: an input, or a tensor inside.

    Returns:
        The gradient, of the tensor's shape; None if the target does not depend on it.
    """
    gradients = {plan.target: seed}
    for step in reversed(plan.steps):
        if tensor in step.outputs:  # all that read it stand behind it
            break
        arriving = [gradients.pop(name, None) for name in step.outputs]
        if all(g is None for g in arriving):
            continue
        for name, g in zip(step.receivers, _transposed(step, arriving, StepOperands(step, tape, weights))):
            gradients[name] = gradients[name] + g if name in gradients else g
    return gradients.get(tensor)


def without_slope(plan: Plan) -> Iterator[Step]:
    """The steps between inputs and target whose derivative this walk does not know."""
    for step in plan.reached():
        role = step.role
        if isinstance(role, Linear):
            known = role.function is None and not role.held and not step.held
        elif isinstance(role, Activation):
            known = step.op in SLOPES and not step.held
        else:
            known = (isinstance(role, Route) and role.copies) or (isinstance(role, Merge) and not step.held)
        if not known:
            yield step


def _transposed(step: Step, arriving: Sequence[Array | None], operands: StepOperands) -> list[Array]:
    role, xp = step.role, operands.weights.xp
    if isinstance(role, Route):
        return role.map.adjoint(xp, arriving, operands)
    g: Array = arriving[0]
    if isinstance(role, Merge):
        return [sum_to(xp, role.signs[i] * role.scale * g, operands.shape(i)) for i in role.data]
    if isinstance(role, Activation):
        return [g * SLOPES[step.op](xp, operands.value(role.receives[0]), operands.output())]
    assert isinstance(role, Linear)
    return [role.map.transpose(xp, g, operands.parameters(role).weight, operands.shape(role.data))]


def _ratio(xp: Backend, x: Array, y: Array) -> Array:
    """The slope of what is linear on either side of 0; there it is 0."""
    return quotient(xp, y, x, 0.0)


def _inside(xp: Backend, x: Array, y: Array) -> Array:
    """1 where x is handed on, else 0; at 0, where a Clip begins, it is 0."""
    return xp.where(y == x, xp.where(x == 0, 0.0, xp.ones_like(x)), 0.0)


SLOPES: dict[str, Callable[[Backend, Array, Array], Array]] = {
    "Relu": _inside, "Clip": _inside, "ThresholdedRelu": _inside,
    "LeakyRelu": _ratio, "PRelu": _ratio, "Abs": _ratio,
}  # fmt: skip
