"""Static facts about tensors: what the interpreter may skip because it is provably zero. An optimisation, no more.

* *nonnegative*: ReLU outputs, and whatever is pooled, routed or summed from them. Every term of x⁻ vanishes.
* *masked*: a tensor that feeds only ReLUs, where relevance arrives in proportion to the activation. So relevance is 0
  wherever z ≤ 0, and the ReLU's output can stand in for z in every denominator.
* *difference*: a summand of a masked sum of two, read nowhere else, is the sum less the other one. A runtime may then
  keep convolution, addition and ReLU fused, and never store the summand.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir

from .model.graph import array
from .ops import Linear, Merge, Pass, Role, Route
from .rules import Rule


@dataclass(frozen=True)
class Facts:
    """``masked`` maps a pre-activation to the ReLU output that stands in for it.

    ``differences`` maps a summand to the rectified sum and the other summand.
    """

    nonnegative: frozenset[ir.Value] = frozenset()
    masked: dict[ir.Value, ir.Value] = field(default_factory=dict)
    differences: dict[ir.Value, tuple[ir.Value, ir.Value]] = field(default_factory=dict)


def derive(roles: dict[ir.Node, Role], rules: dict[ir.Node, Rule], target: ir.Value) -> Facts:
    """Facts for a graph whose nodes are in the order of execution."""
    masked = _masked(roles, rules, target)
    return Facts(_nonnegative(roles), masked, _differences(roles, masked))


def _nonnegative(roles: dict[ir.Node, Role]) -> frozenset[ir.Value]:
    found: set[ir.Value] = set()
    for node, role in roles.items():
        if _output_nonnegative(node, role, found):
            found.update(node.outputs)
    return frozenset(found)


def _output_nonnegative(node: ir.Node, role: Role, found: set[ir.Value]) -> bool:
    def inputs(positions: tuple[int, ...]) -> bool:
        return all(_is_nonnegative(node.inputs[i], found) for i in positions)

    if isinstance(role, Pass):
        return role.nonnegative or (role.keeps_sign and isinstance(role.data, int) and inputs((role.data,)))
    if isinstance(role, Linear):  # averages; anything with a bias or signed weights is not looked into
        return role.nonnegative and inputs((role.data,))
    if isinstance(role, Merge):
        return min(role.signs) > 0 and inputs((*role.data, *role.bias))
    return inputs(role.data) and (node.op_type != "Concat" or inputs(tuple(range(len(node.inputs)))))


def _is_nonnegative(value: ir.Value | None, found: set[ir.Value]) -> bool:
    if value in found:
        return True
    data = array(value)
    return data is not None and bool((data >= 0).all())


def proportional(
    roles: dict[ir.Node, Role], rules: dict[ir.Node, Rule], start: dict[ir.Value, bool]
) -> dict[ir.Value, bool]:
    """Whether relevance arrives in proportion to a tensor, none where it is 0; ``start`` says so of the target."""
    found = dict(start)
    for node, role in reversed(roles.items()):
        arriving = all(found.get(output, True) for output in node.outputs)
        for position in role.data if isinstance(role.data, tuple) else (role.data,):
            value = node.inputs[position]
            assert value is not None
            found[value] = found.get(value, True) and _hands_on(role, rules.get(node), arriving)
    return found


def _masked(roles: dict[ir.Node, Role], rules: dict[ir.Node, Rule], target: ir.Value) -> dict[ir.Value, ir.Value]:
    arrives = proportional(roles, rules, {target: False})  # a seed may be any array
    masked: dict[ir.Value, ir.Value] = {}
    for node in roles:
        output = node.outputs[0]
        rectified = _rectified(output)
        if rectified and output is not target and all(arrives.get(value, True) for value in rectified):
            masked[output] = rectified[0]
    return masked


def _hands_on(role: Role, rule: Rule | None, arriving: bool) -> bool:
    """Whether a node's input of 0 receives no relevance, given that its output of 0 does not."""
    if isinstance(role, Linear):
        return rule is not None and rule.proportional
    return True if isinstance(role, Merge) else arriving and (isinstance(role, Route) or role.through_zero)


def _rectified(value: ir.Value) -> list[ir.Value]:
    """The ReLU outputs, if they are all that is made of this tensor."""
    users = [use.node for use in value.uses()]
    only = all(user.op_type == "Relu" for user in users) and not value.is_graph_output()
    return [user.outputs[0] for user in users] if only else []


def _differences(
    roles: dict[ir.Node, Role], masked: dict[ir.Value, ir.Value]
) -> dict[ir.Value, tuple[ir.Value, ir.Value]]:
    found: dict[ir.Value, tuple[ir.Value, ir.Value]] = {}
    for node, role in roles.items():
        total = masked.get(node.outputs[0])
        if total is None or node.op_type != "Add" or not isinstance(role, Merge) or role.bias:
            continue
        for position in (0, 1):
            value, other = node.inputs[position], node.inputs[1 - position]
            maker = value.producer() if value is not None else None
            layer = maker is not None and isinstance(roles.get(maker), Linear)
            if (
                value is not None
                and other is not None
                and layer
                and len(value.uses()) == 1
                and value.shape == other.shape
            ):
                found[value] = (total, other)
                break
    return found
