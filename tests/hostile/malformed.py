"""Models that no runtime can run, by what is wrong with them: attributes, dimensions, names, structure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

FAR = 2**62
WEIGHTS = {
    "w": (4, 3, 3, 3), "b": (4,), "b5": (5,), "w3": (4, 3, 3), "m": (3, 5), "m4": (4, 5), "one4": (4,), "one3": (3,),
    "w2": (4, 2, 3, 3),
}  # fmt: skip
IMAGE, ROWS = "float[2,3,8,8] x", "float[2,3] x"


def net(body: str, given: str = IMAGE, numbers: str = "", opset: int = 17) -> onnx.ModelProto:
    """One input x, one output y; weights by name."""
    text = f'<ir_version: 8, opset_import: ["": {opset}, "com.microsoft": 1]> g ({given}) => (float[?] y)'
    model = parser.parse_model(f"{text} {numbers and f'<{numbers}>'} {{ {body} }}")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    rng = np.random.default_rng(0)
    read = {name for node in model.graph.node for name in node.input}
    for name in sorted(read & set(WEIGHTS)):
        data = rng.uniform(0.5, 1.5, WEIGHTS[name]).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(data, name))
    for i, node in enumerate(model.graph.node):
        node.name = f"n{i}"
    return model


def _image(body: str, numbers: str = "", opset: int = 17) -> Callable[[], onnx.ModelProto]:
    return lambda: net(body, IMAGE, numbers, opset)


def _rows(body: str, numbers: str = "", opset: int = 17) -> Callable[[], onnx.ModelProto]:
    return lambda: net(body, ROWS, numbers, opset)


def _changed(
    change: Callable[[onnx.ModelProto], object], body: str = "a = Relu (x) y = MatMul (a, m)"
) -> Callable[[], onnx.ModelProto]:
    def make() -> onnx.ModelProto:
        model = net(body, ROWS)
        change(model)
        return model

    return make


def _norm(**values: list[float]) -> Callable[[], onnx.ModelProto]:
    def make() -> onnx.ModelProto:
        model = net("y = BatchNormalization (x, s, t, u, v)")
        for name in "stuv":
            data = np.array(values.get(name, [1.0, 1.0, 1.0]), np.float32)
            model.graph.initializer.append(numpy_helper.from_array(data, name))
        return model

    return make


def _append(field: str, *items: object) -> Callable[[onnx.ModelProto], object]:
    return lambda model: getattr(model.graph, field).extend(items)


def _info(name: str, kind: int = TensorProto.FLOAT, shape: Sequence[int] = (2, 3)) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _weight(model: onnx.ModelProto, **fields: object) -> None:
    """Another first initializer."""
    given = {"name": "m", "dims": [3, 5], "data_type": TensorProto.FLOAT, **fields}
    model.graph.initializer[0].CopyFrom(onnx.TensorProto(**given))


ALPHA = helper.make_attribute("alpha", 1.0)
ATTRIBUTES = {
    "perm twice the same": _image("y = Transpose <perm = [0, 1, 1, 3]> (x)"),
    "perm too short": _image("y = Transpose <perm = [1, 0]> (x)"),
    "perm out of range": _image("y = Transpose <perm = [0, 1, 2, 9]> (x)"),
    "pads negative": _image("y = Conv <pads = [-1, 0, 0, 0]> (x, w)"),
    "pads too few": _image("y = Conv <pads = [1, 1]> (x, w)"),
    "strides of 0": _image("y = Conv <strides = [0, 1]> (x, w)"),
    "strides negative": _image("y = Conv <strides = [-1, 1]> (x, w)"),
    "dilations of 0": _image("y = Conv <dilations = [0, 1]> (x, w)"),
    "dilations of 2^62": _image(f"y = Conv <dilations = [{FAR}, 1]> (x, w)"),
    "group of 0": _image("y = Conv <group = 0> (x, w)"),
    "group that does not divide": _image("y = Conv <group = 2> (x, w)"),
    "group negative": _image("y = Conv <group = -3> (x, w)"),
    "kernel_shape another than the weight's": _image("y = Conv <kernel_shape = [5, 5]> (x, w)"),
    "auto_pad unknown": _image('y = Conv <auto_pad = "SAME"> (x, w)'),
    "max kernel of 0": _image("y = MaxPool <kernel_shape = [0, 2]> (x)"),
    "max kernel negative": _image("y = MaxPool <kernel_shape = [-2, 2]> (x)"),
    "max kernel of 2^62": _image(f"y = MaxPool <kernel_shape = [{FAR}, 2]> (x)"),
    "max kernel of one axis": _image("y = MaxPool <kernel_shape = [2]> (x)"),
    "max kernel missing": _image("y = MaxPool (x)"),
    "max dilations of 2^62": _image(f"y = MaxPool <kernel_shape = [2, 2], dilations = [{FAR}, 1]> (x)"),
    "max strides of 0": _image("y = MaxPool <kernel_shape = [2, 2], strides = [0, 0]> (x)"),
    "max pads as large as the kernel": _image("y = MaxPool <kernel_shape = [2, 2], pads = [2, 2, 2, 2]> (x)"),
    "average kernel of 0": _image("y = AveragePool <kernel_shape = [0, 0]> (x)"),
    "average pads negative": _image("y = AveragePool <kernel_shape = [2, 2], pads = [-1, 0, 0, 0]> (x)"),
    "transposed strides of 0": _image("y = ConvTranspose <strides = [0, 1]> (x, w)"),
    "Gather out of range": _rows("y = Gather <axis = 1> (x, i)", "int64[1] i = {9}"),
    "Gather axis out of range": _rows("y = Gather <axis = 5> (x, i)", "int64[1] i = {0}"),
    "Concat axis out of range": _rows("y = Concat <axis = 4> (x, x)"),
    "Concat axis missing": _rows("y = Concat (x, x)"),
    "Flatten axis out of range": _image("y = Flatten <axis = 9> (x)"),
    "ReduceMean axes out of range": _image("y = ReduceMean <axes = [7]> (x)"),
    "DepthToSpace of 0": _image("y = DepthToSpace <blocksize = 0> (x)"),
    "DepthToSpace that does not divide": _image("y = DepthToSpace <blocksize = 2> (x)"),
    "Einsum of other ranks": _rows('y = Einsum <equation = "abc,cd->abd"> (x, m)'),
    "Einsum of nonsense": _rows('y = Einsum <equation = "a1>"> (x, m)'),
    "Cast to nothing": _rows("a = Cast <to = 999> (x) y = MatMul (a, m)"),
    "LRN of size 0": _image("y = LRN <size = 0> (x)"),
}
DIMENSIONS = {
    "Squeeze of a long axis": _rows("y = Squeeze (x, i)", "int64[1] i = {1}"),
    "Squeeze out of range": _rows("y = Squeeze (x, i)", "int64[1] i = {5}"),
    "Unsqueeze twice the same": _rows("y = Unsqueeze (x, i)", "int64[2] i = {0, 0}"),
    "Reshape to another size": _rows("y = Reshape (x, i)", "int64[2] i = {4, 4}"),
    "Reshape with two -1": _rows("y = Reshape (x, i)", "int64[2] i = {-1, -1}"),
    "Reshape with -2": _rows("y = Reshape (x, i)", "int64[2] i = {-2, 3}"),
    "Slice with a step of 0": _rows(
        "y = Slice (x, i, j, k, i)", "int64[1] i = {0}, int64[1] j = {1}, int64[1] k = {1}"
    ),
    "Slice axes out of range": _rows("y = Slice (x, i, j, k)", "int64[1] i = {0}, int64[1] j = {1}, int64[1] k = {6}"),
    "Split of other sizes": _rows("y, z = Split <axis = 1> (x, i)", "int64[2] i = {1, 1}"),
    "Pad of too few": _rows("y = Pad (x, i)", "int64[2] i = {1, 1}"),
    "Tile of too few": _rows("y = Tile (x, i)", "int64[1] i = {2}"),
    "Tile negative": _rows("y = Tile (x, i)", "int64[2] i = {1, -2}"),
    "Expand that does not fit": _rows("y = Expand (x, i)", "int64[2] i = {2, 5}"),
    "Resize to nothing": _image("y = Resize (x, , , i)", "int64[4] i = {2, 3, 0, 8}"),
    "Resize of three axes": _image("y = Resize (x, , i)", "float[3] i = {1.0, 1.0, 2.0}"),
    "Resize by a negative number": _image("y = Resize (x, , i)", "float[4] i = {1.0, 1.0, -2.0, 1.0}"),
    "MatMul that does not fit": _rows("y = MatMul (x, m4)"),
    "Gemm that does not fit": _rows("y = Gemm <transB = 1> (x, m)"),
    "Gemm with a bias that does not fit": _rows("y = Gemm (x, m, one4)"),
    "Add that does not fit": _rows("y = Add (x, b5)"),
    "Conv with a weight of another rank": _image("y = Conv (x, w3)"),
    "Conv with a weight of other channels": _image("y = Conv (x, w2)"),
    "Conv with a bias that does not fit": _image("y = Conv (x, w, b5)"),
    "BatchNormalization of other channels": _norm(s=[1.0] * 4, t=[1.0] * 4, u=[1.0] * 4, v=[1.0] * 4),
    "BatchNormalization whose numbers do not fit each other": _norm(t=[1.0] * 4),
    "BatchNormalization behind a weight that does not fit": _image(
        "a = Conv (x, w) y = BatchNormalization (a, one3, one3, one3, one3)"
    ),
    "BatchNormalization with a negative variance": _norm(v=[1.0, -1.0, 1.0]),
    "BatchNormalization with NaN": _norm(u=[1.0, float("nan"), 1.0]),
    "PRelu that does not fit": _rows("y = PRelu (x, b5)"),
}
NAMES = {
    "two nodes make one tensor": _changed(_append("node", helper.make_node("Neg", ["x"], ["y"]))),
    "a node reads what nothing makes": _changed(lambda m: m.graph.node[0].input.__setitem__(0, "nothing")),
    "two nodes of one name": _changed(lambda m: setattr(m.graph.node[1], "name", m.graph.node[0].name)),
    "a circle": _changed(lambda m: m.graph.node[0].input.__setitem__(0, "y")),
    "two inputs of one name": _changed(_append("input", _info("x"))),
    "an output that nothing makes": _changed(lambda m: setattr(m.graph.output[0], "name", "nothing")),
    "an output without a name": _changed(lambda m: setattr(m.graph.output[0], "name", "")),
    "a node without outputs": _changed(lambda m: m.graph.node[0].output.pop()),
}
STRUCTURE = {
    "no outputs": _changed(lambda m: m.graph.output.pop()),
    "no inputs": _changed(lambda m: m.graph.input.pop()),
    "no nodes": _changed(lambda m: m.graph.ClearField("node")),
    "no graph": _changed(lambda m: m.ClearField("graph")),
    "no opset": _changed(lambda m: m.ClearField("opset_import")),
    "opset 0": _changed(lambda m: setattr(m.opset_import[0], "version", 0)),
    "opset 999": _changed(lambda m: setattr(m.opset_import[0], "version", 999)),
    "an op that does not exist": _changed(lambda m: setattr(m.graph.node[0], "op_type", "Relu6")),
    "an op of nobody's": _changed(lambda m: setattr(m.graph.node[0], "domain", "nobody")),
    "too many inputs": _changed(lambda m: m.graph.node[0].input.extend(["x", "x"])),
    "too few inputs": _changed(lambda m: m.graph.node[1].input.pop()),
    "an attribute of another type": _image("y = Transpose <perm = 1.5> (x)"),
    "an attribute that the op lacks": _changed(lambda m: m.graph.node[0].attribute.append(ALPHA)),
    "a weight with too few bytes": _changed(lambda m: _weight(m, raw_data=b"1234")),
    "a weight with a negative size": _changed(lambda m: _weight(m, dims=[-3, 5])),
    "a weight of strings": _changed(lambda m: _weight(m, data_type=TensorProto.STRING, string_data=[b"a"] * 15)),
    "a weight of no type": _changed(lambda m: setattr(m.graph.initializer[0], "data_type", 0)),
    "an input of another type": _changed(lambda m: m.graph.input[0].CopyFrom(_info("x", TensorProto.STRING))),
    "an input of integers": _changed(lambda m: m.graph.input[0].CopyFrom(_info("x", TensorProto.INT64))),
    "an input of another rank": _changed(lambda m: m.graph.input[0].CopyFrom(_info("x", shape=[2, 3, 4, 5]))),
}
MALFORMED = {**ATTRIBUTES, **DIMENSIONS, **NAMES, **STRUCTURE}
