"""One linear map under any rule, and the reverse walk: the whole of LRP's backward pass.

Steps 1 to 4 of Montavon et al. 2019 for each part of a rule: z = Σ W̃x̃ + b̃, s = R / st(z), c = W̃ᵀs, R_in = x̃ ⊙ c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .backends.base import Array, Backend, sum_to
from .ops import Linear, Merge, Pass, Route
from .planning import Plan, Step
from .recording import StepOperands, Tape, Weights
from .rules import Modifier, Part, Rule, Term, identity, neg, pos
from .rules import Pass as PassRule

Parameters = tuple[Array, Array | None]
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
    relevance: dict[str, Array] = {plan.target: seed}
    kept: dict[str, Array] = {}
    for step in reversed(plan.steps):
        kept.update({name: relevance[name] for name in step.outputs if name in keep and name in relevance})
        arriving = [relevance.pop(name, None) for name in step.outputs]  # popped: memory is free once it is consumed
        if all(r is None for r in arriving):
            continue
        shares = list(propagate(step, arriving, StepOperands(step, tape, weights), weights))
        for name, r in shares:
            relevance[name] = relevance[name] + r if name in relevance else r
        if observe is not None:
            observe(step, arriving, shares)
    return {**kept, **relevance}


def propagate(
    step: Step, arriving: list[Array | None], operands: StepOperands, weights: Weights
) -> Iterator[tuple[str, Array]]:
    """One step: relevance of its outputs to (name, relevance) of its inputs."""
    xp, role = weights.xp, step.role
    if isinstance(role, Route):
        shares = role.map.adjoint(xp, arriving, operands)
    elif isinstance(role, Pass):
        shares = [arriving[0]]
    elif isinstance(role, Merge):
        shares = _merge(step, role, arriving[0], operands, xp)
    else:
        shares = [_linear_step(step, role, arriving[0], operands, xp)]
    for position, share in zip(step.data, shares):
        name = step.inputs[position]
        assert name is not None
        yield name, share


def _merge(step: Step, role: Merge, r: Array, operands: StepOperands, xp: Backend) -> list[Array]:
    """Share by signed contribution: R_i = x_i R / st(Σ x_i)."""
    assert step.rule is not None
    s = divide(xp, r, operands.tape.values[step.denominator], step.rule.epsilon, step.masked is not None)
    return [sum_to(xp, role.contribution(operands, i) * s, operands.shape(i)) for i in role.data]


def _linear_step(step: Step, role: Linear, r: Array, operands: StepOperands, xp: Backend) -> Array:
    rule = step.rule
    assert rule is not None
    if isinstance(rule, PassRule):
        return r
    z = operands.tape.values.get(step.denominator)
    parameters = role.parameters(xp, operands)
    return linear(
        xp, role, rule, operands.value(role.data), parameters, r, z, step.nonnegative, step.masked is not None
    )


def linear(
    xp: Backend,
    role: Linear,
    rule: Rule,
    x: Array,
    parameters: Parameters,
    r: Array,
    z: Array | None = None,
    nonnegative: bool = False,
    masked: bool = False,
) -> Array:
    """Any rule on any linear map.

    Args:
        xp: the backend.
        role: the map.
        rule: what to do to its input, weight and bias.
        x: input activation.
        parameters: weight, and bias of a shape that broadcasts to the output.
        r: relevance of the output.
        z: the output activation, or the ReLU of it if ``masked``; computed where it is needed and None.
        nonnegative: x has no negative entry (a fact: it only saves work).
        masked: r is 0 wherever the output is not positive (likewise).

    Returns:
        Relevance of the input.
    """
    total: Array | None = None
    for part in rule.parts():
        terms = [_resolved(term) for term in part.terms if term.input is not neg] if nonnegative else list(part.terms)
        if not terms or (masked and part.gate == "negative"):
            continue
        if part.gate != "all" and z is None:
            z = _forward(xp, role, MODEL, identity, x, parameters)
        bias = part.bias if rule.bias == "absorb" else None
        known = z is not None and part.is_model and bias is not None
        denominator = z if known else _forward(xp, role, terms, bias, x, parameters)
        s = divide(xp, _gated(xp, part, r, z, masked), denominator, rule.epsilon, known and masked)
        s = s if part.scale == 1 else part.scale * s
        for term in terms:
            c = role.map.transpose(xp, s, term.weight(xp, parameters[0]), xp.shape(x))
            share = term.input(xp, x) * c
            total = share if total is None else total + share
    return xp.zeros_like(x) if total is None else total


MODEL = (Term(identity, identity),)


def _forward(
    xp: Backend, role: Linear, terms: Sequence[Term], bias: Modifier | None, x: Array, parameters: Parameters
) -> Array:
    """The denominator before stabilizing: Σ W̃x̃ + b̃."""
    w, b = parameters
    z: Any = None
    for term in terms:
        summand = role.map.forward(xp, term.input(xp, x), term.weight(xp, w))
        z = summand if z is None else z + summand
    return z if b is None or bias is None else z + bias(xp, b)


def _resolved(term: Term) -> Term:
    """The term for an input >= 0."""
    modifier: Modifier = identity if term.input is pos else term.input
    return Term(modifier, term.weight)


def _gated(xp: Backend, part: Part, r: Array, z: Array, masked: bool) -> Array:
    """The relevance that the part serves."""
    if part.gate == "all" or (masked and part.gate == "positive"):
        return r
    return xp.where(z > 0 if part.gate == "positive" else z < 0, r, 0.0)


def divide(xp: Backend, r: Array, z: Array, epsilon: float, nonnegative: bool = False) -> Array:
    """R / (z + ε sign z) with sign(0) = +1; for ε = 0, an output of 0 hands on nothing. A fact: z >= 0."""
    if epsilon == 0:
        return xp.where(z == 0, 0.0, r / xp.where(z == 0, 1.0, z))
    return r / (z + epsilon if nonnegative else xp.where(z < 0, z - epsilon, z + epsilon))
