"""One linear map under any rule, and the reverse walk: the whole of LRP's backward pass.

Steps 1 to 4 of Montavon et al. 2019 for each part of a rule: z = Σ W̃x̃ + b̃, s = R / st(z), c = W̃ᵀs, R_in = x̃ ⊙ c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .backends.base import Array, Backend, sum_to
from .ops import Linear, Merge, Pass, Route
from .planning import Plan, Step
from .recording import StepOperands, Tape, Weights
from .rules import Modifier, Part, Rule, Term, identity, neg, pos
from .rules import Pass as PassRule

Parameters = tuple[Array, Array | None]


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
        shares = list(propagate(step, arriving, StepOperands(step, tape, weights), weights))
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
    step: Step, arriving: Sequence[Relevance | None], operands: StepOperands, weights: Weights
) -> Iterator[tuple[str, Relevance]]:
    """One step: relevance of its outputs to (name, relevance) of its inputs."""
    xp, role = weights.xp, step.role
    if isinstance(role, Route):
        shares = _route(step, role, arriving, operands, xp)
    elif isinstance(role, Pass) or isinstance(step.rule, PassRule):
        shares = [arriving[0]]
    elif isinstance(role, Merge):
        shares = _merge(step, role, arriving[0], operands, xp)
    else:
        shares = [_linear_step(step, role, arriving[0], operands, xp)]
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
        size = z if masked else xp.abs(z)
        return r.factor * (size / (size + epsilon))
    return divide(xp, plain(r, tape), z, epsilon, 1 if masked else 0)


def _linear_step(step: Step, role: Linear, r: Relevance, operands: StepOperands, xp: Backend) -> Relevance:
    """A layer: in multiplier form wherever no term modifies its input."""
    rule, tape, name = step.rule, operands.tape, step.inputs[role.data] or ""
    assert rule is not None
    x, parameters = operands.value(role.data), role.parameters(xp, operands)
    if rule.bias == "absorb" and all(part.is_model for part in rule.parts()):
        c = role.map.transpose(xp, over_output(xp, r, step, tape), parameters[0], xp.shape(x))
        return Scaled(name, c)
    z = tape.values.get(step.denominator)
    masked = step.masked is not None
    pairs = list(factors(xp, role, rule, x, parameters, plain(r, tape), z, step.nonnegative, masked))
    if all(modifier is identity for modifier, _ in pairs):
        return Scaled(name, _total([c for _, c in pairs]))
    return _contributions(xp, x, pairs)


def linear(xp: Backend, role: Linear, rule: Rule, x: Array, parameters: Parameters, r: Array, **known: Any) -> Array:
    """Any rule on any linear map: relevance of the input; the arguments are those of :func:`factors`."""
    return _contributions(xp, x, list(factors(xp, role, rule, x, parameters, r, **known)))


def _contributions(xp: Backend, x: Array, pairs: Sequence[tuple[Modifier, Array]]) -> Array:
    return _total([modifier(xp, x) * c for modifier, c in pairs])


def factors(
    xp: Backend,
    role: Linear,
    rule: Rule,
    x: Array,
    parameters: Parameters,
    r: Array,
    z: Array | None = None,
    nonnegative: bool = False,
    masked: bool = False,
) -> Iterator[tuple[Modifier, Array]]:
    """Any rule on any linear map, as pairs (x̃, c): the relevance of the input is Σ x̃ ⊙ c.

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
    """
    for part in rule.parts():
        terms = [_resolved(term) for term in part.terms if term.input is not neg] if nonnegative else list(part.terms)
        if not terms or (masked and part.gate == "negative"):
            continue
        if part.gate != "all" and z is None:
            z = _forward(xp, role, MODEL, identity, x, parameters)
        bias = part.bias if rule.bias == "absorb" else None
        known = z is not None and part.is_model and bias is not None
        denominator = z if known else _forward(xp, role, terms, bias, x, parameters)
        signed = part.gate == "all" or rule.bias == "absorb"  # without its bias a gated sum may have the other sign
        sign = 1 if known and masked else part.sign if signed else 0
        s = divide(xp, _gated(xp, part, r, z, masked), denominator, rule.epsilon, sign, part.gate != "all")
        s = s if part.scale == 1 else part.scale * s
        for term in terms:
            yield term.input, role.map.transpose(xp, s, term.weight(xp, parameters[0]), xp.shape(x))


def _total(summands: Sequence[Array]) -> Array:
    total = summands[0]
    for summand in summands[1:]:
        total = total + summand
    return total


MODEL = (Term(identity, identity),)


def _forward(
    xp: Backend, role: Linear, terms: Sequence[Term], bias: Modifier | None, x: Array, parameters: Parameters
) -> Array:
    """The denominator before stabilizing: Σ W̃x̃ + b̃."""
    w, b = parameters
    one = xp.take(x, np.zeros(1, np.int64), 0) if role.map.batchwise else x
    z = _total([role.map.forward(xp, t.input(xp, one if t.fixed else x), t.weight(xp, w)) for t in terms])
    return z if b is None or bias is None else z + bias(xp, b)


def _resolved(term: Term) -> Term:
    """The term for an input >= 0."""
    return replace(term, input=identity) if term.input is pos else term


def _gated(xp: Backend, part: Part, r: Array, z: Array, masked: bool) -> Array:
    """The relevance that the part serves."""
    if part.gate == "all" or (masked and part.gate == "positive"):
        return r
    return xp.where(z > 0 if part.gate == "positive" else z < 0, r, 0.0)


def divide(xp: Backend, r: Array, z: Array, epsilon: float, sign: int = 0, clamp: bool = False) -> Array:
    """R / (z + ε sign z) with sign(0) = +1; for ε = 0, an output of 0 hands on nothing.

    ``sign`` says that z >= 0 (1) or z <= 0 (-1) wherever R is not 0; ``clamp`` that it may be otherwise elsewhere.
    """
    if epsilon == 0:
        return xp.where(z == 0, 0.0, r / xp.where(z == 0, 1.0, z))
    if sign == 0:
        return r / xp.where(z < 0, z - epsilon, z + epsilon)
    if clamp:
        z = xp.maximum(z, 0.0) if sign > 0 else xp.minimum(z, 0.0)
    return r / (z + sign * epsilon)
