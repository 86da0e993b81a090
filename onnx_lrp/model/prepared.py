"""A canonized model with its verdict, its source, and what was found out about the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx
import onnx_ir as ir
from onnx_ir.passes import common as passes

from ..ops import Activation
from ..text import printable
from .graph import ASSUMED, FIXED, OF_TOKENS, dims, is_fixed
from .profile import STRICT, Profile
from .samples import independent, named_alike, rows
from .validation import Verdict, input_values


@dataclass(frozen=True)
class Prepared:
    """A canonized model with its verdict.

    ``source_model`` is the source with its functions inlined and all its outputs, otherwise untouched (``written``: the
    source as it is written, if it has functions); ``target`` is what the explained tensor is called in there. ``notes``
    say what was rewritten; ``sha256`` is the source's, ``untyped`` are outputs of types that :mod:`onnx_ir` lacks,
    ``pass_ops`` what relevance passes on the user's word, ``tried`` whether samples were found to be independent, by
    their shape, ``message`` is the source as it is written, without its large weights, if its nodes are sorted.
    """

    model: ir.Model
    source_model: ir.Model
    target: str
    verdict: Verdict
    output: str
    source: str
    notes: tuple[str, ...]
    sha256: str
    untyped: dict[str, onnx.ValueInfoProto]
    pass_ops: tuple[str, ...] = ()
    tried: dict[str, bool] = field(default_factory=dict, compare=False)
    written: ir.Model | None = None
    message: onnx.ModelProto | None = None
    probability: str | None = None
    profile: Profile = STRICT

    @property
    def inputs(self) -> list[ir.Value]:
        """What a user has to feed."""
        return input_values(self.model, self.source)

    @property
    def explaining(self) -> list[ir.Value]:
        """The inputs that get relevance: all but those that are held fixed."""
        return [value for value in self.inputs if not is_fixed(value)]

    def batched(self, shape: Sequence[object], inputs: Mapping[str, Sequence[object]]) -> bool:
        """Whether the explained tensor, of this shape, has one row per sample; else all of it is one sample's.

        Args:
            shape: the explained tensor's; a first size that is no int is known to count samples.
            inputs: shapes by input name.
        """
        if not shape or not isinstance(shape[0], int):
            return len(shape) > 0
        explaining = self.explaining
        if shape[0] not in rows(explaining, {value.name or "": inputs[value.name or ""] for value in explaining}):
            return False
        flexible = any(not isinstance((dims(value) or [None])[0], int) for value in explaining)
        if shape[0] == 1:
            return flexible or len(shape) > 1
        counts = named_alike(explaining, self.model.graph.outputs[0]) or self.scales_together()
        return (flexible and counts) or self._independent(shape, inputs)

    def scales_together(self) -> bool:
        """Whether all samples of a batch decide on one scale, as in DynamicQuantizeLinear: none is independent, though
        each has its own row. Samples with largest values 1 and 100 are rounded to hundredths of 100.
        """
        return any(isinstance(role, Activation) and not role.batchwise for role in self.verdict.roles.values())

    def _independent(self, target: Sequence[object], shapes: Mapping[str, Sequence[object]]) -> bool:
        """As found by trying, once per shape of a sample."""
        key = str({name: tuple(shape[1:]) for name, shape in shapes.items()})
        if key not in self.tried:
            sizes = {name: [s if isinstance(s, int) else 2 for s in shape] for name, shape in shapes.items()}
            self.tried[key] = independent(self.reference(), self.inputs, sizes, target)
        return self.tried[key]

    def assumptions(self) -> list[str]:
        """What was taken for a weight, or for a sample, where nobody said it."""
        assumed = [value for value in self.inputs if value.meta.get(FIXED) in (ASSUMED, OF_TOKENS)]
        return [
            *(f"input {printable(v.name or '')!r} is held fixed, as {v.meta[FIXED]}" for v in assumed),
            *self._about_samples(),
        ]

    def _about_samples(self) -> list[str]:
        sizes = {value.name or "": dims(value) or [None] for value in self.inputs}
        target = dims(self.model.graph.outputs[0]) or [None]
        if all(isinstance(n, int) for shape in (*sizes.values(), target) for n in shape):
            self.batched(target, sizes)
        name = printable(self.output)
        found = (
            (f"{name!r} is one sample's", "its rows depend on more than their own row of the inputs"),
            (f"each row of {name!r} is a sample's", "it depends on no other row of the inputs"),
        )
        return [f"{what}: found by trying, {why}" for what, why in (found[apart] for apart in set(self.tried.values()))]

    @property
    def uncut(self) -> ir.Model:
        """The source, its functions left alone unless the explained tensor is inside of one."""
        if self.written is not None and self.target in _names(self.written.graph):
            return self.written
        return self.source_model

    def reference(self, *tensors: str | None) -> ir.Model:
        """The source cut to some tensors, by default to the explained one."""
        copy, wanted = self.uncut.clone(), [name for name in tensors if name] or [self.target]
        values = [*copy.graph.inputs, *(value for node in copy.graph for value in node.outputs)]
        copy.graph.outputs[:] = [next(v for v in values if v.name == name) for name in wanted]
        passes.RemoveUnusedNodesPass()(copy)
        return copy


def _names(graph: ir.Graph) -> set[str | None]:
    return {value.name for value in (*graph.inputs, *(output for node in graph for output in node.outputs))}
