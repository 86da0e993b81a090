"""The reverse walk: the whole of LRP's backward pass, one step per node."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..backends.base import Array, Backend, sum_to
from ..ops import Activation, Linear, Merge, Product, Route
from ..rules import Gamma, identity
from ..rules import Pass as PassRule
from .fast import Claims, FastRelevance
from .linear import LinearRelevance, quotient, total
from .merging import merged
from .plan import Plan
from .shortcuts import SHORTCUTS, divide_by_output
from .step import Step
from .tape import StepOperands, Tape, Weights


@dataclass(frozen=True)
class Multiplier:
    """Relevance as R = a ⊙ c, where a is the recorded tensor named ``base`` and c the ``factor``.

    What walks backwards is c: routes, merges and layers under the ε-rule then need no multiplication by a.
    """

    base: str
    factor: Array


Relevance = Array | Multiplier
Observer = Callable[[Step, list[Array | None], list[tuple[str, Array]]], None]
Watcher = Callable[[Step, list[Relevance | None]], None]


def walk(
    plan: Plan,
    tape: Tape,
    weights: Weights,
    seed: Array,
    keep: set[str],
    observe: Observer | None = None,
    watch: Watcher | None = None,
) -> dict[str, Array]:
    """Hand the seed relevance back from the target to the inputs.

    Args:
        plan: what to do at each node.
        tape: the recorded activations.
        weights: the model's constants.
        seed: initial relevance, of the target's shape.
        keep: names of tensors inside the network whose relevance is wanted, too.
        observe: called after each step with (step, relevance of its outputs, relevance of its inputs).
        watch: called before each step with (step, relevance of its outputs in the form in which it walks).

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
        if watch is not None:
            watch(step, arriving)
        shares = list(propagate(step, arriving, StepOperands(step, tape, weights), plan.facts))
        for name, r in shares:
            relevance[name] = _added(relevance[name], r, tape) if name in relevance else r
        if observe is not None:
            observe(step, [plain(r, tape) for r in arriving], [(name, plain(r, tape)) for name, r in shares])
    return {**kept, **{name: plain(r, tape) for name, r in relevance.items()}}


def plain(r: Relevance | None, tape: Tape) -> Array:
    """R itself."""
    return tape.values[r.base] * r.factor if isinstance(r, Multiplier) else r


def _added(a: Relevance, b: Relevance, tape: Tape) -> Relevance:
    if isinstance(a, Multiplier) and isinstance(b, Multiplier) and a.base == b.base:
        return Multiplier(a.base, a.factor + b.factor)
    return plain(a, tape) + plain(b, tape)


def propagate(
    step: Step, arriving: Sequence[Relevance | None], operands: StepOperands, facts: bool
) -> Iterator[tuple[str, Relevance]]:
    """One step: relevance of its outputs to (name, relevance) of its inputs."""
    xp, role = operands.weights.xp, step.role
    if isinstance(role, Route):
        shares = _route(step, role, arriving, operands, xp)
    elif isinstance(role, Activation):
        shares = [_passed(step, role, arriving[0], operands)]
    elif isinstance(step.rule, PassRule):
        shares = [sum_to(xp, plain(arriving[0], operands.tape), operands.shape(i)) for i in role.receives]
    elif isinstance(role, Merge):
        shares = _merge(step, role, arriving[0], operands, facts)
    elif isinstance(role, Product):
        shares = _product(step, role, arriving[0], operands)
    else:
        assert isinstance(role, Linear), "nothing arrives at what is held"
        shares = [_linear(step, role, arriving[0], operands, facts)]
    yield from zip(step.receivers, shares if facts else [plain(r, operands.tape) for r in shares])


def _route(
    step: Step, role: Route, arriving: Sequence[Relevance | None], operands: StepOperands, xp: Backend
) -> list[Relevance]:
    """The adjoint: of c where R = (the output) ⊙ c, so that R_in = (the input) ⊙ c_in, else of R itself."""
    names, tape = step.receivers, operands.tape
    own = all(r is None or (isinstance(r, Multiplier) and r.base == name) for r, name in zip(arriving, step.outputs))
    if own and role.copies and all(name in tape.values for name in names):
        factors = role.map.adjoint(xp, [None if r is None else r.factor for r in arriving], operands)
        return [Multiplier(name, c) for name, c in zip(names, factors)]
    return role.map.adjoint(xp, [plain(r, tape) for r in arriving], operands)


def _passed(step: Step, role: Activation, r: Relevance, operands: StepOperands) -> Relevance:
    """Unchanged. Of x · w, with w held, a multiple of the output is one of x."""
    if role.factor is None:
        return r
    xp, shape = operands.weights.xp, operands.shape(role.receives[0])
    if isinstance(r, Multiplier) and r.base == step.outputs[0]:
        return Multiplier(step.receivers[0], sum_to(xp, r.factor * role.factor(xp, operands), shape))
    return sum_to(xp, plain(r, operands.tape), shape)


def _product(step: Step, role: Product, r: Relevance, operands: StepOperands) -> list[Relevance]:
    """To each variable half, by LRP-0 with the other one as its weight: R_a = a ⊙ ½ R/z bᵀ."""
    s, xp = _over_output(step, r, operands), operands.weights.xp
    shapes = [operands.shape(side.data) for side in role.sides]
    early = _elements(xp.shape(s)) <= sum(map(_elements, shapes))  # the half goes to where there is less to multiply
    s = 0.5 * s if early else s
    weights = [side.parameters(xp, operands)[0] for side in role.sides]
    factors = [side.map.transpose(xp, s, w, shape) for side, w, shape in zip(role.sides, weights, shapes)]
    return [Multiplier(name, c if early else 0.5 * c) for name, c in zip(step.receivers, factors)]


def _elements(shape: Sequence[object]) -> int:
    """How many there are of a sample."""
    return math.prod(n for n in shape if isinstance(n, int))


def _over_output(step: Step, r: Relevance, operands: StepOperands) -> Array:
    """R / z: of R = z ⊙ c that is c, whatever z is."""
    if isinstance(r, Multiplier) and r.base == step.outputs[0]:
        return r.factor
    assert step.rule is not None
    return quotient(operands.weights.xp, plain(r, operands.tape), operands.output(), step.rule.epsilon)


def _merge(step: Step, role: Merge, r: Relevance, operands: StepOperands, facts: bool) -> list[Relevance]:
    """Share by signed contribution: R_i = x_i R / st(Σ x_i); constants are a bias, and may be left out of the sum."""
    assert step.rule is not None
    if isinstance(step.rule, Gamma):
        return merged(step, role, plain(r, operands.tape), operands)
    xp, tape, epsilon = operands.weights.xp, operands.tape, step.rule.epsilon
    if not facts:
        positions = role.data if step.rule.bias == "ignore" else sorted(role.values)
        s = quotient(xp, r, role.sum(operands, positions), epsilon)
        return [sum_to(xp, role.contribution(operands, i) * s, operands.shape(i)) for i in role.data]
    if step.rule.bias == "ignore" and role.bias:
        s = quotient(xp, plain(r, tape), role.sum(operands, role.data), epsilon)
    else:
        over = isinstance(r, Multiplier) and r.base == step.denominator
        arrived = r.factor if over else plain(r, tape)
        s = divide_by_output(xp, arrived, tape.values[step.denominator], epsilon, over, step.masked is not None)
    factors = [sum_to(xp, role.signs[i] * role.scale * s, operands.shape(i)) for i in role.data]
    return [Multiplier(name, c) for name, c in zip(step.receivers, factors)]


def _linear(step: Step, role: Linear, r: Relevance, operands: StepOperands, facts: bool) -> Relevance:
    """A layer: by the formula, or with facts by its shortcuts, in multiplier form where no term modifies the input."""
    assert step.rule is not None
    xp, tape, a, given = operands.weights.xp, operands.tape, operands.value(role.data), operands.parameters(role)
    layer = LinearRelevance(xp, role.map, step.rule, a, given.weight, given.bias)
    if not facts:
        return layer.relevance(r)
    if role.held and isinstance(r, Multiplier) and r.base == step.outputs[0]:
        return Multiplier(step.receivers[0], role.map.transpose(xp, r.factor, given.weight, operands.shape(role.data)))
    z = tape.values.get(step.denominator)
    over = isinstance(r, Multiplier) and r.base == step.denominator and z is not None
    claims = Claims(step.nonnegative, step.masked is not None, z)
    factors = FastRelevance(layer, claims, given, over, SHORTCUTS).factors(r.factor if over else plain(r, tape))
    if not factors:
        return xp.zeros_like(a)
    if all(modifier == identity for modifier, _ in factors):
        return Multiplier(step.inputs[role.data] or "", total(c for _, c in factors))
    return total(modifier(xp, a) * c for modifier, c in factors)
