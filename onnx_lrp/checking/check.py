"""What ``check`` reports: for every node its role and the rule it will get, or why the model is rejected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from ..composites import Composite
from ..errors import Problem, UnsupportedModelError, grouped
from ..model.collector import paused_collector
from ..model.fixing import Fixed
from ..model.graph import dims, user_node
from ..model.loadable import require_loadable
from ..model.loading import Source
from ..model.preparation import prepare
from ..model.prepared import Prepared
from ..model.profile import STRICT, Profile
from ..model.sizing import Shapes
from ..propagation.plan import Plan, make_plan
from ..propagation.step import Step
from ..text import printable, table, under
from .cost import multiply_adds, shares
from .warnings import doubts


@dataclass(frozen=True)
class Row:
    """One node of the canonized model, or of the user's if it was expanded."""

    node: str
    op: str
    shape: str
    role: str
    rule: str


@dataclass(frozen=True)
class Report:
    """The verdict on a model: rows if it is supported, problems if not.

    ``notes`` say how it was rewritten, ``warnings`` what may make relevance inexact, and ``multiply_adds`` how many run
    under each rule in one forward pass, for one sample where their number is open; None if other
    sizes are open, too. ``profile`` is what was asked for.
    """

    source: str
    output: str
    rows: tuple[Row, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    multiply_adds: dict[str, int] | None = None
    profile: str = "strict"

    @property
    def supported(self) -> bool:
        """Whether the model can be explained."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "supported": self.supported}

    def __str__(self) -> str:
        body = table(("node", "op", "shape", "role", "rule"), [tuple(asdict(row).values()) for row in self.rows])
        if self.problems:
            body = table(
                ("node", "op", "reason", "remedy"), [(p.node, p.op, p.reason, p.advice) for p in grouped(self.problems)]
            )
        verdict = (
            f"supported{under(self.profile)}, explains {self.output!r}"
            if self.supported
            else f"unsupported, nodes without a role: {len(self.problems)}"
        )
        about = [f"  note: {note}" for note in self.notes] + [f"  warning: {warning}" for warning in self.warnings]
        if self.supported:
            about.append(f"  multiply-adds: {shares(self.multiply_adds)}")
        return "\n".join([f"{self.source}: {verdict}", *about, *body])


@paused_collector()
def check(
    model: Source,
    composite: str | Composite = "default",
    output: str | None = None,
    pass_ops: str | Iterable[str] = (),
    fixed: Fixed = (),
    shapes: Shapes | None = None,
    profile: str | Profile = STRICT,
) -> Report:
    """Say whether a model can be explained, node by node.

    Args:
        model: as for :class:`Explainer`, like the rest.
        composite: which rule goes where.
        output: the output to explain.
        pass_ops: activations that relevance passes on your own responsibility.
        fixed: inputs that are constants of the question.
        shapes: sizes of open axes, by input.
        profile: what is allowed beyond ReLU nets.

    Raises:
        LoadError, InvalidModelError: the file cannot be read or is malformed (an unsupported model is no error here).
        TargetError: no such output.
        CompositeError: no such composite, or ``pass_ops`` names what is no such activation.
    """
    try:
        prepared = prepare(model, output, 0, pass_ops, fixed, shapes, profile)
    except UnsupportedModelError as error:
        return Report(str(error).partition(": unsupported")[0], printable(output or ""), problems=error.problems,
                      notes=(error.profiled,) if error.profiled else ())  # fmt: skip
    plan = make_plan(prepared.verdict, prepared.model, Composite.parse(composite))
    require_loadable(prepared.uncut, [prepared.target], prepared.source, prepared.message)
    return verdict_on(prepared, plan)


def verdict_on(prepared: Prepared, plan: Plan) -> Report:
    """The report on a model that is supported, of which there is a plan."""
    groups = groupby(plan.steps, lambda step: step if step.node is None else user_node(step.node))
    rows = tuple(_row(thing.name, thing.op, list(steps)) for thing, steps in groups)
    return Report(
        prepared.source, printable(prepared.output), rows, notes=(*prepared.notes, *prepared.assumptions()),
        warnings=doubts(prepared, plan), multiply_adds=multiply_adds(prepared, plan),
        profile=str(prepared.profile),
    )  # fmt: skip


def _row(name: str, op: str, steps: Sequence[Step]) -> Row:
    main = next((step for step in steps if step.name == name), steps[-1])
    shape = dims(main.node.outputs[0]) if main.node is not None else None
    shown = "?" if shape is None else "×".join("?" if _is_unsaid(d) else printable(str(d)) for d in shape)
    roles = dict.fromkeys(type(step.role).__name__ for step in steps)
    rules = dict.fromkeys(str(step.rule) for step in steps if step.rule is not None)
    (word,) = roles if len(roles) == 1 else ("",)
    return Row(name, op, shown, " + ".join(roles), ", ".join(rules) or WORDS.get(word, ""))


def _is_unsaid(size: int | str | None) -> bool:
    """Whether a size has no name, or one that only shape inference gave it."""
    return size is None or str(size).startswith("unk__")


WORDS = {"Activation": "unchanged", "Route": "moved", "Held": "constant"}
