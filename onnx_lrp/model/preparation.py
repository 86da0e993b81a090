"""load → canonize → check: a model that is ready to be planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx.version_converter
import onnx_ir as ir
from onnx_ir.passes import common as passes

from ..errors import CompositeError, ConversionError, InvalidModelError, names_of
from ..text import printable
from .canonizers import (
    Dequantize,
    Expand,
    FoldConstants,
    JoinSums,
    MergeAffine,
    MergePads,
    NameActivations,
    Spread,
    cut,
    expose,
    inline,
    pass_through,
)
from .collector import paused_collector
from .evaluation import opset_of
from .graph import dims, sort
from .inference import infer
from .loading import Source, load
from .samples import independent, named_alike, rows
from .validation import Verdict, check_growth, check_shape_vectors, check_target, input_values, validate


@dataclass(frozen=True)
class Prepared:
    """A canonized model with its verdict.

    ``source_model`` is the source with its functions inlined and all its outputs, otherwise untouched (``written``: the
    source as it is written, if it has functions); ``target`` is what the explained tensor is called in there. ``notes``
    say what was rewritten; ``sha256`` is the source's, ``untyped`` are outputs of types that :mod:`onnx_ir` lacks,
    ``pass_ops`` what relevance passes on the user's word, ``tried`` whether samples were found to be independent, by
    their shape.
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

    @property
    def inputs(self) -> list[ir.Value]:
        """What a user has to feed."""
        return input_values(self.model, self.source)

    def batched(self, shape: Sequence[object], inputs: Mapping[str, Sequence[object]]) -> bool:
        """Whether the explained tensor, of this shape, has one row per sample; else all of it is one sample's.

        Args:
            shape: the explained tensor's; a first size that is no int is known to count samples.
            inputs: shapes by input name.
        """
        if not shape or not isinstance(shape[0], int):
            return len(shape) > 0
        if shape[0] not in rows(self.inputs, inputs):
            return False
        flexible = any(not isinstance((dims(value) or [None])[0], int) for value in self.inputs)
        if shape[0] == 1:
            return flexible or len(shape) > 1
        return (flexible and named_alike(self.inputs, self.model.graph.outputs[0])) or self._independent(shape, inputs)

    def _independent(self, target: Sequence[object], shapes: Mapping[str, Sequence[object]]) -> bool:
        """As found by trying, once per shape of a sample."""
        key = str({name: tuple(shape[1:]) for name, shape in shapes.items()})
        if key not in self.tried:
            sizes = {name: [s if isinstance(s, int) else 2 for s in shape] for name, shape in shapes.items()}
            self.tried[key] = independent(self.reference(), self.inputs, sizes, target)
        return self.tried[key]

    def about_samples(self) -> list[str]:
        """What was taken for a sample, where that was in doubt."""
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

    def reference(self) -> ir.Model:
        """The source cut to the explained tensor."""
        copy = self.uncut.clone()
        values = [*copy.graph.inputs, *(value for node in copy.graph for value in node.outputs)]
        copy.graph.outputs[:] = [next(value for value in values if value.name == self.target)]
        passes.RemoveUnusedNodesPass()(copy)
        return copy


@paused_collector()
@np.errstate(all="ignore")  # a model's constants are what they are; what is not finite is an error when it runs
def prepare(source: Source, output: str | None = None, oldest: int = 0, pass_ops: str | Iterable[str] = ()) -> Prepared:
    """Load, canonize and check a model.

    Args:
        source: path, bytes or ``ModelProto``.
        output: the output to explain, the first one by default.
        oldest: the opset that an older model is raised to.
        pass_ops: activations through which relevance passes unchanged, on the user's word.

    Raises:
        ModelError: see :mod:`onnx_lrp.errors`.
        TargetError: no such output.
        CompositeError: one of ``pass_ops`` is no such activation, or the model has none of it.
    """
    loaded = load(source)
    trusted = names_of(pass_ops, "pass_ops", CompositeError)
    untyped = {value.name: copy(value) for value in loaded.proto.graph.output if not _is_tensor(value)}
    model = parse(_raised(loaded.proto, oldest, loaded.source), loaded.source)
    notes = [f"raised to opset {oldest} from {opset_of(loaded.proto)}"] if opset_of(loaded.proto) < oldest else []
    written = model.clone() if model.functions else None
    notes += inline(model, loaded.source)
    sort(model.graph, loaded.source)
    check_shape_vectors(model, loaded.source)
    check_growth(model, loaded.source)
    infer(model, loaded.source)
    expose(model)
    source_model = model.clone()
    target, heads = cut(model, output, loaded.source)
    check_target(model, loaded.source)
    in_source = target.name or ""
    notes += [*heads, *_canonize(model, loaded.source), *pass_through(model, trusted, loaded.source)]
    verdict = validate(model, loaded.source)
    name = model.graph.outputs[0].name or in_source
    return Prepared(
        model, source_model, in_source, verdict, name, loaded.source, tuple(notes), loaded.sha256, untyped, trusted, {},
        written,
    )  # fmt: skip


def _names(graph: ir.Graph) -> set[str | None]:
    return {value.name for value in (*graph.inputs, *(output for node in graph for output in node.outputs))}


def _canonize(model: ir.Model, source: str) -> list[str]:
    """Rewrite until nothing is left to fold or to expand; then name and merge. Returns notes."""
    opset = opset_of(model)
    fold, expand, name = FoldConstants(opset), Expand(), NameActivations(opset)
    join, pad, merge = JoinSums(opset), MergePads(), MergeAffine()
    fold(model)
    while Spread()(model).modified:  # a shape that got known may make others known
        fold(model)
        infer(model, source)
    while expand(model).modified:  # what is inside may be composed in turn, and shapes get known
        infer(model, source)
        fold(model)
    if Dequantize()(model).modified:
        infer(model, source)
        fold(model)
    for rewrite in (name, join, pad, merge, passes.RemoveUnusedNodesPass()):
        rewrite(model)
    return [*fold.notes, *expand.notes, *name.notes, *join.notes, *pad.notes, *merge.notes]


def _is_tensor(value: onnx.ValueInfoProto) -> bool:
    return value.type.WhichOneof("value") in ("tensor_type", None)


def _raised(proto: onnx.ModelProto, oldest: int, source: str) -> onnx.ModelProto:
    """The model in a newer opset, if its own is too old.

    Raises:
        ConversionError: onnx cannot convert it.
    """
    if opset_of(proto) >= oldest:
        return proto
    try:
        return onnx.version_converter.convert_version(proto, oldest)
    except Exception as error:  # the converter raises bare RuntimeErrors
        reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__, 200)
        raise ConversionError(f"{source}: cannot be raised to opset {oldest}: {reason}; export it again") from None


def parse(proto: onnx.ModelProto, source: str) -> ir.Model:
    """The message as :mod:`onnx_ir` objects.

    Raises:
        InvalidModelError: it makes no sense as a graph.
    """
    for value in (*proto.graph.output, *proto.graph.value_info):
        if not _is_tensor(value):  # a ZipMap's list of maps, which onnx_ir has no type for; such a head is cut anyway
            value.ClearField("type")
    try:
        model = ir.from_proto(proto)
    except Exception as error:  # the parser raises whatever it stumbles over
        reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__, 200)
        raise InvalidModelError(f"{source}: malformed model: {reason}") from None
    for graph in model.graphs():
        for value in (*graph.inputs, *graph.outputs, *(value for node in graph for value in node.outputs)):
            _open_axes(value)
    return model


def _open_axes(value: ir.Value) -> None:
    """PaddlePaddle writes -1 for an open axis."""
    if any(isinstance(size, int) and size < 0 for size in value.shape or ()):
        value.shape = ir.Shape([None if isinstance(size, int) and size < 0 else size for size in value.shape or ()])
