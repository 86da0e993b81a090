"""Quantised models as they are deployed: the same forward pass, and the relevance of the dequantised network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
from quantizing import (
    DYNAMIC,
    FORMS,
    MODELS,
    SHARED,
    STATIC,
    TEST,
    answer,
    cosines,
    digits,
    distance,
    everything,
    initializers,
    overflows,
    quantized,
    session,
)  # fmt: skip

import onnx_lrp as lrp
from onnx_lrp import backends
from onnx_lrp.composites import Composite
from onnx_lrp.model.preparation import prepare
from onnx_lrp.propagation.forward import ForwardRecorder
from onnx_lrp.propagation.plan import make_plan
from onnx_lrp.propagation.tape import Weights

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(overflows(), reason="onnxruntime's integer kernels overflow on this processor")
COMPOSITES = ("epsilon_plus", "epsilon", "epsilon_gamma_box:low=0,high=1")
BEST = FORMS[1]  # per channel, signed: what onnxruntime's documentation recommends


@pytest.mark.parametrize("form", [*FORMS, *DYNAMIC])
@pytest.mark.parametrize("name", ["mnist_cnn", "mnist_resnet"])
def test_logits_are_the_deployed_model_s(name: str, form: str) -> None:
    """In double precision, without the runtime: equal to float32 accuracy, or off by whole levels where a value is
    within rounding of a half."""
    data, x = quantized(name, form), digits()[TEST]
    deployed = answer(data, {"input": x})
    difference = np.abs(lrp.explain(data, x, backend="numpy").output - deployed)
    largest = np.abs(deployed).max()
    print(f"\n{name} {form}: {(difference > 1e-5 * largest).sum()} of {difference.size} logits differ")
    if form in DYNAMIC:
        assert np.median(difference) < 1e-5 * largest
        assert difference.max() < 2 / 255 * largest
    else:
        level = float(initializers(data)["logits_scale"])
        steps = difference / level
        np.testing.assert_allclose(steps, steps.round(), atol=1e-4)
        assert steps.max() < 1.5
        assert (steps > 0.5).mean() < 0.05


@pytest.mark.parametrize("form", [form for form in FORMS if form.startswith("QDQ")])
@pytest.mark.parametrize("name", ["mnist_cnn", "mnist_resnet"])
def test_every_quantised_tensor(name: str, form: str) -> None:
    """The integers are the runtime's but for a few that lie within rounding of a half."""
    data, x = quantized(name, form), digits()[TEST][:5]
    wanted = everything(data, {"input": x})
    found = prepare(data)
    plan = make_plan(found.verdict, found.model, Composite.parse("epsilon"))
    xp = backends.create(backends.Choice("numpy", "float64"))
    tape = ForwardRecorder(found.model, plan, Weights(found.model, xp), "model").record({"input": x}, set())
    levels = [step.outputs[0] for step in plan.steps if step.op == "QuantizeLinear"]
    steps = np.concatenate([np.abs(tape.values[n] - wanted[n].astype(np.float64)).ravel() for n in levels])
    print(f"\n{name} {form}: {(steps > 0).sum()} of {steps.size} integers differ")
    assert len(levels) >= 8
    assert steps.max() <= 2  # one that differs makes others differ behind it
    assert (steps > 0).mean() < 1e-3


def naive_epsilon(data: bytes, x: np.ndarray, target: np.ndarray, epsilon: float = 1e-6) -> np.ndarray:
    """LRP-ε on a QDQ file, written down once more: weights dequantised by hand, steps three and four by autograd."""
    stored, recorded = initializers(data), everything(data, {"input": x})
    nodes = list(onnx.load_from_string(data).graph.node)
    weights = {}
    for node in nodes:
        if node.op_type == "DequantizeLinear" and node.input[0] in stored:
            q, scale, zero = (stored[name].astype(np.float64) for name in node.input)
            shape = (-1, *(1,) * (q.ndim - 1)) if scale.size > 1 else ()
            weights[node.output[0]] = torch.tensor((q - zero.reshape(shape)) * scale.reshape(shape))
    seed = np.zeros_like(recorded["logits"], np.float64)
    seed[np.arange(len(x)), target] = recorded["logits"][np.arange(len(x)), target]
    relevance = {"logits": torch.tensor(seed)}
    for node in reversed(nodes):
        if node.output[0] not in relevance:
            continue
        r, given = relevance.pop(node.output[0]), [name for name in node.input if name in recorded]
        inputs = [torch.tensor(recorded[n].astype(np.float64)).requires_grad_() for n in given if n not in weights]
        z = torch.tensor(recorded[node.output[0]].astype(np.float64))
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            shares = [r]
        else:
            made = compute(node, inputs, [weights[n] for n in node.input if n in weights])
            moves = node.op_type in ("MaxPool", "Reshape", "Flatten")
            s = r if moves else r / (z + epsilon * torch.where(z < 0, -1.0, 1.0))
            gradients = torch.autograd.grad((made * s).sum(), inputs)
            shares = list(gradients) if moves else [a * g for a, g in zip(inputs, gradients)]
        for name, share in zip(given, shares):
            relevance[name] = relevance.get(name, 0) + share.detach()
    return np.asarray(relevance["input"])


def compute(node: onnx.NodeProto, inputs: list[torch.Tensor], weights: list[torch.Tensor]) -> torch.Tensor:
    """One float node."""
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    functional = torch.nn.functional
    if node.op_type == "Conv":
        return functional.conv2d(*inputs, *weights, stride=given["strides"], padding=given["pads"][:2])
    if node.op_type == "Gemm":
        return inputs[0] @ weights[0].T + weights[1]
    if node.op_type == "MaxPool":
        return functional.max_pool2d(*inputs, given["kernel_shape"], given["strides"], given["pads"][:2])
    if node.op_type == "GlobalAveragePool":
        return inputs[0].mean((2, 3), keepdim=True)
    if node.op_type == "Add":
        return inputs[0] + inputs[1]
    assert node.op_type in ("Reshape", "Flatten")
    return inputs[0].flatten(1)


@pytest.mark.parametrize("form", [form for form in FORMS if form.startswith("QDQ")])
@pytest.mark.parametrize("name", ["mnist_cnn", "mnist_resnet"])
def test_relevance_of_the_dequantised_network(name: str, form: str) -> None:
    data, x = quantized(name, form), digits()[TEST][:6]
    target = np.arange(6)
    wanted = naive_epsilon(data, x, target)
    for backend in ("numpy", "torch", "onnx"):
        found = lrp.explain(data, x, target, composite="epsilon", backend=backend, dtype="float32")
        assert distance(found.relevance, wanted) < 1e-6, backend


@pytest.mark.parametrize("form", [*FORMS, *DYNAMIC])
@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("name", ["mnist_cnn", "mnist_resnet"])
def test_backends_agree(name: str, composite: str, form: str) -> None:
    """QDQ files to float32 accuracy; of integer kernels, wherever they round as the float arithmetic does."""
    data, x = quantized(name, form), digits()[TEST]
    target = answer(data, {"input": x}).argmax(1)
    found = {b: lrp.explain(data, x, target, composite=composite, backend=b, dtype="float32").relevance
             for b in ("numpy", "torch", "onnx")}  # fmt: skip
    assert distance(found["torch"], found["numpy"]) < 1e-6
    each = [distance(a, b) for a, b in zip(found["onnx"], found["numpy"])]
    print(f"\n{name} {form} {composite}: onnx against numpy median {np.median(each):.1e}, max {max(each):.1e}")
    if form.startswith("QDQ"):
        assert max(each) < 2e-6
    else:
        assert np.median(each) < 2e-3
        assert cosines(found["onnx"], found["numpy"]).min() > 0.98


@pytest.mark.parametrize("composite", COMPOSITES)
def test_int8_explains_like_float32(composite: str) -> None:
    """The release bar: cosine to the float model's relevance, on digits that were not used for calibration.

    LRP-ε alone is noisy: with nothing but the weights rounded to 8 bits it is down to 0.974 already.
    """
    data, x = quantized("mnist_resnet", BEST), digits()[TEST]
    target = answer(data, {"input": x}).argmax(1)
    models = (data, MODELS / "mnist_resnet.onnx")
    made, wanted = (lrp.explain(m, x, target, composite=composite).relevance for m in models)
    found = cosines(made, wanted)
    print(f"\n{composite}: cosine of {len(found)} digits: min {found.min():.4f}, mean {found.mean():.4f}")
    assert len(found) >= 20
    assert found.mean() >= 0.95
    assert found.min() >= (0.92 if composite == "epsilon" else 0.95)


@pytest.mark.parametrize("name", ["mnist_cnn", "mnist_resnet"])
@pytest.mark.parametrize("form", [*FORMS, *DYNAMIC])
def test_converted(name: str, form: str) -> None:
    """The source's nodes stay, its integers are stored once, and no weight is stored as floats."""
    data, x = quantized(name, form), digits()[TEST][:5]
    source, converted = onnx.load_from_string(data), lrp.convert(data, "epsilon_plus")
    assert list(converted.graph.node[: len(source.graph.node)]) == list(source.graph.node)
    known = {tensor.name for tensor in source.graph.initializer}
    largest = max(np.prod(t.dims) for t in source.graph.initializer)
    new = [t for t in converted.graph.initializer if t.name not in known]
    assert max(np.prod(t.dims) for t in new) < largest / 4
    assert sum(len(t.raw_data) for t in new) < 8000  # windows of ones, indices, scales
    answers = dict(zip((o.name for o in converted.graph.output), session(converted).run(None, {"input": x})))
    deployed = answer(data, {"input": x})
    assert np.abs(answers["logits"] - deployed).max() < 2 / 255 * np.abs(deployed).max()
    wanted = lrp.explain(
        data, x, answers["logits"].argmax(1), composite="epsilon_plus", backend="numpy", dtype="float32"
    ).relevance
    assert np.median([distance(a, b) for a, b in zip(answers["relevance"], wanted)]) < 5e-3


@pytest.mark.parametrize("form", [BEST, FORMS[0], FORMS[4], *DYNAMIC])
def test_saved_by_onnxruntime_s_optimizer(form: str, tmp_path: Path) -> None:
    """At the extended level it writes QLinearConv, QGemm, DynamicQuantizeMatMul ... in place of float ops."""
    data, x, path = quantized("mnist_cnn", form), digits()[TEST][:5], tmp_path / "optimized.onnx"
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath, options.log_severity_level = str(path), 4
    ort.InferenceSession(data, options)
    assert {n.op_type for n in onnx.load(path).graph.node} & {"QGemm", "DynamicQuantizeMatMul"}
    made, wanted = (lrp.explain(m, x, 3, backend="numpy").relevance for m in (path, data))
    assert distance(made, wanted) < 1e-6
    assert distance(lrp.explain(path, x, 3, backend="onnx").relevance, wanted) < 0.05


def test_samples_of_a_batch_share_a_dynamic_scale() -> None:
    """So a batch must not be cut into parts."""
    data = quantized("mnist_cnn", DYNAMIC[0])
    x = np.concatenate([digits()[TEST], digits()[::10] * 0.3])
    found = lrp.explain(data, x, backend="onnx")
    deployed = answer(data, {"input": x})
    assert np.abs(found.output - deployed).max() < 2 / 255 * np.abs(deployed).max()
    alone = lrp.explain(data, x[-1:], backend="onnx").output
    assert np.abs(alone - found.output[-1:]).max() > 1e-3  # alone, its scale is finer


def test_facts_change_nothing() -> None:
    data, x = quantized("mnist_resnet", BEST), digits()[TEST][:4]
    for composite in COMPOSITES:
        found = [
            lrp.explain(data, x, 1, composite=composite, backend="numpy", facts=facts).relevance
            for facts in (True, False)
        ]
        assert distance(*found) < 1e-9


def test_fused_relus_are_known_to_be_nonnegative() -> None:
    """The quantiser drops a ReLU where the saturation at the zero point does the same."""
    found = prepare(quantized("mnist_resnet", BEST))
    assert not any(node.op_type == "Relu" for node in found.model.graph)
    plan = make_plan(found.verdict, found.model, Composite.parse("epsilon"))
    layers = [step for step in plan.steps if step.op in ("Conv", "Gemm")]
    assert sum(step.nonnegative for step in layers) >= len(layers) - 1


@pytest.mark.parametrize("case", ["quant_dynamic", "quant_qoperator"])
@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
def test_the_zoo_s_quantised_files(case: str, backend: str) -> None:
    folder = SHARED / "zoo" / "must_reject" / case
    if not folder.exists():
        pytest.skip("no zoo beside the checkout")
    stored = np.load(folder / "case.npz")
    x = {key.partition("::")[2]: stored[key] for key in stored if key.startswith("input::")}
    found = lrp.explain(folder / "model.onnx", x, 2, backend=backend, composite="epsilon_plus")
    assert np.isfinite(found.relevance).all()
    for key in [key for key in stored if key.startswith("ref::")]:
        assert distance(found.relevance, stored[key]) < 0.15


def test_static_forms_are_all_different() -> None:
    assert len({quantized("mnist_cnn", form) for form in FORMS}) == len(STATIC)


def test_samples_that_are_scaled_together_are_samples_still() -> None:
    """Whatever their axis is called; a batch of two numbers is no sample of two."""
    text = """<ir_version: 8, opset_import: ["" : 11]> g (float[N] x) => (float[M] y) {
        q, s, z = DynamicQuantizeLinear (x) d = DequantizeLinear (q, s, z) y = Relu (d) }"""
    model = onnx.parser.parse_model(text)
    found = [lrp.explain(model, np.array([0.5, 2.0], np.float32), backend=b).relevance for b in ("numpy", "onnx")]
    for relevance in found:
        np.testing.assert_allclose(relevance, [0.5, 2.0], atol=0.01)


@pytest.mark.parametrize("form", ["QDQ-tensor-QUInt8-QInt8", "QOperator-tensor-QUInt8-QInt8", *DYNAMIC])
def test_a_comparison_says_what_was_explained(form: str) -> None:
    """And does not miss the layer whose output is explained, which a quantiser hides behind nodes of its own."""
    report = lrp.compare(MODELS / "mnist_cnn.onnx", quantized("mnist_cnn", form), digits()[:1])
    assert report.unmatched == ()
    assert report.a.endswith("mnist_cnn.onnx (onnx, float32)")
    assert report.b.endswith(" (onnx, float32: its integers as the numbers they stand for, the dequantised network)")
