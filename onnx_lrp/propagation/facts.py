"""Static facts about tensors: what need not be computed because it is provably so. Claims, which :mod:`.audit` checks.

* *nonnegative*: ReLU outputs, and whatever is pooled, routed or summed from them. Every term of a⁻ vanishes.
* *masked*: a tensor that feeds only ReLUs, where relevance arrives in proportion to the activation. So relevance is 0
  wherever z ≤ 0, and the ReLU's output can stand in for z in every denominator.
* *difference*: a summand of a masked sum of two, read nowhere else, is the sum less the other one. A runtime may then
  keep convolution, addition and ReLU fused, and never store the summand. A difference is only as exact as the sum, so
  that the summand's relevance is, too; taken only where the rule of the summand's layer cannot magnify that.

For example, of y = relu(conv(x) + x) the sum is masked, and conv(x) is y - x wherever relevance arrives, if conv is
under the ε-rule (which asks of it no more than how it compares with ε) or under z⁺ (which hands on what it gets).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from ..model.graph import array
from ..ops import Activation, Linear, Merge, Product, Role, Route
from ..rules import Relative, Rule

Roles = Mapping[ir.Node, Role]
Rules = Mapping[ir.Node, Rule]


@dataclass(frozen=True)
class Facts:
    """``masked`` maps a pre-activation to the ReLU output that stands in for it.

    ``differences`` maps a summand to the rectified sum and the other summand.
    """

    nonnegative: frozenset[ir.Value] = frozenset()
    masked: dict[ir.Value, ir.Value] = field(default_factory=dict)
    differences: dict[ir.Value, tuple[ir.Value, ir.Value]] = field(default_factory=dict)


def derive(roles: Roles, rules: Rules, target: ir.Value) -> Facts:
    """Facts for a graph whose nodes are in the order of execution."""
    masked = _masked(roles, rules, target)
    return Facts(_nonnegative(roles), masked, _differences(roles, rules, masked))


def _nonnegative(roles: Roles) -> frozenset[ir.Value]:
    found: set[ir.Value] = set()
    for node, role in roles.items():
        if role.gives_nonnegative(lambda i, node=node: _is_nonnegative(node.inputs[i], found)):  # type: ignore[misc]
            found.update(node.outputs)
    return frozenset(found)


def _is_nonnegative(value: ir.Value | None, found: set[ir.Value]) -> bool:
    if value in found:
        return True
    data = array(value)
    return data is not None and bool((data >= 0).all())


def vanishes_at_zero(roles: Roles, rules: Rules, start: dict[ir.Value, bool]) -> dict[ir.Value, bool]:
    """Whether no relevance arrives at a tensor where it is 0; ``start`` says so of the target."""
    found = dict(start)
    for node, role in reversed(list(roles.items())):
        arriving = all(found.get(output, True) for output in node.outputs)
        for position in role.receives:
            value = node.inputs[position]
            assert value is not None
            found[value] = found.get(value, True) and _hands_on(role, rules.get(node), arriving)
    return found


def _hands_on(role: Role, rule: Rule | None, arriving: bool) -> bool:
    """Whether a node's input of 0 receives no relevance, given that its output of 0 does not."""
    if isinstance(role, Linear):
        return rule is not None and rule.vanishes_at_zero
    if isinstance(role, Merge | Product):
        return True
    copies = role.copies if isinstance(role, Route) else isinstance(role, Activation) and role.through_zero
    return arriving and copies


def _masked(roles: Roles, rules: Rules, target: ir.Value) -> dict[ir.Value, ir.Value]:
    arrives = vanishes_at_zero(roles, rules, {target: False})  # a seed may be any array
    masked: dict[ir.Value, ir.Value] = {}
    for node in roles:
        output = node.outputs[0]
        rectified = _rectified(output, roles)
        if (
            rectified
            and output is not target
            and _may_stand_in(rules.get(node))
            and all(arrives.get(value, True) for value in rectified)
        ):
            masked[output] = rectified[0]
    return masked


def _may_stand_in(rule: Rule | None) -> bool:
    """Whether a ReLU's output does in the denominator: not where the deviation of z counts."""
    return rule is None or not isinstance(rule.epsilon, Relative)


def _rectified(value: ir.Value, roles: Roles) -> list[ir.Value]:
    """The ReLU outputs, if they are all that is made of this tensor."""
    users = [use.node for use in value.uses()]
    only = all(node in roles and roles[node].rectifies for node in users) and not value.is_graph_output()
    return [node.outputs[0] for node in users] if only else []


def _differences(
    roles: Roles, rules: Rules, masked: dict[ir.Value, ir.Value]
) -> dict[ir.Value, tuple[ir.Value, ir.Value]]:
    found: dict[ir.Value, tuple[ir.Value, ir.Value]] = {}
    for node, role in roles.items():
        total = masked.get(node.outputs[0])
        if total is None or not isinstance(role, Merge) or not role.is_sum_of_two:
            continue
        for value, other in (node.inputs, node.inputs[::-1]):
            if value is not None and other is not None and _may_be_rounded(value, other, roles, rules):
                found[value] = (total, other)
                break
    return found


def _may_be_rounded(value: ir.Value, other: ir.Value, roles: Roles, rules: Rules) -> bool:
    """Whether only this sum reads it, and a layer makes it whose rule magnifies no error of its relevance.

    So do rules whose denominators have one sign, since they hand on what they get, in shares of one sign; and the
    layer's own output over itself, of which relevance is a multiple.
    """
    maker = value.producer()
    if maker is None or not isinstance(roles.get(maker), Linear) or len(value.uses()) != 1:
        return False
    rule = rules.get(maker)
    if rule is None or rule.bias != "absorb" or rule.epsilon == 0 or value.shape != other.shape:
        return False
    return all(part.is_model or part.sign() for part in rule.parts())
