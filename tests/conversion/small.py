"""Small models from text, and how converted models are run."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
from onnx import numpy_helper

Arrays = dict[str, np.ndarray]
PLAIN, FUSED = ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL

NETS = {  # every one takes x (N, 2, 6, 6), some also v (N, 5); constants are filled in by ``small``
    "chain": """net (float[N, 2, 6, 6] x) => (float[N, 4] y)
        <float[4, 2, 3, 3] a, float[4] b, float[4, 36] c, float[4] d>
        { h = Conv <pads = [1, 1, 1, 1]> (x, a, b)  r = Relu(h)
          m = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)  f = Flatten(m)
          y = Gemm <transB = 1> (f, c, d) }""",
    "residual": """net (float[N, 2, 6, 6] x) => (float[N, 4] y, float[N, 4] p)
        <float[12, 2, 3, 3] a, float[12, 12, 3, 3] b, float[12] c, float[12, 12, 1, 1] d, float[4, 12] e, float[4] o>
        { h = Conv <pads = [1, 1, 1, 1]> (x, a)  r = Relu(h)
          s = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (r, b, c)  t = Conv <strides = [2, 2]> (r, d)
          u = Add(s, t)  w = Relu(u)  k = MaxPool <kernel_shape = [2, 2], strides = [1, 1]> (w)
          g = GlobalAveragePool(k)  f = Flatten(g)  y = Gemm <transB = 1> (f, e, o)  p = Softmax <axis = 1> (y) }""",
    "norm": """net (float[N, 2, 6, 6] x) => (float[N, 6, 6, 4] y)
        <float[4, 2, 1, 1] a, float[6] s, float[6] b, float[6] m, float[6] v, float[4, 4] w>
        { h = Conv(x, a)  t = Transpose <perm = [0, 2, 3, 1]> (h)  n = BatchNormalization(t, s, b, m, v)
          r = Relu(n)  y = MatMul(r, w) }""",
    "merged": """net (float[N, 2, 6, 6] x) => (float[N, 6, 4, 6] y)
        <float[4, 2, 1, 1] a, float[4, 1] s, float[4] i, float[4] b, float[4] m, float[4] v, float[6, 6] w>
        { h = Conv(x, a)  n = BatchNormalization(h, i, b, m, v)  t = Transpose <perm = [0, 2, 1, 3]> (n)
          k = Mul(t, s)  r = Relu(k)  y = MatMul(r, w) }""",
    "two": """net (float[N, 2, 6, 6] x, float[N, 5] v) => (float[N, 4] y)
        <float[3, 2, 3, 3] a, float[3] b, float[3, 5] c, float[3] e, float[4, 6] d, float[4] o>
        { h = Conv(x, a, b)  r = Relu(h)  g = GlobalAveragePool(r)  f = Flatten(g)  k = Gemm <transB = 1> (v, c, e)
          j = Concat <axis = 1> (f, k)  y = Gemm <transB = 1> (j, d, o) }""",
    "depthwise": """net (float[N, 2, 6, 6] x) => (float[N, 12] y)
        <float[12, 2, 1, 1] a, float[12, 1, 3, 3] b, float[12, 12, 3, 3] c>
        { h = Conv(x, a)  r = LeakyRelu <alpha = 0.25> (h)
          s = Conv <pads = [1, 1, 1, 1], strides = [2, 2], group = 12> (r, b)  t = Relu(s)  u = Conv(t, c)
          z = AveragePool <kernel_shape = [1, 1]> (u)  y = Flatten(z) }""",
}
X = np.random.default_rng(1).standard_normal((5, 2, 6, 6)).astype(np.float32)
FEEDS = {"x": X, "v": np.random.default_rng(2).standard_normal((5, 5)).astype(np.float32)}


def parsed(text: str, opset: int = 17, ir_version: int = 8) -> onnx.ModelProto:
    """A model from text; its constants without a value become seeded random ones, positive where they are variances."""
    head, _, rest = text.partition("<float")
    constants, _, body = f"float{rest}".partition(">")
    source = f'<ir_version: {ir_version}, opset_import: ["" : {opset}]> {head}{body if rest else ""}'
    model = onnx.parser.parse_model(source)
    rng = np.random.default_rng(3)
    for declared in filter(None, constants.split(", float") if rest else []):
        shape, name = declared.removeprefix("float").removeprefix("[").split("] ")
        sizes = [int(n) for n in shape.split(",")]
        values = rng.standard_normal(sizes) * np.sqrt(2 / max(np.prod(sizes[1:]), 2))
        tensor = numpy_helper.from_array((np.abs(values) if name == "v" else values).astype(np.float32), name)
        model.graph.initializer.append(tensor)
    return model


def small(name: str, opset: int = 17, ir_version: int = 8) -> onnx.ModelProto:
    model = parsed(NETS[name], opset, ir_version)
    for node in model.graph.node:
        node.name = f"{node.op_type}_{node.output[0]}"
    return model


def feeds_of(model: onnx.ModelProto, samples: int = 5) -> Arrays:
    return {i.name: FEEDS[i.name][:samples] for i in model.graph.input if i.name in FEEDS}


def session(model: onnx.ModelProto, level: ort.GraphOptimizationLevel = FUSED) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def answers(model: onnx.ModelProto | ort.InferenceSession, feeds: Arrays) -> Arrays:
    ready = session(model) if isinstance(model, onnx.ModelProto) else model
    return dict(zip([o.name for o in ready.get_outputs()], ready.run(None, feeds)))


def close(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-5) -> None:
    """Relative to the whole."""
    assert a.shape == b.shape
    assert np.isfinite(a).all()
    assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)
