"""The plan: one step per node that relevance meets, with its role, its rule and the facts that it may use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import onnx_ir as ir

from ..composites import Composite
from ..errors import TargetError, names_of
from ..model.dependence import Dependence, held_positions
from ..model.graph import is_fixed, label
from ..model.validation import Verdict
from ..ops import Held, Role
from ..rules import Pass as PassRule
from ..rules import Rule
from ..text import printable
from .assignment import assign
from .facts import Facts, derive
from .fusion import fuse
from .step import Step


@dataclass(frozen=True)
class Plan:
    """Steps in the order of execution, from ``inputs`` to ``target``; ``derived`` nodes depend on shapes only,
    and on the ``fixed`` inputs.

    ``differences`` maps a tensor to two others, whose difference it is wherever relevance meets it: for
    y = relu(conv(x) + x) there is {"conv(x)": ("y", "x")}. With ``facts`` off there are none, no step claims anything,
    and the walk is the formula.
    """

    steps: tuple[Step, ...]
    derived: tuple[ir.Node, ...]
    inputs: tuple[str, ...]
    target: str
    composite: Composite
    facts: bool = True
    differences: dict[str, tuple[str, str]] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()

    def needs(self) -> tuple[set[str], set[str]]:
        """Tensors whose values, and tensors whose shapes, the walk reads."""
        values, shapes = {self.target}, set(self.inputs)
        for step in self.reached():
            read, measured = step.needs(self.facts)
            values |= read
            shapes |= measured
        return values, shapes - values

    def reached(self) -> Iterator[Step]:
        """Steps that relevance gets to, from the target on; all but, for example, the gates of a recurrent layer."""
        tensors = {self.target}
        for step in reversed(self.steps):
            if not tensors.isdisjoint(step.outputs):
                tensors |= set(step.receivers)
                yield step


def make_plan(
    verdict: Verdict, model: ir.Model, composite: Composite, batchnorm: str = "affine", facts: bool = True
) -> Plan:
    """Assign rules and derive facts.

    Raises:
        CompositeError: a rule that its layer cannot take.
    """
    target = model.graph.outputs[0]
    rules = assign(verdict, composite, batchnorm, target)
    known = derive(verdict.roles, rules, target) if facts else Facts()
    steps = fuse([_step(node, role, rules.get(node), known, verdict) for node, role in verdict.roles.items()], target)
    given = [value for value in model.graph.inputs if value.const_value is None]
    fixed = frozenset(value.name or "" for value in given if is_fixed(value))
    names = tuple(value.name or "" for value in given if value.name not in fixed)
    differences = {v.name or "": (a.name or "", b.name or "") for v, (a, b) in known.differences.items()}
    return Plan(tuple(steps), verdict.derived, names, target.name or "", composite, facts, differences, fixed)


def resolve_layers(plan: Plan, names: Iterable[str], source: str) -> dict[str, str]:
    """The tensor that each name stands for: a tensor's own, or the node's that makes it.

    Raises:
        TargetError: no such node or tensor.
    """
    named = names_of(names, "layers", TargetError)
    known = {step.name: step.outputs[0] for step in plan.steps}
    known |= {name: name for step in plan.steps for name in step.outputs}
    if strange := [name for name in named if name not in known]:
        raise TargetError(f"{source}: no node or tensor {printable(strange[0])!r} on the way; see onnx-lrp check")
    return {name: known[name] for name in named}


def _step(node: ir.Node, role: Role, rule: Rule | None, facts: Facts, verdict: Verdict) -> Step:
    shares = role.ruled and not isinstance(rule, PassRule)  # nothing else looks at its own output
    stand_in = facts.masked.get(node.outputs[0]) if shares else None
    return Step(
        name=label(node),
        op=node.op_type,
        role=role,
        inputs=tuple(None if v is None else v.name for v in node.inputs),
        outputs=tuple(v.name or "" for v in node.outputs),
        rule=rule,
        nonnegative=shares and all(node.inputs[i] in facts.nonnegative for i in role.receives),
        masked=None if stand_in is None else stand_in.name,
        node=node,
        held=() if isinstance(role, Held) else tuple(v.name or "" for v in _held(node, role, verdict)),
    )


def _held(node: ir.Node, role: Role, verdict: Verdict) -> list[ir.Value]:
    """The inputs that depend on the data and count as constants."""
    marked, kinds = held_positions(node), verdict.dependences
    given = [(i, v) for i, v in enumerate(node.inputs) if v is not None and i not in role.receives]
    return [v for i, v in given if kinds[v] is Dependence.HELD or (i in marked and kinds[v] is Dependence.VARIABLE)]
