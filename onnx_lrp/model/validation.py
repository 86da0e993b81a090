"""The verdict: the role of every node that relevance meets, or all the nodes that have none."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnx_ir as ir

from ..errors import MISFITS, InputError, InvalidModelError, OnnxLrpError, Problem, UnsupportedModelError, malformed
from ..ops import Linear, Merge, Role, Unsupported, held_role_of, profiled_role_of, qualified, role_of
from ..text import printable
from .asking import EXAMPLE, apart, before, sized
from .dependence import Dependence, dependences
from .evaluation import evaluable, opset_of
from .graph import FLOATS, REFUSAL, WRITTEN, array, attributes, label
from .meaning import meaning
from .onenode import RANDOM
from .profile import STRICT, Profile
from .site import NodeSite

LARGEST_TENSOR = 2**30  # elements of one tensor: 4 GiB as float32


@dataclass(frozen=True)
class Verdict:
    """Roles of the nodes that depend on the data, in the order of execution; ``derived`` depend on shapes only."""

    roles: dict[ir.Node, Role]
    derived: tuple[ir.Node, ...]
    dependences: dict[ir.Value, Dependence]


def validate(model: ir.Model, source: str, written: ir.Graph, profile: Profile = STRICT) -> Verdict:
    """Give every node of a canonized model its role.

    Args:
        model: the model.
        source: what to call it in messages.
        written: the graph before it was cut and canonized: whose tensors a user can name.
        profile: what is allowed beyond ReLU nets; whatever it holds is marked.

    Raises:
        UnsupportedModelError: with all the nodes that have none.
        InvalidModelError: a weight holds NaN or Inf, or a tensor would be absurdly large.
    """
    kind, opset = dependences(model.graph), opset_of(model)
    roles: dict[ir.Node, Role] = {}
    derived: list[ir.Node] = []
    problems: dict[ir.Node, Problem] = {}
    for node in model.graph:
        try:
            if max(kind[output] for output in node.outputs) >= Dependence.HELD:
                roles[node] = _role(node, kind, opset, profile)
            else:
                derived.append(_derived(node, opset))
        except Unsupported as verdict:
            reason = printable(verdict.reason, 300) + _in_other_words(node)
            problems[node] = Problem(label(node), _op(node), reason, verdict.remedy, sizes=verdict.sizes)
        except OnnxLrpError:
            raise
        except MISFITS as error:
            raise malformed(label(node), _op(node), error) from None
    ends = _end_problems(model)
    if problems or ends:
        problems = {node: _named(model.graph, node, problem) for node, problem in problems.items()}
        earlier = before(model.graph, kind, problems, written)
        raise UnsupportedModelError(source, [*(replace(p, earlier=earlier[n]) for n, p in problems.items()), *ends])
    for node, role in roles.items():
        _check_numbers(node, role, source)
    return Verdict(roles, tuple(derived), kind)


def _named(graph: ir.Graph, node: ir.Node, problem: Problem) -> Problem:
    """The problem with a remedy that names the input it is about."""
    if problem.sizes:
        return replace(problem, remedy=problem.remedy.replace(EXAMPLE, sized(graph)))
    held = apart(graph, node) if "two variables" in problem.reason else None
    if held is None:
        return problem
    option = f"--fixed {shlex.quote(printable(held))}"
    return replace(problem, remedy=f"{problem.remedy}, or hold the input {printable(held)!r} constant ({option})")


def check_target(model: ir.Model, source: str) -> None:
    """Refuse an explained tensor that no input reaches: folding constants would leave nothing of it.

    Raises:
        UnsupportedModelError: it is one.
    """
    target = model.graph.outputs[0]
    if dependences(model.graph)[target] is not Dependence.VARIABLE:
        reason = "does not depend on the model's inputs"
        raise UnsupportedModelError(
            source, [Problem(printable(target.name or ""), "output", reason, "explain another output")]
        )


def _in_other_words(node: ir.Node) -> str:
    """What the exporter made of it, or its owner meant by it."""
    if WRITTEN in node.meta:
        return f" (written as {node.meta[WRITTEN]})"
    meant = meaning(node)
    return f" ({meant})" if meant else ""


def _op(node: ir.Node) -> str:
    return printable(qualified(node.op_type, node.domain))


def _role(node: ir.Node, kind: dict[ir.Value, Dependence], opset: int, profile: Profile) -> Role:
    if any(v is not None and v.const_value is not None and v.dtype == ir.DataType.STRING for v in node.inputs):
        raise Unsupported("computes with strings", "explain an output that is made of numbers")
    refused = node.meta.get(REFUSAL)
    if isinstance(refused, Unsupported):
        raise refused
    if not profile:
        return role_of(NodeSite(node, kind, opset), attributes(node))
    if max(kind[output] for output in node.outputs) is Dependence.HELD:
        return held_role_of(NodeSite(node, kind, opset, Dependence.HELD, profile=True), attributes(node))
    return profiled_role_of(NodeSite(node, kind, opset, profile=True), attributes(node))


def _derived(node: ir.Node, opset: int) -> ir.Node:
    if node.op_type in RANDOM:
        raise Unsupported("draws random numbers", "export the model in eval mode")
    if not evaluable(node, opset):
        raise Unsupported("does not depend on the data, but cannot be evaluated either", "fold it when exporting")
    return node


def _end_problems(model: ir.Model) -> list[Problem]:
    """What is wrong with the explained tensor and with the inputs."""
    target = model.graph.outputs[0]
    name = printable(target.name or "")
    if target.dtype is not None and target.dtype not in FLOATS:
        return [Problem(name, "output", f"is {target.dtype.name.lower()}, not a float", "explain another output")]
    maker = target.producer()
    if maker is not None and maker.op_type == "DynamicQuantizeLinear":
        return [Problem(name, "output", "is a scale of integers", "explain another output")]
    inputs = [value for value in model.graph.inputs if value.uses()]
    strange = [v for v in inputs if isinstance(v.type, (ir.SequenceType, ir.OptionalType))]
    complex_ones = [v for v in inputs if v.dtype in (ir.DataType.COMPLEX64, ir.DataType.COMPLEX128)]
    words = [v for v in inputs if v.dtype == ir.DataType.STRING and not _is_encoded(v)]
    return [
        Problem(printable(value.name or ""), "input", f"is a {kind}", "feed tensors of real numbers")
        for kind, values in (
            ("Sequence or Optional", strange),
            ("complex tensor", complex_ones),
            ("string tensor that no OneHotEncoder reads", words),
        )
        for value in values
    ]


def _is_encoded(words: ir.Value) -> bool:
    """Whether all that is made of words is categories."""
    users = [use.node for use in words.uses()]
    return all(
        node.op_type == "OneHotEncoder" or all(v.dtype == ir.DataType.STRING and _is_encoded(v) for v in node.outputs)
        for node in users
    )


def _check_numbers(node: ir.Node, role: Role, source: str) -> None:
    """Weights must be finite (bounds of a Clip need not)."""
    if not isinstance(role, Linear | Merge):
        return
    for value in node.inputs:
        data = array(value)
        if data is not None and data.dtype.kind == "f" and not np.isfinite(data).all():
            where = f"{source}: weight {printable(value.name or '')!r} of {label(node)} ({node.op_type})"  # type: ignore[union-attr]
            raise InvalidModelError(f"{where} holds NaN or Inf; train or export the model again")


def check_sizes(graph: onnx.GraphProto, source: str) -> None:
    """Refuse models whose declared or inferred shapes no machine could hold.

    Raises:
        InvalidModelError: a tensor of more than 2**30 elements.
    """
    for info in (*graph.input, *graph.value_info, *graph.output):
        sizes = [dim.dim_value for dim in info.type.tensor_type.shape.dim if dim.dim_value]
        if sizes and math.prod(sizes) > LARGEST_TENSOR:
            node = next((n for n in graph.node if info.name in (*n.output, *n.input)), onnx.NodeProto(op_type="input"))
            raise InvalidModelError(
                f"{source}: node {printable(node.name or info.name)} ({printable(node.op_type)}) has a tensor of "
                f"{'×'.join(map(str, sizes))} elements; the limit is 2^30"
            )


def check_shape_vectors(model: ir.Model, source: str) -> None:
    """Refuse shape inputs that declare an absurd rank: shape inference would allocate it.

    Raises:
        InvalidModelError: there is one.
    """
    for node in model.graph:
        shapes = node.inputs if node.op_type == "ConstantOfShape" else list(node.inputs)[1:]
        for value in shapes:
            integer = value is not None and value.dtype in (ir.DataType.INT64, ir.DataType.INT32)
            vector = integer and value.shape is not None and len(value.shape) == 1  # type: ignore[union-attr]
            feeds_shape = node.op_type in ("ConstantOfShape", "Reshape", "Expand", "Tile", "Pad", "Slice", "Resize")
            if vector and feeds_shape and isinstance(n := value.shape[0], int) and n > 1024:  # type: ignore[union-attr,index]
                raise InvalidModelError(
                    f"{source}: node {label(node)} ({_op(node)}) reads a shape of {n} axes; the model is malformed"
                )


def check_growth(model: ir.Model, source: str) -> None:
    """Refuse a Tile or Pad that no machine could hold: along an open axis, shape inference cannot tell its size.

    Raises:
        InvalidModelError: one repeats its input more than 2**30 times, or adds more than as many elements to an axis.
    """
    for node in model.graph:
        given = array(node.inputs[1]) if node.op_type in ("Tile", "Pad") and len(node.inputs) > 1 else None
        if given is None or given.dtype.kind != "i":
            continue
        sizes = [abs(int(n)) for n in given.reshape(-1)]
        if (_product(sizes) if node.op_type == "Tile" else max(sizes, default=0)) > LARGEST_TENSOR:
            shown = "×".join(map(str, sizes))
            raise InvalidModelError(f"{source}: node {label(node)} ({_op(node)}) grows by {shown}; the limit is 2^30")


def _product(sizes: list[int]) -> int:
    result = 1
    for n in sizes:
        result *= n
    return result


def input_values(model: ir.Model, source: str) -> list[ir.Value]:
    """The inputs that a user has to give.

    Raises:
        InputError: there are none.
    """
    found = [value for value in model.graph.inputs if value.const_value is None]
    if not found:
        raise InputError(f"{source}: the model has no input to explain")
    return found
