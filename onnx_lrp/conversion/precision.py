"""Models in another precision than float32, which is what explanations are computed in."""

from __future__ import annotations

import onnx_ir as ir

from ..model.precision import to_float32

WIDE = (ir.DataType.DOUBLE, ir.DataType.BFLOAT16)


def throughout(model: ir.Model) -> ir.Model:
    """A copy that computes in float32 from its inputs to its outputs, as the other backends do."""
    given = [*model.graph.inputs, *model.graph.initializers.values()]
    return to_float32(model) if any(value.dtype in (*WIDE, ir.DataType.FLOAT16) for value in given) else model.clone()


def single_precision(model: ir.Model) -> ir.Model:
    """A copy that no runtime lacks kernels for: as it is, or in float32 with inputs and outputs of the same types.

    Of double precision there is no convolution, so that is computed in float32, between casts.
    """
    given = [*model.graph.inputs, *model.graph.initializers.values()]
    if not any(value.dtype in WIDE for value in given):
        return model.clone()
    single = to_float32(model)
    for before, value in zip(model.graph.inputs, single.graph.inputs):
        if before.dtype in WIDE:
            value.type = before.type
            _cast_input(single.graph, value)
    for i, (before, value) in enumerate(zip(model.graph.outputs, list(single.graph.outputs))):
        if before.dtype in WIDE:
            single.graph.outputs[i] = _cast_output(single.graph, value, before.dtype)
    return single


def _cast_input(graph: ir.Graph, value: ir.Value) -> None:
    """Everything reads the input in float32."""
    node = ir.node("Cast", [value], {"to": int(ir.DataType.FLOAT)}, name=f"{value.name}/float32")
    made = node.outputs[0]
    made.name, made.shape, made.type = f"{value.name}/float32", value.shape, ir.TensorType(ir.DataType.FLOAT)
    ir.convenience.replace_all_uses_with(value, made)
    node.replace_input_with(0, value)
    graph.insert_before(graph[0], node)


def _cast_output(graph: ir.Graph, value: ir.Value, dtype: ir.DataType) -> ir.Value:
    """The output as it was declared; the tensor behind it takes another name."""
    name, shape = value.name, value.shape
    value.name = f"{name}/float32"
    node = ir.node("Cast", [value], {"to": int(dtype)}, name=f"{name}/cast")
    made = node.outputs[0]
    made.name, made.shape, made.type = name, shape, ir.TensorType(dtype)
    graph.append(node)
    return made
