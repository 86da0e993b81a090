"""Which rule every layer of a model gets."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import onnx_ir as ir

from ..composites import WEIGHTED, Composite, LayerInfo
from ..errors import CompositeError
from ..model.graph import Dependence, label, user_node
from ..model.validation import Verdict
from ..ops import Linear, Merge, Product, Role, Route
from ..rules import Epsilon, Rule, Zero
from ..rules import Pass as PassRule
from .facts import vanishes_at_zero


def layers(verdict: Verdict) -> dict[ir.Node, LayerInfo]:
    """Every node that takes a rule, as selectors see it; the parts of one node of the user's share depth and order."""
    depth: dict[ir.Value, int] = {}
    place: dict[ir.Node, int] = {}
    order: dict[ir.Node, int] = {}
    above: dict[ir.Value, int] = {}  # sets as integers, as in LayerInfo
    before: dict[ir.Node, int] = {}
    count = 0
    for nodes in _together(verdict.roles):
        read = [v for node in nodes for v in node.inputs if v is not None]
        place.update(dict.fromkeys(nodes, max((depth.get(v, 0) for v in read), default=0)))
        behind = place[nodes[0]] + any(verdict.roles[node].mixes for node in nodes)
        met = 0
        for value in read:
            met |= above.get(value, 0)
        ruled = [node for node in nodes if verdict.roles[node].ruled]
        if ruled:
            before.update(dict.fromkeys(ruled, met))
            order.update(dict.fromkeys(ruled, count))
            met |= 1 << count
            count += 1
        depth.update({value: behind for node in nodes for value in node.outputs})
        above.update({value: met for node in nodes for value in node.outputs})
    deepest = max((n for node, n in place.items() if verdict.roles[node].mixes), default=0)
    relative = {node: min(n / deepest, 1.0) if deepest else 1.0 for node, n in place.items()}
    return {
        node: LayerInfo(
            node.name or label(node), _kind(node, verdict.roles[node]), relative[node], order[node], before[node]
        )
        for node in order
    }


def _kind(node: ir.Node, role: Role) -> str:
    """The op as selectors see it: a product of what depends on the data is no layer with weights."""
    return "Product" if role.held and node.op_type in WEIGHTED else node.op_type


def _together(nodes: Iterable[ir.Node]) -> list[list[ir.Node]]:
    """Nodes in the order of execution; those that one node was expanded to are together."""
    return [list(group) for _, group in groupby(nodes, user_node)]


def assign(verdict: Verdict, composite: Composite, batchnorm: str, target: ir.Value) -> dict[ir.Node, Rule]:
    """The rule of every layer and merge.

    Raises:
        CompositeError: a rule that its layer cannot take.
    """
    found = layers(verdict)
    assigned = composite.assign(list(found.values()))
    rules = {node: assigned[layer] for node, layer in found.items()}
    for node in rules:
        role = verdict.roles[node]
        if role.normalizes and batchnorm == "pass":
            rules[node] = PassRule()
        if role.held and rules[node] is composite.default:
            rules[node] = Zero()
        if _only_epsilon(role) and not isinstance(rules[node], Epsilon):
            what = "merges tensors" if isinstance(role, Merge) else "has no weights of its own"
            raise CompositeError(f"{label(node)} ({node.op_type}) {what}: it takes Epsilon or Zero, not {rules[node]}")
        if isinstance(rules[node], PassRule) and not role.keeps_shape:
            raise CompositeError(f"{label(node)} ({node.op_type}) changes the shape: Pass cannot go there")
    return rules | _input_scaling(verdict, rules, target)


def _input_scaling(verdict: Verdict, rules: dict[ir.Node, Rule], target: ir.Value) -> dict[ir.Node, Rule]:
    """Pass for shifts and scales of the input itself, (x - mean) / std, below a layer under z^B, w² or flat.

    Such a rule gives relevance to values that are 0, which in proportion to x / (x - mean) would be unbounded.
    """
    arrives = vanishes_at_zero(verdict.roles, rules, {target: True})
    passed: dict[ir.Node, Rule] = {}
    unbounded: set[ir.Value | None] = set()
    for node in reversed(_input_nodes(verdict, rules)):
        if any(output in unbounded or not arrives.get(output, True) for output in node.outputs):
            unbounded.update(node.inputs)
            passed |= {node: PassRule()} if node in rules else {}
    return passed


def _input_nodes(verdict: Verdict, rules: dict[ir.Node, Rule]) -> list[ir.Node]:
    """Nodes that shift, scale or move the inputs, before any layer."""
    plain = {
        value
        for value, dependence in verdict.dependences.items()
        if value.producer() is None and dependence is Dependence.VARIABLE
    }
    found: list[ir.Node] = []
    for node, role in verdict.roles.items():
        fits = isinstance(role, Route) or (node in rules and _elementwise(role))
        if fits and plain.issuperset(node.inputs[i] for i in role.receives):
            plain.update(node.outputs)
            found.append(node)
    return found


def _elementwise(role: Role) -> bool:
    """Whether it shifts or scales one tensor, element by element."""
    return role.ruled and len(role.receives) == 1 and (role.keeps_shape or isinstance(role, Merge))


def _only_epsilon(role: Role) -> bool:
    return isinstance(role, Merge | Product) or (isinstance(role, Linear) and role.composed)
