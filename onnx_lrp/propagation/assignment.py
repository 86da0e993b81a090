"""Which rule every layer of a model gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import numpy as np
import onnx_ir as ir

from ..composites import CONVOLUTION, WEIGHTED, Composite, LayerInfo, Place, Sizes
from ..errors import CompositeError
from ..model.dependence import Dependence
from ..model.graph import attributes, dims, label, user_node
from ..model.validation import Verdict
from ..ops import Linear, Merge, Product, Role, Route
from ..rules import Bound, Epsilon, Gamma, Rule, Zero
from ..rules import Pass as PassRule
from .bounds import Ends, known_bounds
from .facts import vanishes_at_zero


def layers(verdict: Verdict, bounds: tuple[Bound, Bound] | None = None) -> dict[ir.Node, LayerInfo]:
    """Every node that takes a rule, as selectors see it; the parts of one node of the user's share depth and order.

    ``bounds`` are what somebody knows of the inputs' values.
    """
    known = known_bounds(verdict, bounds)
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
    kinds = {node: _kind(node, verdict.roles[node]) for node in order}
    places = _places({node: (order[node], before[node]) for node, kind in kinds.items() if kind in WEIGHTED})
    return {
        node: LayerInfo(
            node.name or label(node), kind, relative[node], order[node], before[node], places.get(node, "between"),
            **_sizes(node, kind), bounds=_bounds(node, verdict.roles[node], known),
        )
        for node, kind in kinds.items()
    }  # fmt: skip


def _bounds(node: ir.Node, role: Role, known: Mapping[ir.Value, Ends]) -> tuple[Bound, Bound] | None:
    """Of what a layer reads."""
    value = node.inputs[role.receives[0]]
    if value is None or value not in known:
        return None
    low, high = map(_plain, known[value])
    return low, high


def _plain(bound: np.ndarray) -> Bound:
    """One number where there is but one, else one per channel where they vary along no other axis."""
    if (bound == bound.flat[0]).all():
        return float(bound.flat[0])
    return tuple(map(float, bound.flat)) if bound.ndim > 1 and bound.shape[1] == bound.size else bound


def _places(weighted: dict[ir.Node, tuple[int, int]]) -> dict[ir.Node, Place]:
    """Of layers with weights, by (order, those before): the heads have none behind, the inputs none before."""
    orders, followed = 0, 0
    for own, before in weighted.values():
        orders, followed = orders | 1 << own, followed | before
    found: dict[ir.Node, Place] = {}
    for node, (own, before) in weighted.items():
        if not followed >> own & 1:
            found[node] = "head"
        elif not orders & before:
            found[node] = "input"
    return found


def _sizes(node: ir.Node, kind: str) -> dict[str, Any]:
    """What a selector may ask of a convolution."""
    weight = dims(node.inputs[1]) if kind in CONVOLUTION and node.inputs[1] is not None else None
    if weight is None or len(weight) < 3:  # a malformed one has its own complaint
        return {}
    groups = int(attributes(node).get("group", 1))
    read, made = (dims(value) if value is not None else None for value in (node.inputs[0], node.outputs[0]))
    channels = weight[0] if kind == "ConvTranspose" else weight[1]
    return {
        "kernel": tuple(n for n in weight[2:] if isinstance(n, int)),
        "groups": groups,
        "channels": channels * (groups if kind == "Conv" else 1) if isinstance(channels, int) else 0,
        "read": _spatial(read, len(weight)),
        "made": _spatial(made, len(weight)),
    }


def _spatial(shape: list[int | str | None] | None, rank: int) -> Sizes:
    """The sizes behind the channels, None where they are open."""
    return tuple(n if isinstance(n, int) else None for n in shape[2:]) if shape else (None,) * (rank - 2)


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
    found = layers(verdict, composite.bounds)
    assigned = composite.assign(list(found.values()))
    rules = {node: assigned[layer] for node, layer in found.items()}
    for node in rules:
        role = verdict.roles[node]
        if role.normalizes and batchnorm == "pass":
            rules[node] = PassRule()
        if role.held and rules[node] is composite.default:
            rules[node] = Zero()
        _require_fit(node, role, rules[node])
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


def _require_fit(node: ir.Node, role: Role, rule: Rule) -> None:
    who = f"{label(node)} ({node.op_type})"
    if isinstance(role, Merge) and not isinstance(rule, Epsilon | Gamma):
        raise CompositeError(f"{who} merges tensors: it takes Epsilon, Zero or Gamma, not {rule}")
    composed = isinstance(role, Product) or (isinstance(role, Linear) and role.composed)
    if composed and not isinstance(rule, Epsilon):
        raise CompositeError(f"{who} has no weights of its own: it takes Epsilon or Zero, not {rule}")
    if isinstance(rule, PassRule) and not role.keeps_shape:
        raise CompositeError(f"{who} changes the shape: Pass cannot go there")
