"""load → canonize → check: a model that is ready to be planned."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy

import numpy as np
import onnx
import onnx.version_converter
import onnx_ir as ir
from onnx_ir.passes import common as passes

from ..errors import (
    CompositeError,
    ConversionError,
    InvalidModelError,
    OnnxLrpError,
    UnsupportedModelError,
    names_of,
)
from ..text import printable
from .asking import asked
from .canonizers import (
    Dequantize,
    Expand,
    FoldConstants,
    Heads,
    JoinSums,
    MergeAffine,
    MergePads,
    NameActivations,
    NameSoftmax,
    Spread,
    cut,
    expose,
    hold,
    hold_token_masks,
    inline,
    make_finite,
    mark_addresses,
    pass_through,
)
from .collector import paused_collector
from .evaluation import opset_of
from .fixing import Fixed, by_name, fix
from .graph import ASSUMED, FIXED, HOLES, is_sorted, sort
from .inference import infer, lightened
from .loading import Loaded, Source, load
from .prepared import Prepared
from .profile import STRICT, Profile
from .sizing import Shapes, size_inputs
from .validation import check_growth, check_shape_vectors, check_target, input_values, validate
from .weighing import weighing

SUGGESTED = "attnlrp"  # where strict refuses


@paused_collector()
@np.errstate(all="ignore")  # a model's constants are what they are; what is not finite is an error when it runs
def prepare(
    source: Source,
    output: str | None = None,
    oldest: int = 0,
    pass_ops: str | Iterable[str] = (),
    fixed: Fixed = (),
    shapes: Shapes | None = None,
    profile: str | Profile = STRICT,
) -> Prepared:
    """Load, canonize and check a model; of one that is refused, say whether a profile would take it.

    Args:
        source: path, bytes or ``ModelProto``.
        output: name of the output, tensor or node to explain, the first output by default.
        oldest: the opset that an older model is raised to.
        pass_ops: activations through which relevance passes unchanged, on the user's word.
        fixed: inputs that are constants of the question: names, or values by name (None: it is fed like the others).
        shapes: sizes of open axes, by input.
        profile: what is allowed beyond ReLU nets.

    Raises:
        ModelError: see :mod:`onnx_lrp.errors`.
        TargetError: no such tensor.
        InputError: no such input, or a value or shape that does not fit it.
        CompositeError: no such profile; or one of ``pass_ops`` is no such activation, or the model has none of it.
    """
    loaded, allowed = load(source), Profile.parse(profile)
    try:
        return _prepare(loaded, output, oldest, pass_ops, fixed, shapes, allowed)
    except UnsupportedModelError as error:
        if allowed:
            raise
        refused = error
    try:
        _prepare(loaded, output, oldest, pass_ops, fixed, shapes, Profile.parse(SUGGESTED))
        left = 0
    except UnsupportedModelError as error:
        left = len(error.problems)
    except OnnxLrpError:
        raise refused from None
    raise _suggesting(refused, left) from None


def _suggesting(refused: UnsupportedModelError, left: int) -> UnsupportedModelError:
    """The refusal, with what a profile would do about it: so many nodes have no role then."""
    found = len(refused.problems)
    if left >= found:
        return refused
    share = ("it has" if found == 1 else "all of them have") if not left else f"{found - left} of {found} have"
    hint = f"with --profile {SUGGESTED} {share} one"
    return UnsupportedModelError(refused.source, refused.problems, hint)


def _prepare(
    loaded: Loaded, output: str | None, oldest: int, pass_ops: str | Iterable[str], fixed: Fixed,
    shapes: Shapes | None, allowed: Profile,
) -> Prepared:  # fmt: skip
    trusted = names_of(pass_ops, "pass_ops", CompositeError)
    untyped = {value.name: copy(value) for value in loaded.proto.graph.output if not _is_tensor(value)}
    proto = _raised(loaded.proto, oldest, loaded.source)
    model = parse(proto, loaded.source)
    notes = [f"raised to opset {oldest} from {opset_of(loaded.proto)}"] if opset_of(loaded.proto) < oldest else []
    held = by_name(fixed)
    declared = {value: value.shape for value in model.graph.inputs}
    notes += fix(model, held, loaded.source)
    size_inputs(model, shapes or {}, loaded.source)
    known = bool(shapes) or any(value is not None for value in held.values())  # the message does not have it
    message = lightened(proto) if is_sorted(model.graph) and not known else None
    written = model.clone() if model.functions else None
    notes += inline(model, loaded.source)
    sort(model.graph, loaded.source)
    check_shape_vectors(model, loaded.source)
    check_growth(model, loaded.source)
    infer(model, loaded.source, message if written is None else None)
    expose(model)
    heads = Heads(model, trusted)
    target = heads.logit(asked(model, output, loaded.source))
    if heads.made:
        infer(model, loaded.source)
    source_model = model.clone()
    for value, own in zip(source_model.graph.inputs, model.graph.inputs):
        value.shape = declared[own]
    cut(model, target)
    check_target(model, loaded.source)
    in_source = target.name or ""
    notes += [*heads.notes, *_canonize(model, loaded.source, allowed), *pass_through(model, trusted, loaded.source)]
    if any(node.op_type == "Imputer" for node in model.graph):
        for value in model.graph.inputs:
            value.meta[HOLES] = True
    hold_token_masks(model.graph, allowed)
    for value in weighing(model.graph):
        value.meta[FIXED] = ASSUMED
    notes += hold(model, allowed, opset_of(model))
    if allowed:
        make_finite(model)
    verdict = validate(model, loaded.source, source_model.graph, allowed)
    name = model.graph.outputs[0].name or in_source
    return Prepared(
        model, source_model, in_source, verdict, name, loaded.source, tuple(notes), loaded.sha256, untyped, trusted, {},
        written, message, heads.probability, allowed,
    )  # fmt: skip


def declared_inputs(source: Source) -> tuple[list[ir.Value], str]:
    """What a model asks to be fed, as it declares it, and what to call it in messages.

    Raises:
        LoadError, InvalidModelError: it cannot be read.
    """
    loaded = load(source)
    return input_values(parse(loaded.proto, loaded.source), loaded.source), loaded.source


def _canonize(model: ir.Model, source: str, profile: Profile) -> list[str]:
    """Rewrite until nothing is left to fold or to expand; then name and merge. Returns notes."""
    opset = opset_of(model)
    fold, expand, name = FoldConstants(opset), Expand(bool(profile)), NameActivations(opset)
    join, pad, merge = JoinSums(opset), MergePads(), MergeAffine()
    fold(model)
    while Spread()(model).modified:  # a shape that got known may make others known
        fold(model)
        infer(model, source)
    while expand(model).modified:  # what is inside may be composed in turn, and shapes get known
        infer(model, source)
        check_target(model, source)  # what a loop hides may turn out to be constant
        fold(model)
    if Dequantize()(model).modified:
        infer(model, source)
        fold(model)
    soften = NameSoftmax(opset)
    if profile:
        soften(model)
    for rewrite in (name, join, pad, merge, passes.RemoveUnusedNodesPass()):
        rewrite(model)
    mark_addresses(model)
    return [*fold.notes, *expand.notes, *soften.notes, *name.notes, *join.notes, *pad.notes, *merge.notes]


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
