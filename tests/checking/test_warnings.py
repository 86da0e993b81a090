"""What ``check`` warns of, and that it is silent where there is nothing to warn of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

import onnx_lrp as lrp
from onnx_lrp import Composite, Explainer, Selector, check
from onnx_lrp.propagation.ledger import AMPLIFIED, amplifiers
from onnx_lrp.rules import Epsilon

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT.parent / "shared" / "zoo" / "cases"


def net(text: str, **arrays: np.ndarray) -> onnx.ModelProto:
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> g {text}')
    for name, array in arrays.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


def conv(weight: str = "w", dtype: type = np.float32, scale: np.ndarray | None = None) -> onnx.ModelProto:
    kind = {np.float32: "float", np.float64: "double", np.float16: "float16"}[dtype]
    w = np.random.default_rng(0).standard_normal((4, 2, 3, 3)) * (1 if scale is None else scale[:, None, None, None])
    model = net(f"({kind}[1,2,6,6] x) => ({kind} y) {{ h = Conv(x, w) y = Relu(h) }}", w=w.astype(dtype))
    model.graph.initializer[0].name = model.graph.node[0].input[1] = weight
    return model


FOLDED = [
    "onnx::Conv_26", "net/onnx::Conv_26", "onnx::ConvTranspose_7", "ConvBnFusion_W_c1.weight", "_v_43",
    "sequential/c1/BiasAdd_weights_fused_bn", "/b1/BatchNormalization_output_0_weight",
]  # fmt: skip


@pytest.mark.parametrize("name", FOLDED)
def test_folded_in_float32(name: str) -> None:
    (warning,) = check(conv(name)).warnings
    assert "seems to have merged BatchNormalization in float32 into 1 layer (" in warning
    assert "about 1e-6" in warning
    assert f"  warning: {warning}" in str(check(conv(name)))
    assert not check(conv(name, np.float64)).warnings  # folded in double precision, it is exact


@pytest.mark.parametrize(
    "name", ["w", "conv1.weight", "features.bn.conv.weight", "onnx::MatMul_12", "my_v_2", "onnx::Conv_x"]
)
def test_ordinary_names(name: str) -> None:
    assert not check(conv(name)).warnings


def test_torch_s_exporter_says_so_itself() -> None:
    model = conv()
    rule = model.graph.node[0].metadata_props.add(key="pkg.onnxscript.rewriter.rule_name")
    rule.value = "FuseConvPad"
    assert not check(model).warnings
    rule.value = "FuseBatchNormIntoConv, RemoveOptionalBiasFromConv"
    assert "seems to have merged" in check(model).warnings[0]


@pytest.mark.slow
@pytest.mark.skipif(not CASES.exists(), reason="no zoo beside the checkout")
def test_the_zoo_s_folded_files() -> None:
    """No false claim; and hardly a file that is missed, which is one where Mul nodes compute the weight."""
    claimed, missed = [], []
    for folder in sorted(CASES.iterdir()):
        report = check(str(folder / "model.onnx"))
        exact = json.loads((folder / "meta.json").read_text())["exact_weights"]
        if report.supported:
            says = any("merged BatchNormalization in float32" in warning for warning in report.warnings)
            claimed += [folder.name] * (says and exact)
            missed += [folder.name] * (not says and not exact)
            others = len(report.warnings) - says
            assert not others or folder.name.startswith(("bn_after_relu", "dense_concat_bn")), report.warnings
    assert not claimed
    assert all(name.endswith("_keepbn_onnxopt") for name in missed)


@pytest.mark.parametrize(
    ("scale", "word"),
    [
        (np.array([1, 1, 0, 1]), "1 of 4 output channels have only zeros"),
        (np.array([1, 1, 1e-9, 1]), "go from"),
        (np.full(4, 1e-20), "use float64"),
        (np.full(4, 1e20), "use float64"),
    ],
)
def test_weights_that_float32_cannot_hold(scale: np.ndarray, word: str) -> None:
    (warning,) = check(conv(scale=scale)).warnings
    assert warning.startswith("Conv Conv→h: ")
    assert word in warning


def test_a_variance_near_zero() -> None:
    text = """(float[1,2,6,6] x) => (float y)
        { h = Conv(x, w) n = BatchNormalization<epsilon=1e-12>(h, g, b, m, v) y = Relu(n) }"""
    ones = np.ones(3, np.float32)
    given = {"w": np.ones((3, 2, 3, 3), np.float32), "g": ones, "b": ones, "m": ones}
    assert not check(net(text, v=ones, **given)).warnings
    (warning,) = check(net(text, v=1e-9 * ones, **given)).warnings
    assert "scales by 3.2e+04 (a variance near 0?)" in warning


SUMS = {
    "subtracts": "(float[1,4] x) => (float y) { a = Relu(x) y = Sub(a, x) }",
    "adds a constant": "(float[1,4] x) => (float y) { a = Sub(x, c) y = Relu(a) }",
    "could not be merged": "(float[1,4,3] x) => (float y) { a = Relu(x) y = BatchNormalization(a, c, c, c, p) }",
}


@pytest.mark.parametrize("word", SUMS)
def test_sums_that_may_cancel(word: str) -> None:
    given = {"c": np.arange(1, 5, dtype=np.float32), "p": np.ones(4, np.float32)}
    model = net(SUMS[word], **{k: v for k, v in given.items() if f"{k})" in SUMS[word] or f"{k}," in SUMS[word]})
    (warning,) = check(model).warnings
    assert word in warning
    assert "larger epsilon" in warning
    strong = Composite("strong", (), Epsilon(epsilon=0.1))
    assert not check(model, strong).warnings


def test_ordinary_models_have_no_doubts() -> None:
    for path in (ROOT / "models").glob("*.onnx"):
        assert not check(str(path)).warnings, path.name


@pytest.mark.parametrize("backend", ["numpy", "onnx"])
def test_amplification(backend: str) -> None:
    """1 - 0.99999 hands on 1e5 of what it gets, in both signs, which cancel in the sums."""
    model = net("(float[1,2] x) => (float y) { h = MatMul(x, w) y = Relu(h) }", w=np.array([[1], [-1]], np.float32))
    x = np.array([[1, 0.99999]])
    small, large = (
        Explainer(model, f"epsilon:epsilon={epsilon}", backend=backend)(x, seed="one", ledger=True)
        for epsilon in (1e-9, 1)
    )
    size = 1.99999 / (x[0, 0] - np.float32(x[0, 1]))
    ratio = {entry.op: entry.amplification for entry in small.ledger}
    assert ratio["Relu"] == 1
    assert ratio["MatMul"] == pytest.approx(size, rel=1e-2)
    assert ratio["MatMul"] > AMPLIFIED
    (line,) = amplifiers(small.ledger)
    assert line.startswith("MatMul MatMul→h amplifies relevance ")
    assert "larger epsilon" in line
    assert not amplifiers(large.ledger)


def test_the_remedy_works() -> None:
    """A larger epsilon at the one layer that is named."""
    model = net("(float[1,2] x) => (float y) { h = MatMul(x, w) y = Relu(h) }", w=np.array([[1], [-1]], np.float32))
    calm = Composite.parse("epsilon").with_entries((Selector(name="MatMul*"), Epsilon(epsilon=0.1)))
    assert not amplifiers(Explainer(model, calm, backend="numpy")(np.array([[1, 0.99999]]), ledger=True).ledger)


def test_bounds_that_no_layer_takes() -> None:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]> g (float[n,2] x) => (float[n,2] y)
        <float[2,2] w = {1.0, 2.0, 3.0, 4.0}> { y = MatMul (x, w) }"""
    )
    (said,) = lrp.check(model, "epsilon_gamma_box:low=0,high=1").warnings
    assert said.startswith("the bounds low and high are not used: z^B is for Conv|ConvTranspose first")
    remedy = lrp.Composite.parse("epsilon_gamma_box:low=0,high=1").with_entries(
        (lrp.Selector(("Gemm", "MatMul"), first=True), lrp.ZBox(0, 1))
    )
    assert lrp.check(model, remedy).warnings == ()
