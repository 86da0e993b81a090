"""The plan: one step per node that relevance meets, with its role, its rule and the facts that it may use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
import onnx_ir as ir

from .backends.base import Array, Backend
from .composites import WEIGHTED, Composite, Layer
from .errors import CompositeError, TargetError
from .facts import Facts, derive, proportional
from .model.graph import Kind, array, label, whole
from .model.validation import Verdict
from .ops import Linear, Merge, Operands, Pass, Role, Route
from .ops.linear import ScaleMap
from .rules import Epsilon, Rule
from .rules import Pass as PassRule
from .text import clean


@dataclass(frozen=True, eq=False)
class Step:
    """One node, or two that are one layer. ``inputs`` and ``outputs`` are tensor names."""

    name: str
    op: str
    role: Role
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]
    rule: Rule | None = None
    nonnegative: bool = False
    masked: str | None = None
    node: ir.Node | None = None

    @property
    def denominator(self) -> str:
        """The recorded tensor that stands for z: a ReLU's output where the mask fact allows it."""
        return self.masked or self.outputs[0]

    @property
    def data(self) -> tuple[int, ...]:
        """Positions of the inputs that receive relevance."""
        return self.role.data if isinstance(self.role.data, tuple) else (self.role.data,)


@dataclass(frozen=True)
class Plan:
    """Steps in the order of execution, from ``inputs`` to ``target``; ``derived`` nodes depend on shapes only.

    ``differences`` maps a tensor to two others, whose difference it is wherever relevance meets it.
    """

    steps: tuple[Step, ...]
    derived: tuple[ir.Node, ...]
    inputs: tuple[str, ...]
    target: str
    composite: Composite
    facts: bool = True
    differences: dict[str, tuple[str, str]] = field(default_factory=dict)

    def needs(self) -> tuple[set[str], set[str]]:
        """Tensors whose values, and tensors whose shapes, the walk reads."""
        values, shapes, reached = {self.target}, set(self.inputs), {self.target}
        for step in reversed(self.steps):
            if reached.isdisjoint(step.outputs):  # the gates of a recurrent layer
                continue
            reached |= {name for i in step.data if (name := step.inputs[i]) is not None}
            read, measured = _needs(step)
            values |= read
            shapes |= measured
        return values, shapes - values


def make_plan(
    verdict: Verdict, model: ir.Model, composite: Composite, batchnorm: str = "affine", facts: bool = True
) -> Plan:
    """Assign rules and derive facts.

    Raises:
        CompositeError: a rule that its layer cannot take.
    """
    target = model.graph.outputs[0]
    rules = _rules(verdict, composite, batchnorm, target)
    known = derive(verdict.roles, rules, target) if facts else Facts()
    steps = _fused([_step(node, role, rules.get(node), known) for node, role in verdict.roles.items()], target)
    names = tuple(value.name or "" for value in model.graph.inputs if value.const_value is None)
    differences = {v.name or "": (a.name or "", b.name or "") for v, (a, b) in known.differences.items()}
    return Plan(tuple(steps), verdict.derived, names, target.name or "", composite, facts, differences)


def known_layers(plan: Plan, names: Iterable[str], source: str) -> dict[str, str]:
    """The tensor that each name stands for: a tensor's own, or the node's that makes it.

    Raises:
        TargetError: no such node or tensor.
    """
    named = [names] if isinstance(names, str) else list(names)
    known = {step.name: step.outputs[0] for step in plan.steps}
    known |= {name: name for step in plan.steps for name in step.outputs}
    if strange := [name for name in named if name not in known]:
        raise TargetError(f"{source}: no node or tensor {clean(strange[0])!r} on the way; see onnx-lrp check")
    return {name: known[name] for name in named}


def layers(verdict: Verdict) -> dict[ir.Node, Layer]:
    """Every node that takes a rule, as selectors see it; the parts of one node of the user's share depth and order."""
    depth: dict[ir.Value, int] = {}
    place: dict[ir.Node, int] = {}
    for nodes in _together(verdict.roles):
        here = max((depth.get(v, 0) for node in nodes for v in node.inputs if v is not None), default=0)
        place.update(dict.fromkeys(nodes, here))
        behind = here + any(node.op_type in WEIGHTED for node in nodes)
        depth.update({value: behind for node in nodes for value in node.outputs})
    deepest = max((n for node, n in place.items() if node.op_type in WEIGHTED), default=0)
    ruled = [[node for node in nodes if isinstance(verdict.roles[node], Linear | Merge)]
             for nodes in _together(verdict.roles)]  # fmt: skip
    return {
        node: Layer(node.name or label(node), node.op_type, min(place[node] / deepest, 1.0) if deepest else 1.0, order)
        for order, nodes in enumerate(filter(None, ruled))
        for node in nodes
    }


def _together(nodes: Iterable[ir.Node]) -> list[list[ir.Node]]:
    """Nodes in the order of execution; those that one node was expanded to are together."""
    return [list(group) for _, group in groupby(nodes, whole)]


def _rules(verdict: Verdict, composite: Composite, batchnorm: str, target: ir.Value) -> dict[ir.Node, Rule]:
    found = layers(verdict)
    assigned = composite.assign(list(found.values()))
    rules = {node: assigned[layer] for node, layer in found.items()}
    for node in rules:
        if node.op_type == "BatchNormalization" and batchnorm == "pass":
            rules[node] = PassRule()
        role = verdict.roles[node]
        if _only_epsilon(role) and not isinstance(rules[node], Epsilon):
            what = "merges tensors" if isinstance(role, Merge) else "is a map without weights of its own"
            raise CompositeError(f"{label(node)} ({node.op_type}) {what}: it takes Epsilon or Zero, not {rules[node]}")
        if isinstance(rules[node], PassRule) and node.op_type in WEIGHTED:
            raise CompositeError(f"{label(node)} ({node.op_type}) changes the shape: Pass cannot go there")
    return rules | _input_scaling(verdict, rules, target)


def _input_scaling(verdict: Verdict, rules: dict[ir.Node, Rule], target: ir.Value) -> dict[ir.Node, Rule]:
    """Pass for shifts and scales of the input itself, (x - mean) / std, below a layer under z^B, w² or flat.

    Such a rule gives relevance to values that are 0, which in proportion to x / (x - mean) would be unbounded.
    """
    arrives = proportional(verdict.roles, rules, {target: True})
    passed: dict[ir.Node, Rule] = {}
    disproportional: set[ir.Value | None] = set()
    for node in reversed(_input_nodes(verdict, rules)):
        if any(output in disproportional or not arrives.get(output, True) for output in node.outputs):
            disproportional.update(node.inputs)
            passed |= {node: PassRule()} if node in rules else {}
    return passed


def _input_nodes(verdict: Verdict, rules: dict[ir.Node, Rule]) -> list[ir.Node]:
    """Nodes that shift, scale or move the inputs, before any layer."""
    plain = {value for value, kind in verdict.kinds.items() if value.producer() is None and kind is Kind.VARIABLE}
    found: list[ir.Node] = []
    for node, role in verdict.roles.items():
        fits = isinstance(role, Route) or (node in rules and _elementwise(role))
        if fits and plain.issuperset(node.inputs[i] for i in _data(role)):
            plain.update(node.outputs)
            found.append(node)
    return found


def _data(role: Role) -> tuple[int, ...]:
    return role.data if isinstance(role.data, tuple) else (role.data,)


def _elementwise(role: Role) -> bool:
    """Whether it shifts or scales one tensor, element by element."""
    return (isinstance(role, Merge) and len(role.data) == 1) or (
        isinstance(role, Linear) and isinstance(role.map, ScaleMap)
    )


def _only_epsilon(role: Role) -> bool:
    return isinstance(role, Merge) or (isinstance(role, Linear) and role.composed)


def _step(node: ir.Node, role: Role, rule: Rule | None, facts: Facts) -> Step:
    stand_in = facts.masked.get(node.outputs[0])
    return Step(
        name=label(node),
        op=node.op_type,
        role=role,
        inputs=tuple(None if v is None else v.name for v in node.inputs),
        outputs=tuple(v.name or "" for v in node.outputs),
        rule=rule,
        nonnegative=all(node.inputs[i] in facts.nonnegative for i in _data(role)),
        masked=None if stand_in is None else stand_in.name,
        node=node,
    )


def _fused(steps: list[Step], target: ir.Value) -> list[Step]:
    """Take a layer and the constant right behind it as one: a MatMul's bias, the weights of a sum."""
    fused: list[Step] = []
    for step in steps:
        role = _with_constant(fused[-1], step, target) if fused else None
        if role is None:
            fused.append(step)
            continue
        before = fused[-1]
        fused[-1] = replace(before, role=role, outputs=step.outputs, masked=step.masked)
    return fused


def _with_constant(before: Step, step: Step, target: ir.Value) -> Linear | None:
    """The layer with the constant that this step puts behind it, and behind nothing else; None if it does not."""
    node, layer, role = step.node, before.node, before.role
    if node is None or layer is None or not isinstance(role, Linear) or before.outputs != (layer.outputs[0].name,):
        return None
    product = layer.outputs[0]
    if product not in node.inputs or len(product.uses()) != 1 or product is target or len(node.inputs) != 2:
        return None
    position = 1 - node.inputs.index(product)
    constant = array(node.inputs[position])
    if constant is None:
        return None
    if (layer.op_type, node.op_type) == ("MatMul", "Add"):
        return _biased(role, constant, array(layer.inputs[1]))
    if layer.op_type == "ReduceSum" and (node.op_type == "Mul" or (node.op_type, position) == ("Div", 1)):
        return _weighted(role, 1.0 / constant.astype(np.float64) if node.op_type == "Div" else constant, product)
    return None


def _biased(role: Linear, constant: np.ndarray, weight: np.ndarray | None) -> Linear | None:
    if weight is None or constant.shape != weight.shape[-1:]:
        return None

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, Array | None]:
        return role.parameters(xp, operands)[0], xp.asarray(constant)

    return replace(role, parameters=parameters, nonnegative=False)


def _weighted(role: Linear, gain: np.ndarray, product: ir.Value) -> Linear | None:
    """A sum whose elements are scaled by constants is a sum with these weights: an average has one denominator."""
    if product.shape is None or gain.ndim > len(product.shape):
        return None
    if any(n != 1 and n != d for n, d in zip(gain.shape[::-1], tuple(product.shape)[::-1])):
        return None

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, Array | None]:
        return xp.asarray(gain), None

    return replace(role, parameters=parameters, nonnegative=bool((gain >= 0).all()))


def _needs(step: Step) -> tuple[set[str], set[str]]:
    """Tensors whose values, and whose shapes, one step reads on the way back."""
    role, inputs = step.role, step.inputs
    data = {name for i in step.data if (name := inputs[i]) is not None}
    if isinstance(role, Merge):
        return data | {step.denominator}, set()
    if isinstance(role, Linear):
        if isinstance(step.rule, PassRule):
            return set(), set()
        return data | ({step.denominator} if _reads_output(step) else set()), set()
    if isinstance(role, Pass):
        return set(), set()
    assert isinstance(role, Route)
    return {name for i in role.reads if (name := inputs[i]) is not None}, data


def _reads_output(step: Step) -> bool:
    """Whether the rule reads the layer's output, or saves a pass by doing so where it is at hand anyway."""
    parts = (step.rule or Epsilon()).parts()
    gated = any(part.is_model or part.gate != "all" for part in parts)
    return gated or step.masked is not None or (step.nonnegative and len(parts) > 1)
