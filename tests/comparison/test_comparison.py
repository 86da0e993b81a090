"""Explanation drift: the measures against their formulas, what is matched, and what cannot be compared."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

import onnx_lrp as lrp
from onnx_lrp.comparison import metrics
from onnx_lrp.comparison.compare import Comparer
from onnx_lrp.comparison.report import join

ROOT = Path(__file__).resolve().parents[2]
CNN, RESNET = ROOT / "models" / "mnist_cnn.onnx", ROOT / "models" / "mnist_resnet.onnx"
SHARED = ROOT.parent / "shared" / "models"
X = np.random.default_rng(0).uniform(size=(3, 1, 28, 28)).astype(np.float32)

FEW = st.integers(-3, 3).map(float)  # many ties
PAIRS = st.integers(1, 12).flatmap(lambda n: st.tuples(*[st.lists(FEW, min_size=n, max_size=n)] * 2))


def parsed(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')


def half(path: Path) -> onnx.ModelProto:
    """The model in float16, inputs and outputs included."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            data = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(data, tensor.name))
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
    return model


def perturbed(path: Path, amount: float) -> onnx.ModelProto:
    """The model with noise on the weights of its convolutions, in units of their standard deviation."""
    model, random = onnx.load(path), np.random.default_rng(0)
    for tensor in model.graph.initializer:
        data = numpy_helper.to_array(tensor)
        if data.ndim == 4:
            noisy = data + amount * data.std() * random.normal(size=data.shape)
            tensor.CopyFrom(numpy_helper.from_array(noisy.astype(np.float32), tensor.name))
    return model


def dense(weight: str = "1,2,3,4,5,6", names: str = "a b") -> onnx.ModelProto:
    """Two dense layers whose nodes have these names."""
    model = parsed(f"""
        net (float[N, 3] x) => (float[N, 2] y)
        <float[3, 2] w = {{{weight}}}, float[2, 2] v = {{1,-1,2,1}}> {{
            h = MatMul(x, w)
            r = Relu(h)
            y = MatMul(r, v)
        }}""")
    for node, name in zip((n for n in model.graph.node if n.op_type == "MatMul"), names.split()):
        node.name = name
    return model


# ------------------------------------------------------------------------------------------------------------- measures


def naive_ranks(values: list[float]) -> list[float]:
    """One more than how many are smaller, plus half of the other equal ones."""
    return [1 + sum(v < x for v in values) + (sum(v == x for v in values) - 1) / 2 for x in values]


def naive_cosine(a: list[float], b: list[float]) -> float:
    norms = math.hypot(*a), math.hypot(*b)
    if not all(norms):
        return float(norms[0] == norms[1])
    return math.fsum(x * y for x, y in zip(a, b)) / norms[0] / norms[1]


def naive_correlation(a: list[float], b: list[float]) -> float:
    ranks = naive_ranks(a), naive_ranks(b)
    centred = [[r - sum(rank) / len(rank) for r in rank] for rank in ranks]
    return naive_cosine(*centred)


@given(PAIRS)
def test_measures_are_their_formulas(pair: tuple[list[float], list[float]]) -> None:
    a, b = map(np.array, pair)
    assert metrics.cosine(a, b) == pytest.approx(naive_cosine(*pair), abs=1e-12)
    assert metrics.rank_correlation(a, b) == pytest.approx(naive_correlation(*pair), abs=1e-12)


def test_rank_correlation_without_ties_is_the_textbook_s() -> None:
    random = np.random.default_rng(0)
    a, b = random.permutation(9).astype(float), random.permutation(9).astype(float)
    expected = 1 - 6 * ((a - b) ** 2).sum() / (9 * (9**2 - 1))
    assert metrics.rank_correlation(a, b) == pytest.approx(expected, abs=1e-12)


@given(PAIRS, st.integers(1, 12))
def test_overlap_is_the_share_of_the_largest(pair: tuple[list[float], list[float]], k: int) -> None:
    tops = []
    for values in pair:
        order = sorted(range(len(values)), key=lambda i: (-abs(values[i]), i))
        tops.append({i for i in order[:k] if values[i]})
    expected = len(tops[0] & tops[1]) / max(map(len, tops)) if any(tops) else 1.0
    assert metrics.overlap(*map(np.array, pair), k) == expected


@given(st.lists(st.floats(-1e300, 1e300, allow_subnormal=False), min_size=1, max_size=30), st.integers(1, 30))
def test_equal_maps_are_exactly_alike(values: list[float], k: int) -> None:
    a = np.array(values)
    assert metrics.cosine(a, a.copy()) == metrics.rank_correlation(a, a.copy()) == metrics.overlap(a, a.copy(), k) == 1


def test_scale_is_not_seen_and_sign_is() -> None:
    a = np.array([1.0, -2.0, 0.5])
    assert metrics.cosine(a, 1e-200 * a) == pytest.approx(1)
    assert metrics.cosine(a, -a) == metrics.rank_correlation(a, -a) == -1
    assert metrics.overlap(a, -a, 2) == 1


def test_no_relevance_is_like_no_relevance_only() -> None:
    zero, some = np.zeros(4), np.array([0, 1.0, 0, 2])
    for measure in (metrics.cosine, metrics.rank_correlation, lambda a, b: metrics.overlap(a, b, 3)):
        assert (measure(zero, zero), measure(zero, some), measure(some, zero)) == (1, 0, 0)


@pytest.mark.parametrize(("size", "k"), [(1, 1), (10, 1), (784, 39), (2000, 100), (150528, 100)])
def test_default_top(size: int, k: int) -> None:
    assert metrics.default_top(size) == k


# -------------------------------------------------------------------------------------------------------------- reports


@pytest.mark.parametrize("backend", ["onnx", "torch", "numpy"])
def test_a_model_does_not_drift_from_itself(backend: str) -> None:
    report = lrp.compare(RESNET, RESNET, X, backend=backend)
    assert report.drift == 0
    assert report.unmatched == ()
    for sample in report.samples:
        assert (sample.drift, sample.agree, sample.difference) == (0, True, 0)
        assert len(sample.layers) == 9  # without the last one
        assert {(e.cosine, e.rank, e.overlap) for e in (*sample.inputs, *sample.layers)} == {(1.0, 1.0, 1.0)}


def test_numbers_are_those_of_the_two_explanations() -> None:
    other = perturbed(CNN, 0.2)
    report = lrp.compare(CNN, other, X, "epsilon")
    a = lrp.explain(CNN, X, composite="epsilon")
    b = lrp.explain(other, X, a.target, composite="epsilon")
    assert [sample.sample for sample in report.samples] == ["0", "1", "2"]
    for i, sample in enumerate(report.samples):
        r, s = (e.relevance[i].reshape(-1).tolist() for e in (a, b))
        (found,) = sample.inputs
        assert found.cosine == pytest.approx(naive_cosine(r, s), abs=1e-9)
        assert found.rank == pytest.approx(naive_correlation(r, s), abs=1e-9)
        assert found.overlap == metrics.overlap(np.array(r), np.array(s), 39)
        assert (found.name, found.size, found.k) == ("input", 784, 39)
        assert sample.drift == 1 - found.cosine
        assert sample.target == a.target[i]
        assert sample.values == (a.output[i, sample.target], b.output[i, sample.target])
        assert sample.predictions == (a.output[i].argmax(), b.output[i].argmax())
        assert sample.difference == pytest.approx(np.abs(a.output[i] - b.output[i]).max())
    assert report.drift == max(sample.drift for sample in report.samples) > 1e-3


def test_layers_are_those_of_the_two_explanations() -> None:
    name = "/3/shortcut/shortcut.0/Conv"
    other = perturbed(RESNET, 0.1)
    report = lrp.compare(RESNET, other, X, layers=[name], top_k=7)
    a = lrp.explain(RESNET, X, layers=[name])
    b = lrp.explain(other, X, a.target, layers=[name])
    for i, sample in enumerate(report.samples):
        r, s = (e.layers[name][i].reshape(-1).astype(np.float64) for e in (a, b))
        (layer,) = sample.layers
        assert (layer.name, layer.op, layer.size, layer.k) == (name, "Conv", r.size, 7)
        assert layer.cosine == pytest.approx(naive_cosine(r.tolist(), s.tolist()), abs=1e-6)
        assert layer.overlap == metrics.overlap(r, s, 7)


def test_drift_grows_with_the_noise() -> None:
    drifts = [lrp.compare(RESNET, perturbed(RESNET, amount), X, layers=()).drift for amount in (0.01, 0.1, 0.5)]
    assert 0 < drifts[0] < drifts[1] < drifts[2]


def test_float16_drifts_a_little() -> None:
    report = lrp.compare(RESNET, half(RESNET), X)
    assert 0 < report.drift < 1e-3
    assert all(sample.agree and len(sample.layers) == 9 for sample in report.samples)
    assert report.unmatched == ()
    assert report.b == "<ModelProto> (onnx, float32, with its weights in 16 bits)"


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ImageNet model beside the checkout")
def test_squeezenet_in_float16() -> None:
    models = SHARED / "squeezenet1_1_imagenet.onnx", SHARED / "squeezenet1_1_imagenet_fp16.onnx"
    x = np.random.default_rng(0).uniform(-100, 100, (1, 3, 224, 224)).astype(np.float32)
    report = lrp.compare(*models, x, "epsilon")
    assert 0 <= report.drift < 1e-6  # one is a copy of the other, and both are explained in float32
    assert len(report.samples[0].layers) >= 25
    assert report.unmatched == ()


def test_the_target_is_the_same_in_both() -> None:
    other = dense("6,5,4,3,2,1")
    x = np.float32([[1, 0, 0], [0, 0, 1]])
    report = lrp.compare(dense(), other, x, "epsilon")
    assert [sample.target for sample in report.samples] == lrp.explain(dense(), x).target.tolist()
    assert [sample.target for sample in lrp.compare(dense(), other, x, target=1).samples] == [1, 1]
    assert [sample.target for sample in lrp.compare(dense(), other, x, target=[1, 0]).samples] == [1, 0]


def test_opposite_explanations() -> None:
    flipped = dense()
    (v,) = (t for t in flipped.graph.initializer if t.name == "v")
    v.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(v), "v"))
    report = lrp.compare(dense(), flipped, np.ones((1, 3), np.float32), "epsilon", target=0)
    assert report.drift == pytest.approx(2)
    assert lrp.compare(dense(), flipped, np.ones((1, 3), np.float32), target=0, seed="one").drift == pytest.approx(0)


def test_several_inputs_take_the_lowest_cosine() -> None:
    def model(weight: str) -> onnx.ModelProto:
        return parsed(f"""
            net (float[N, 2] left, float[N, 2] right) => (float[N, 1] y)
            <float[2, 1] w = {{{weight}}}, float[2, 1] v = {{1,1}}> {{
                a = MatMul(left, w)
                b = MatMul(right, v)
                y = Add(a, b)
            }}""")

    other = model("1,0")
    for value, name in zip(other.graph.input, ("one", "two")):  # by position
        other.graph.node[0 if name == "one" else 1].input[0] = value.name = name
    x = {"right": np.float32([[1, 2]]), "left": np.float32([[1, 1]])}
    (sample,) = lrp.compare(model("1,1"), other, x).samples
    left, right = sample.inputs
    assert (left.name, right.name) == ("left", "right")
    assert left.cosine == pytest.approx(math.sqrt(0.5))
    assert right.cosine == pytest.approx(1)
    assert sample.drift == 1 - left.cosine


def test_printed_and_as_json() -> None:
    report = lrp.compare(RESNET, perturbed(RESNET, 0.3), X)
    lines = str(report).splitlines()
    assert lines[0] == f"A: {RESNET} (onnx, float32)"
    columns = ["predictions", "input", "cosine", "rank", "top-k", "k"]
    assert lines[3].split() == ["sample", "target", "value", "in", "A", "in", "B", *columns]
    assert len(lines) == 5 + 3 + 1 + 2 + 9 + 1
    assert lines[-1].startswith(f"drift {report.drift:.3g} = 1 - the lowest cosine")
    lowest = min(sample.layers[0].cosine for sample in report.samples)
    assert lines[11].split()[:4] == ["/0/0.0/Conv", "Conv", "12544", f"{lowest:.6f}"]
    content = json.loads(json.dumps(report.as_dict()))
    assert content["drift"] == report.drift
    assert [s["drift"] for s in content["samples"]] == [s.drift for s in report.samples]
    assert content["samples"][1]["layers"][0]["rank"] == report.samples[1].layers[0].rank


def test_batches_join_to_what_one_batch_gives() -> None:
    comparer = Comparer(RESNET, half(RESNET), "epsilon", backend="numpy")
    whole = comparer.report(comparer(X))
    parts = [comparer.report(comparer(X[i : i + 1]), [str(i)]) for i in range(3)]
    joined = join(parts)
    assert [s.sample for s in joined.samples] == ["0", "1", "2"]
    assert joined.drift == pytest.approx(whole.drift, rel=1e-6)
    assert joined.above(whole.drift * 0.999) == whole.above(whole.drift * 0.999) != ()


def test_what_is_not_a_number_is_above_every_limit() -> None:
    report = lrp.compare(dense(), dense(), np.ones((1, 3), np.float32))
    (sample,) = report.samples
    broken = replace(sample, inputs=(replace(sample.inputs[0], cosine=math.nan),))
    assert replace(report, samples=(broken,)).above(1e9) == ("0",)


# ------------------------------------------------------------------------------------------------------------- matching


def layers(report: lrp.Comparison) -> list[str]:
    return [layer.name for layer in report.samples[0].layers]


ONE = np.ones((1, 3), np.float32)


@pytest.mark.parametrize("suffix", ["_quant", "_MatMul_quant"])
def test_a_quantiser_s_suffix_is_no_other_layer(suffix: str) -> None:
    renamed = dense(names=f"a{suffix} b{suffix}")
    for node in renamed.graph.node:
        node.input[:] = ["other" if name == "h" else name for name in node.input]
        node.output[:] = ["other" if name == "h" else name for name in node.output]
    for a, b, name in ((dense(), renamed, "a"), (renamed, dense(), f"a{suffix}")):
        report = lrp.compare(a, b, ONE)
        assert (layers(report), report.unmatched) == ([name], ())


def test_tensors_go_before_nodes() -> None:
    """A BatchNormalization that is merged in one model only: the tensor behind it is in both."""
    text = """
        net (float[1, 1, 4, 4] x) => (float[1, 2] y)
        <float[2, 1, 3, 3] w = {1,2,3,4,5,6,7,8,9,9,8,7,6,5,4,3,2,1}, float[2] s = {2,3}, float[2] b = {5,-1},
         float[2] m = {1,1}, float[2] v = {1,4}, float[2, 2] d = {1,2,3,4}> {
            c = Conv(x, w)
            n = BatchNormalization(c, s, b, m, v)
            r = Relu(n)
            p = GlobalAveragePool(r)
            f = Flatten(p)
            y = MatMul(f, d)
        }"""
    merged, apart = (
        parsed(text),
        parsed(text.replace("n = BatchNormalization(c", "e = Relu(c) n = BatchNormalization(e")),
    )
    for model in (merged, apart):
        model.graph.node[0].name = "conv"
    x = np.random.default_rng(0).uniform(size=(1, 1, 4, 4)).astype(np.float32)  # c is above 0: Relu changes nothing
    report = lrp.compare(merged, apart, x, "epsilon")
    assert (layers(report), report.unmatched) == (["conv"], ())
    assert report.samples[0].layers[0].cosine == pytest.approx(1)
    assert lrp.compare(apart, merged, x, "epsilon").samples[0].layers[0].op == "Conv"


def test_what_one_model_lacks_is_listed() -> None:
    renamed = dense(names="c d")
    weights = {tensor.name: f"other {tensor.name}" for tensor in renamed.graph.initializer}
    for tensor in renamed.graph.initializer:
        tensor.name = weights[tensor.name]
    for node in renamed.graph.node:
        node.input[:] = ["other" if name == "h" else weights.get(name, name) for name in node.input]
        node.output[:] = ["other" if name == "h" else name for name in node.output]
    report = lrp.compare(dense(), renamed, ONE)
    assert (layers(report), report.unmatched) == ([], ("a (only in A)", "c (only in B)"))
    assert "not in both: a (only in A), c (only in B)" in str(report)
    assert lrp.compare(dense(), renamed, ONE, layers=["c"]).unmatched == ("c (only in B)",)
    assert layers(lrp.compare(dense(), renamed, ONE, layers=["r"])) == [lrp.check(dense()).rows[1].node]


def test_a_layer_of_another_shape_is_listed() -> None:
    def model(width: int) -> onnx.ModelProto:
        ones = ",".join(["1"] * 3 * width)
        return parsed(f"""
            net (float[N, 3] x) => (float[N, 3] y)
            <float[3, {width}] w = {{{ones}}}, float[{width}, 3] v = {{{ones}}}> {{
                h = MatMul(x, w)
                r = Relu(h)
                y = MatMul(r, v)
            }}""")

    report = lrp.compare(model(2), model(4), ONE)
    assert layers(report) == []
    assert report.unmatched == ("MatMul→h (of another shape)",)
    assert report.drift == pytest.approx(0)


def test_a_layer_without_relevance_is_like_another() -> None:
    text = """
        net (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {1,0,0,1}, float[2, 2] v = {SECOND}> {
            h = MatMul(x, w)
            r = Relu(h)
            y = MatMul(r, v)
        }"""
    dead, alive = (parsed(text.replace("SECOND", second)) for second in ("0,0,0,0", "1,0,0,1"))
    x = np.ones((1, 2), np.float32)
    for a, b in itertools.product((dead, alive), repeat=2):
        report = lrp.compare(a, b, x, target=0)
        assert report.drift == (a is not b)
        assert [layer.cosine for layer in report.samples[0].layers] == [float(a is b)]


# ---------------------------------------------------------------------------------------------------------- what is not


def test_other_inputs_are_refused() -> None:
    with pytest.raises(lrp.InputError, match=r"input 'x' has the shape \(N, 3\), but in .* 'input' has"):
        lrp.compare(CNN, dense(), X)
    two = parsed("net (float[N, 3] p, float[N, 3] q) => (float[N, 3] y) { y = Add(p, q) }")
    with pytest.raises(lrp.InputError, match=r"has 2 inputs, but .* has 1"):
        lrp.compare(dense(), two, ONE)


def test_other_outputs_are_refused() -> None:
    wide = parsed("net (float[N, 3] x) => (float[N, 1] y) <float[3, 1] w = {1,2,3}> { y = MatMul(x, w) }")
    with pytest.raises(lrp.TargetError, match=r"explains an output of the shape \(N, 1\), but .* one of \(N, 2\)"):
        lrp.compare(dense(), wide, ONE)


def test_sizes_that_one_model_leaves_open() -> None:
    fixed = dense()
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    fixed.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    for a, b in ((fixed, dense()), (dense(), fixed)):
        assert lrp.compare(a, b, ONE).drift == 0
        assert list(Comparer(a, b).inputs[0].shape) == [1, 3]
        with pytest.raises(lrp.InputError, match="shape"):
            lrp.compare(a, b, np.ones((2, 3), np.float32))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layers": ["nowhere"]}, lrp.TargetError, "no node or tensor 'nowhere' on the way in either model"),
        ({"top_k": 0}, lrp.InputError, "top_k is 0"),
        ({"target": 2}, lrp.TargetError, "out of range"),
        ({"composite": "nonsense"}, lrp.CompositeError, "nonsense"),
        ({"output": "nowhere"}, lrp.TargetError, "nowhere"),
    ],
)
def test_mistakes(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        lrp.compare(dense(), dense(), ONE, **options)
