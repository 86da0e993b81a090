"""Normalisations as one op and in pieces: the same relevance, on every backend."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from onnx_lrp import Explainer, check

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 4, 3, 3)).astype(np.float32)
CONSTANTS = {
    "gain": 1 + RNG.normal(size=4) / 4, "shift": RNG.normal(size=4) / 4, "wide": 1 + RNG.normal(size=(4, 3, 3)) / 4,
    "slim": RNG.normal(size=(4, 3, 3)) / 4,
    "v": RNG.normal(size=(36, 3)), "eps": np.array(1e-5), "tiny": np.array(1e-9),
    "gains": None, "shifts": None,
}  # fmt: skip
CONSTANTS["gains"], CONSTANTS["shifts"] = (CONSTANTS[k].reshape(4, 1, 1) for k in ("gain", "shift"))
INTEGERS = {"space": [2, 3], "sample": [1, 2, 3], "groups": [0, 2, -1], "back": [0, 4, 3, 3], "flat": [0, -1],
            "two": [2],
            "one": [1]}  # fmt: skip
CENTRED = (
    "m = ReduceMean<keepdims=1>({0}, {1}) d = Sub({0}, m) q = Mul(d, d) s = ReduceMean<keepdims=1>(q, {1}) "
    "t = Add(s, {2}) r = Sqrt(t) n = Div(d, r)"
)
GROUPED = "g = Reshape(x, groups) " + CENTRED.format("g", "two", "eps") + " u = Reshape(n, back)"
PAIRS = {
    "LayerNormalization": (
        "z = LayerNormalization<axis=1>(x, wide, slim)",
        CENTRED.format("x", "sample", "eps") + " k = Mul(n, wide) z = Add(k, slim)", 18,
    ),
    "InstanceNormalization": (
        "z = InstanceNormalization(x, gain, shift)",
        CENTRED.format("x", "space", "eps") + " k = Mul(n, gains) z = Add(k, shifts)", 18,
    ),
    "GroupNormalization": (
        "z = GroupNormalization<num_groups=2>(x, gain, shift)", GROUPED + " k = Mul(u, gains) z = Add(k, shifts)", 21,
    ),
    "RMSNormalization": (
        "z = RMSNormalization<axis=1>(x, wide)",
        "q = Mul(x, x) s = ReduceMean<keepdims=1>(q, sample) t = Add(s, eps) r = Sqrt(t) n = Div(x, r) "
        "z = Mul(n, wide)", 23,
    ),
    "LpNormalization, 2": (
        "z = LpNormalization<axis=1, p=2>(x)", "r = ReduceL2<keepdims=1>(x, one) z = Div(x, r)", 18,
    ),
    "LpNormalization, 1": (
        "z = LpNormalization<axis=1, p=1>(x)", "a = Abs(x) r = ReduceSum<keepdims=1>(a, one) z = Div(x, r)", 18,
    ),
    "MeanVarianceNormalization": (
        "z = MeanVarianceNormalization<axes=[1, 2, 3]>(x)",
        CENTRED.format("x", "sample", "tiny") + " z = Identity(n)", 18,
    ),
}  # fmt: skip


def model(body: str, opset: int) -> onnx.ModelProto:
    parsed = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["" : {opset}]> g (float[2,4,3,3] x) => (float[2,3] y) '
        f"{{ {body} f = Reshape(z, flat) y = MatMul(f, v) }}"
    )
    numbers = {name: np.asarray(a, np.float32) for name, a in CONSTANTS.items()}
    numbers |= {name: np.array(a, np.int64) for name, a in INTEGERS.items()}
    read = {name for node in parsed.graph.node for name in node.input}
    parsed.graph.initializer.extend(onnx.numpy_helper.from_array(a, n) for n, a in numbers.items() if n in read)
    return parsed


@pytest.mark.parametrize("name", PAIRS)
def test_an_op_and_its_pieces_agree(name: str) -> None:
    op, pieces, opset = PAIRS[name]
    for backend, dtype, bound in (("numpy", "float64", 1e-9), ("torch", "float64", 1e-9), ("onnx", "float32", 2e-4)):
        tiny = "attnlrp:epsilon=1e-14" if dtype == "float64" else "attnlrp:epsilon=1e-9"
        one, other = (
            Explainer(model(body, opset), tiny, backend=backend, dtype=dtype, profile="attnlrp")(X, 1).relevance
            for body in (op, pieces)
        )
        assert np.abs(one - other).max() <= bound * np.abs(other).max(), backend


@pytest.mark.parametrize("name", PAIRS)
def test_strict_has_no_role_for_it(name: str) -> None:
    op, _, opset = PAIRS[name]
    report = check(model(op, opset))
    assert [problem.op for problem in report.problems] == [name.partition(",")[0]]
    assert report.notes == ("with --profile attnlrp it has one",)
