"""What of a model can be explained: its outputs, the logits before their heads, or the last tensors that can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import Problem, UnsupportedModelError
from ..model.graph import dims
from ..model.loading import Source, load
from ..model.preparation import prepare
from ..model.prepared import Prepared
from ..model.profile import STRICT, Profile
from ..text import printable, table


@dataclass(frozen=True)
class Candidate:
    """A tensor that ``output`` can name: its name, its shape, and what it is to the model's outputs."""

    name: str
    shape: str
    what: str


def candidates(model: Source, profile: str | Profile = STRICT) -> list[Candidate]:
    """Of each of the model's outputs, what of it a profile explains: itself, its logit, or the last tensors before.

    Raises:
        ModelError: the file cannot be read or is malformed.
    """
    loaded = load(model)
    found: dict[str, Candidate] = {}
    blocked: list[tuple[str, Problem]] = []
    for value in loaded.proto.graph.output:
        shown = printable(value.name)
        try:
            prepared = prepare(model, value.name, profile=profile)
            what = f"output {shown}" if prepared.target == value.name else f"logit of output {shown}"
            found[prepared.target] = _candidate(prepared, what)
        except UnsupportedModelError as error:
            blocked += [(shown, problem) for problem in error.problems]
    for shown, problem in blocked:
        for name in problem.earlier:
            what = f"before {problem.node} ({problem.op}), on the way to output {shown}"
            if name not in found:
                found[name] = _candidate(prepare(model, name, profile=profile), what)
    return list(found.values())


def listed(found: Sequence[Candidate]) -> list[str]:
    """A table, or one line that says that there is nothing."""
    rows = [(c.name, c.shape, c.what) for c in found]
    return table(("tensor", "shape", "what it is"), rows) if rows else ["nothing in this model can be explained"]


def _candidate(prepared: Prepared, what: str) -> Candidate:
    shape = dims(prepared.model.graph.outputs[0])
    shown = "?" if shape is None else "×".join("?" if d is None else printable(str(d)) for d in shape)
    return Candidate(printable(prepared.target), shown, what)
