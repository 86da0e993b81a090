"""Break a valid model: each mutation changes a copy in place, or says that there is nothing to change."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from .sketch import Draw, MisfitError, need

Pick = Callable[[Any], Any]
OPS = [
    "Tanh", "Gelu", "Sigmoid", "Softmax", "Abs", "Exp", "Mul", "Sub", "Add", "Div", "Max", "MatMul", "Conv", "Relu",
    "LayerNormalization", "Flatten", "Transpose", "Shape", "Frobnicate", "If", "ReduceMean", "ReduceMin", "Concat",
]  # fmt: skip


def drop_attribute(model: onnx.ModelProto, pick: Pick) -> None:
    node = pick(_nodes(model, lambda n: len(n.attribute)))
    del node.attribute[pick(range(len(node.attribute)))]


def change_attribute(model: onnx.ModelProto, pick: Pick) -> None:
    node = pick(_nodes(model, lambda n: len(n.attribute)))
    attribute = pick(list(node.attribute))
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        other: Any = pick([b"SAME_UPPER", b"VALID", b"linear", b"nonsense", b""])
    elif isinstance(value, int):
        other = pick([value + 1, value - 1, -value, 0, 7, 2**40])
    elif isinstance(value, float):
        other = pick([-value, 0.0, 1e30, float("nan")])
    else:
        need(isinstance(value, list))
        longer = [*value, *value[-1:]]
        i = pick(range(len(value)))
        one_more = [*value[:i], value[i] + 1, *value[i + 1 :]]
        other = pick([longer, value[:-1] or [1], value[::-1], one_more, [-1] * len(value)])
    attribute.CopyFrom(helper.make_attribute(attribute.name, other))


def strange_attribute(model: onnx.ModelProto, pick: Pick) -> None:
    node = pick(list(model.graph.node))
    name, value = pick([("axis", 5), ("strides", [2, 2]), ("auto_pad", "SAME_UPPER"), ("alpha", 2.0), ("mystery", 1)])
    need(all(a.name != name for a in node.attribute))
    node.attribute.append(helper.make_attribute(name, value))


def drop_input(model: onnx.ModelProto, pick: Pick) -> None:
    node = pick(_nodes(model, lambda n: len(n.input)))
    i = pick(range(len(node.input)))
    if i < len(node.input) - 1 and pick([True, False]):
        node.input[i] = ""
    else:
        del node.input[i]


def swap_inputs(model: onnx.ModelProto, pick: Pick) -> None:
    node = pick(_nodes(model, lambda n: len(set(n.input)) > 1))
    node.input[:] = [*node.input[1:], node.input[0]]


def other_input(model: onnx.ModelProto, pick: Pick) -> None:
    """Another tensor: maybe of another shape, maybe one made later, which makes a cycle."""
    node = pick(_nodes(model, lambda n: len(n.input)))
    made = [name for other in model.graph.node for name in other.output]
    names = [*made, *(v.name for v in model.graph.input), *(w.name for w in model.graph.initializer)]
    node.input[pick(range(len(node.input)))] = pick(names)


def rename(model: onnx.ModelProto, pick: Pick) -> None:
    node = pick(list(model.graph.node))
    names = pick([node.input, node.output])
    need(len(names) > 0)
    names[pick(range(len(names)))] = pick(["nothing", "x0", "", "a b\x1b[31m"])


def duplicate_output(model: onnx.ModelProto, pick: Pick) -> None:
    if pick([True, False]):
        model.graph.output.append(deepcopy(model.graph.output[0]))
    else:
        model.graph.node.append(deepcopy(pick(list(model.graph.node))))


def change_op(model: onnx.ModelProto, pick: Pick) -> None:
    node = pick(list(model.graph.node))
    node.op_type = pick(OPS)
    if pick([True, False]):
        del node.attribute[:]


def change_domain(model: onnx.ModelProto, pick: Pick) -> None:
    pick(list(model.graph.node)).domain = pick(["com.microsoft", "ai.onnx.ml", "ai.onnx", "mine"])


def drop_node(model: onnx.ModelProto, pick: Pick) -> None:
    del model.graph.node[pick(range(len(model.graph.node)))]


def shuffle_nodes(model: onnx.ModelProto, pick: Pick) -> None:
    need(len(model.graph.node) > 1)
    nodes = [deepcopy(node) for node in model.graph.node][::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def reshape_weight(model: onnx.ModelProto, pick: Pick) -> None:
    weight = _weight(model, pick)
    a = numpy_helper.to_array(weight)
    need(a.ndim > 0)
    other = pick([a.T, a[None], a.ravel(), a[:1], np.concatenate([a, a]), a[:0]])
    weight.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(other), weight.name))


def retype_weight(model: onnx.ModelProto, pick: Pick) -> None:
    weight = _weight(model, pick)
    a = numpy_helper.to_array(weight).astype(pick([np.float64, np.float16, np.int64, np.int32, np.uint8, np.bool_]))
    weight.CopyFrom(numpy_helper.from_array(a, weight.name))


def revalue_weight(model: onnx.ModelProto, pick: Pick) -> None:
    weight = _weight(model, pick)
    a = numpy_helper.to_array(weight).copy()
    need(a.size > 0)
    special = [-1, 0, 3, 2**40] if a.dtype.kind == "i" else [np.nan, np.inf, 0, -1, 1e30]
    a.flat[pick(range(a.size))] = pick(special)
    weight.CopyFrom(numpy_helper.from_array(a, weight.name))


def lie_about_weight(model: onnx.ModelProto, pick: Pick) -> None:
    """Dims that the data do not fill."""
    weight = _weight(model, pick)
    need(len(weight.dims) > 0)
    weight.dims[pick(range(len(weight.dims)))] = pick([0, 1, 7, 2**40, -1])


def change_opset(model: onnx.ModelProto, pick: Pick) -> None:
    model.opset_import[0].version = pick([*range(1, onnx.defs.onnx_opset_version() + 2), 99, 0])


def change_input(model: onnx.ModelProto, pick: Pick) -> None:
    dims = pick(list(model.graph.input)).type.tensor_type.shape.dim
    pick(list(dims)).CopyFrom(onnx.TensorShapeProto.Dimension(dim_value=pick([1, 2, 5])))


def retype_input(model: onnx.ModelProto, pick: Pick) -> None:
    pick(list(model.graph.input)).type.tensor_type.elem_type = pick([7, 10, 11, 9, 8, 16, 99])


def change_output(model: onnx.ModelProto, pick: Pick) -> None:
    """Another tensor as the model's output, with whatever was declared of the first."""
    model.graph.output[0].name = pick([name for node in model.graph.node for name in node.output])


def wrong_value_info(model: onnx.ModelProto, pick: Pick) -> None:
    """A false statement about a tensor inside."""
    name = pick([name for node in model.graph.node for name in node.output])
    need(all(v.name != name for v in model.graph.output))
    shape = pick([[1], [2, 2], [3, 3, 3], [1, 5, 5, 5]])
    model.graph.value_info.append(helper.make_tensor_value_info(name, pick([1, 1, 7, 11]), shape))


STRUCTURAL: list[Callable[[onnx.ModelProto, Pick], None]] = [
    drop_attribute, change_attribute, change_attribute, strange_attribute, drop_input, swap_inputs, other_input,
    other_input, rename, duplicate_output, change_op, change_op, change_domain, drop_node, shuffle_nodes,
    reshape_weight, retype_weight, revalue_weight, lie_about_weight, change_opset, change_input, retype_input,
    change_output, wrong_value_info,
]  # fmt: skip


def _nodes(model: onnx.ModelProto, condition: Callable[[onnx.NodeProto], Any]) -> list[onnx.NodeProto]:
    found = [node for node in model.graph.node if condition(node)]
    need(bool(found))
    return found


def _weight(model: onnx.ModelProto, pick: Pick) -> onnx.TensorProto:
    inside = [a.t for n in model.graph.node if n.op_type == "Constant" for a in n.attribute if a.name == "value"]
    found = [*model.graph.initializer, *inside]
    need(bool(found))
    return pick(found)


def corrupted(data: bytes, draw: Draw) -> bytes:
    """A byte flipped, or the end missing."""
    place = draw(st.integers(0, len(data) - 1))
    if draw(st.integers(0, 3)) == 0:
        return data[:place]
    return data[:place] + bytes([data[place] ^ draw(st.integers(1, 255))]) + data[place + 1 :]


def mutated(model: onnx.ModelProto, draw: Draw) -> tuple[str, bytes]:
    """What was done, and the broken model's bytes."""
    if draw(st.integers(0, 3)) == 0:
        return "corrupted", corrupted(model.SerializeToString(), draw)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    mutation = draw(st.sampled_from(STRUCTURAL))
    try:
        mutation(copy, lambda options: draw(st.sampled_from(options)))
    except MisfitError:
        return "nothing", model.SerializeToString()
    return mutation.__name__, copy.SerializeToString()
