"""The reverse walk: the whole of LRP's backward pass, one step per node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .backends.base import Array, Backend, sum_to
from .interpreter import Layer, contributions, divide, total
from .ops import Linear, Merge, Pass, Route
from .planning import Plan, Step
from .recording import StepOperands, Tape, Weights
from .rules import Pass as PassRule
from .rules import identity


@dataclass(frozen=True)
class Scaled:
    """Relevance in the multiplier form R = a ⊙ c, where a is the recorded tensor named ``base`` and c the ``factor``.

    What walks backwards is c: routes, merges and layers under the ε-rule then need no multiplication by a.
    """

    base: str
    factor: Array


Relevance = Array | Scaled
Observer = Callable[[Step, list[Array | None], list[tuple[str, Array]]], None]


def walk(
    plan: Plan, tape: Tape, weights: Weights, seed: Array, keep: set[str], observe: Observer | None = None
) -> dict[str, Array]:
    """Hand the seed relevance back from the target to the inputs.

    Args:
        plan: what to do at each node.
        tape: the recorded activations.
        weights: the model's constants.
        seed: initial relevance, of the target's shape.
        keep: names of tensors inside the network whose relevance is wanted, too.
        observe: called after each step with (step, relevance of its outputs, relevance of its inputs).

    Returns:
        Relevance of the inputs and of the tensors in ``keep`` that it reached.
    """
    relevance: dict[str, Relevance] = {plan.target: seed}
    kept: dict[str, Array] = {}
    for step in reversed(plan.steps):
        kept.update({name: plain(relevance[name], tape) for name in step.outputs if name in keep and name in relevance})
        arriving = [relevance.pop(name, None) for name in step.outputs]  # popped: memory is free once it is consumed
        if all(r is None for r in arriving):
            continue
        shares = list(propagate(step, arriving, StepOperands(step, tape, weights), plan.facts))
        if not plan.facts:
            shares = [(name, plain(r, tape)) for name, r in shares]
        for name, r in shares:
            relevance[name] = _added(relevance[name], r, tape) if name in relevance else r
        if observe is not None:
            observe(step, [plain(r, tape) for r in arriving], [(name, plain(r, tape)) for name, r in shares])
    return {**kept, **{name: plain(r, tape) for name, r in relevance.items()}}


def plain(r: Relevance | None, tape: Tape) -> Array:
    """R itself."""
    return tape.values[r.base] * r.factor if isinstance(r, Scaled) else r


def _added(a: Relevance, b: Relevance, tape: Tape) -> Relevance:
    if isinstance(a, Scaled) and isinstance(b, Scaled) and a.base == b.base:
        return Scaled(a.base, a.factor + b.factor)
    return plain(a, tape) + plain(b, tape)


def propagate(
    step: Step, arriving: Sequence[Relevance | None], operands: StepOperands, facts: bool
) -> Iterator[tuple[str, Relevance]]:
    """One step: relevance of its outputs to (name, relevance) of its inputs."""
    xp, role = operands.weights.xp, step.role
    if isinstance(role, Route):
        shares = _route(step, role, arriving, operands, xp)
    elif isinstance(role, Pass) or isinstance(step.rule, PassRule):
        shares = [arriving[0]]
    elif isinstance(role, Merge):
        shares = _merge(step, role, arriving[0], operands, xp)
    else:
        shares = [_linear_step(step, role, arriving[0], operands, facts)]
    for position, share in zip(step.data, shares):
        name = step.inputs[position]
        assert name is not None
        yield name, share


def _route(
    step: Step, role: Route, arriving: Sequence[Relevance | None], operands: StepOperands, xp: Backend
) -> list[Relevance]:
    """The adjoint: of c where R = (the output) ⊙ c, so that R_in = (the input) ⊙ c_in, else of R itself."""
    names = [step.inputs[i] or "" for i in step.data]
    tape = operands.tape
    own = all(r is None or (isinstance(r, Scaled) and r.base == name) for r, name in zip(arriving, step.outputs))
    if own and all(name in tape.values for name in names):
        factors = role.map.adjoint(xp, [None if r is None else r.factor for r in arriving], operands)
        return [Scaled(name, c) for name, c in zip(names, factors)]
    return role.map.adjoint(xp, [plain(r, tape) for r in arriving], operands)


def _merge(step: Step, role: Merge, r: Relevance, operands: StepOperands, xp: Backend) -> list[Relevance]:
    """Share by signed contribution: R_i = x_i R / st(Σ x_i)."""
    assert step.rule is not None
    tape = operands.tape
    s = over_output(xp, r, step, tape)
    scaled = [sum_to(xp, role.signs[i] * role.scale * s, operands.shape(i)) for i in role.data]
    return [Scaled(step.inputs[i] or "", c) for i, c in zip(role.data, scaled)]


def over_output(xp: Backend, r: Relevance, step: Step, tape: Tape) -> Array:
    """R / st(z) for the step's own output z: with R = z ⊙ c that is c |z| / (|z| + ε), and nothing ever branches."""
    assert step.rule is not None
    z, epsilon, masked = tape.values[step.denominator], step.rule.epsilon, step.masked is not None
    if isinstance(r, Scaled) and r.base == step.denominator and epsilon:
        return r.factor * xp.saturate(z, epsilon, masked)
    return divide(xp, plain(r, tape), z, epsilon, 1 if masked else 0)


def _linear_step(step: Step, role: Linear, r: Relevance, operands: StepOperands, facts: bool) -> Relevance:
    """A layer: in multiplier form wherever no term modifies its input."""
    rule, tape, xp, name = step.rule, operands.tape, operands.weights.xp, step.inputs[role.data] or ""
    assert rule is not None
    x, parameters = operands.value(role.data), operands.parameters(role)
    if rule.bias == "absorb" and all(part.is_model for part in rule.parts()):
        c = role.map.transpose(xp, over_output(xp, r, step, tape), parameters.weight, xp.shape(x))
        return Scaled(name, c)
    z = tape.values.get(step.denominator)
    layer = Layer(xp, role, rule, x, parameters, z, step.nonnegative, step.masked is not None, facts)
    scaled = isinstance(r, Scaled) and r.base == step.denominator and z is not None
    factors = list(layer.factors(r.factor if scaled else plain(r, tape), scaled))
    if all(modifier == identity for modifier, _ in factors):
        return Scaled(name, total([c for _, c in factors]))
    return contributions(xp, x, factors)
