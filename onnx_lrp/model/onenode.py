"""One node as a model of its own: how large its result is, and the result, by whoever can compute it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import onnx_ir as ir

from ..errors import InvalidModelError
from ..text import printable
from .graph import label
from .runtime import SessionOptions, make_session, run

RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
_FEW = 1024  # elements of what may be a shape: shape inference needs to know these

_Feeds = Mapping[str, np.ndarray]
_Results = list[np.ndarray]


def is_function_of_its_inputs(node: ir.Node) -> bool:
    """Whether the same inputs give the same tensors: nothing random, no subgraph, an op that runtimes know."""
    graphs = any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values())
    random = node.op_type in RANDOM or (node.op_type == "Dropout" and len(node.inputs) > 2)
    held = any(word in node.op_type for word in ("Sequence", "Optional", "String", "Regex"))
    return node.domain in ("", "ai.onnx", "com.microsoft") and not (graphs or random or held)


def result_size(node: ir.Node, inputs: Sequence[np.ndarray | None], opset: int) -> int:
    """Elements of all results as shape inference knows them; those of the inputs, where it does not."""
    feeds = _feeds(node, inputs)
    given = sum(a.size for a in feeds.values())
    small = [(name, a) for name, a in feeds.items() if a.size <= _FEW]
    try:
        model = _model(node, feeds, opset)
        model.graph.initializer.extend(onnx.numpy_helper.from_array(a, name) for name, a in small)
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # it raises whatever it likes; the run says what is wrong
        return given
    return max(given, sum(_elements(value.type.tensor_type) for value in inferred.graph.output))


def _elements(tensor: onnx.TypeProto.Tensor) -> int:
    """As far as the shape is known."""
    dims = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in tensor.shape.dim]
    return int(math.prod(dims))


def result(node: ir.Node, inputs: Sequence[np.ndarray | None], opset: int, standard_first: bool) -> _Results:
    """The node's outputs; one that is left out is empty.

    onnx's reference implementation knows double precision everywhere, but lacks or mistakes some ops; onnxruntime
    lacks some in double precision. A failure of either is not the model's; where all fail, the model's operands do
    not fit.

    Args:
        node: the node.
        inputs: its inputs; None: left out.
        opset: version of the standard operator set.
        standard_first: whether the reference implementation is asked first.

    Raises:
        InvalidModelError: nobody can compute it.
    """
    ways: list[Callable[[ir.Node, _Feeds, int], _Results]] = [_by_reference, _by_runtime]
    feeds, reasons = _feeds(node, inputs), []
    for way in (*(ways if standard_first else ways[::-1]), _by_runtime_in_single):
        try:
            found = iter(way(node, feeds, opset))
            return [next(found) if output.name else np.zeros(0) for output in node.outputs]
        except Exception as error:  # the reference implementation raises whatever NumPy raises
            reasons.append(str(error).splitlines()[0] if str(error) else type(error).__name__)
    shown = printable(reasons[0].removeprefix(f"{label(node)}: "), 200)
    raise InvalidModelError(f"node {label(node)} ({printable(node.op_type)}) cannot be evaluated: {shown}")


def _by_reference(node: ir.Node, feeds: _Feeds, opset: int) -> _Results:
    if node.domain not in ("", "ai.onnx"):
        raise NotImplementedError(f"the standard has no {node.op_type}")
    from onnx.reference import ReferenceEvaluator

    return [np.asarray(r) for r in ReferenceEvaluator(_model(node, feeds, opset)).run(None, dict(feeds))]


def _by_runtime(node: ir.Node, feeds: _Feeds, opset: int) -> _Results:
    model, name = _model(node, feeds, opset), label(node)
    session = make_session(model.SerializeToString(), SessionOptions(threads=1, optimized=False), name)
    return run(session, [value.name for value in model.graph.output], feeds, name)


def _by_runtime_in_single(node: ir.Node, feeds: _Feeds, opset: int) -> _Results:
    """As a last resort: results are doubles again, so that what comes next computes in double precision."""
    single = {name: a.astype(np.float32) if a.dtype == np.float64 else a for name, a in feeds.items()}
    return [r.astype(np.float64) if r.dtype == np.float32 else r for r in _by_runtime(node, single, opset)]


def _feeds(node: ir.Node, inputs: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
    """The inputs by name, floats in the widest type among them: a merged bias is float64, beside float32."""
    floats = [a.dtype for a in inputs if a is not None and a.dtype.kind == "f"]
    widest = np.result_type(*floats) if floats else None
    one = [a if a is None or a.dtype.kind != "f" else a.astype(widest, copy=False) for a in inputs]
    return {value.name or "": a for value, a in zip(node.inputs, one) if value is not None and a is not None}


def _model(node: ir.Node, feeds: _Feeds, opset: int) -> onnx.ModelProto:
    """As a model, because the evaluator of a lone node takes the newest version of the op."""
    proto = ir.to_proto(node)
    proto.domain = "" if node.domain == "ai.onnx" else node.domain
    given = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for name, a in feeds.items()
    ]
    made = [onnx.ValueInfoProto(name=name) for name in proto.output if name]
    graph = onnx.helper.make_graph([proto], "node", given, made)
    imports = [onnx.helper.make_opsetid("", opset)]
    imports += [onnx.helper.make_opsetid(proto.domain, 1)] if proto.domain else []
    return onnx.helper.make_model(graph, opset_imports=imports, ir_version=8)
