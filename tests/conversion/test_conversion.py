"""Converted models in onnxruntime: the source's own answers to the bit, and the relevance that NumPy finds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import helper, numpy_helper
from small import FEEDS, NETS, PLAIN, X, answers, close, feeds_of, parsed, session, small

import onnx_lrp as lrp

MODELS = Path(__file__).resolve().parents[2] / "models"
SHIPPED = ["mnist_cnn", "mnist_cnn_torchscript", "mnist_resnet", "mnist_resnet_dynamo"]
COMPOSITES = [
    *("epsilon", "epsilon_plus", "epsilon_plus_flat", "epsilon_alpha2_beta1", "epsilon_gamma_box:low=-3,high=3"),
    *("layered", "gamma"),
]
DIGITS = np.random.default_rng(0).uniform(-3, 3, (2, 1, 28, 28)).astype(np.float32)


def reference(model: Any, x: Any, composite: str = "epsilon_plus", target: Any = None, **call: Any) -> lrp.Explanation:
    return lrp.explain(model, x, target, composite=composite, backend="numpy", **call)


def stripped(value: onnx.ValueInfoProto) -> bytes:
    return value.SerializeToString(deterministic=True)


def assert_kept(source: onnx.ModelProto, converted: onnx.ModelProto) -> None:
    """Inputs, outputs, weights and nodes of the source come first, as they were."""
    old, new = source.graph, converted.graph
    for before, after in ((old.input, new.input), (old.output, new.output)):
        assert [stripped(v) for v in before] == [stripped(v) for v in after[: len(before)]]
    kept = {tensor.name: tensor for tensor in new.initializer}
    for tensor in old.initializer:
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), numpy_helper.to_array(kept[tensor.name]))
    nodes = [node for node in old.node if node.op_type != "Constant"]
    for before, after in zip(nodes, new.node):
        assert (before.op_type, before.input, before.output) == (after.op_type, after.input, after.output)
        assert {a.name: a.SerializeToString() for a in before.attribute}.items() <= {
            a.name: a.SerializeToString() for a in after.attribute
        }.items()
    assert {node.domain for node in new.node[len(nodes) :]} == {""}
    assert not {node.op_type for node in new.node} & {"If", "Loop", "Scan"}
    assert not converted.functions
    onnx.checker.check_model(converted, full_check=True)


# alpha2_beta1 is ill-conditioned: float32 is off by 1e-5 to 1e-3 there, on NumPy as on onnxruntime
def tolerance(composite: str) -> float:
    return 1e-3 if "alpha" in composite else 1e-5


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("composite", COMPOSITES)
def test_shipped_models(name: str, composite: str) -> None:
    path, feeds = MODELS / f"{name}.onnx", {"input": DIGITS}
    source, converted = onnx.load(path), lrp.convert(path, composite)
    assert_kept(source, converted)
    made, own = answers(converted, feeds), answers(source, feeds)
    assert list(made) == [*own, "relevance"]
    assert all(np.array_equal(made[output], own[output]) for output in own)
    expected = reference(path, DIGITS, composite).relevance
    close(made["relevance"], expected, tolerance(composite))
    slow = answers(lrp.convert(path, composite, facts=False), feeds)
    close(slow["relevance"], made["relevance"], max(1e-4, 2 * tolerance(composite)))


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("composite", COMPOSITES)
def test_small_models(name: str, composite: str) -> None:
    source = small(name)
    converted, feeds = lrp.convert(source, composite), feeds_of(source)
    assert_kept(source, converted)
    plain = answers(session(converted, PLAIN), feeds)
    for output, own in answers(session(source, PLAIN), feeds).items():
        assert np.array_equal(plain[output], own)  # fused, a weight that the walk reads, too, is not merged into
    made = answers(converted, feeds)
    for output, own in answers(source, feeds).items():
        close(made[output], own, 1e-6)
    for given, expected in reference(source, feeds, composite).inputs.items():
        close(made["relevance" if len(feeds) == 1 else f"relevance_{given}"], expected, tolerance(composite))


@pytest.mark.parametrize("opset", [9, 10, 11, 12, 13, 15, 17, 18, 21])
@pytest.mark.parametrize("name", ["residual", "merged", "two"])
def test_the_opset_is_kept(name: str, opset: int) -> None:
    source = small(name, opset)
    converted = lrp.convert(source)
    assert [(o.domain, o.version) for o in converted.opset_import] == [("", opset)]
    assert_kept(source, converted)
    made, feeds = answers(converted, feeds_of(source)), feeds_of(source)
    for given, expected in reference(source, feeds).inputs.items():
        close(made["relevance" if len(feeds) == 1 else f"relevance_{given}"], expected)


@pytest.mark.parametrize("opset", [7, 8])
def test_an_older_opset_is_raised_to_9_only(opset: int) -> None:
    source = small("chain", opset)
    converted = lrp.convert(source)
    assert converted.opset_import[0].version == 9
    made = answers(converted, {"x": X})
    assert np.array_equal(made["y"], answers(source, {"x": X})["y"])
    close(made["relevance"], reference(source, X).relevance)


@pytest.mark.parametrize(("given", "wanted"), [(4, 8), (7, 8), (8, 8), (9, 9), (10, 10)])
def test_ir_version(given: int, wanted: int) -> None:
    assert lrp.convert(small("chain", ir_version=given)).ir_version == wanted


def test_the_batch_stays_open() -> None:
    converted = lrp.convert(small("two"), targets=2)
    shapes = {
        o.name: [d.dim_param or d.dim_value for d in o.type.tensor_type.shape.dim] for o in converted.graph.output
    }
    assert shapes == {"y": ["N", 4], "relevance_x": ["N", 2, 2, 6, 6], "relevance_v": ["N", 2, 5]}
    ready = session(converted)
    for samples in (1, 2, 5):
        feeds = {name: a[:samples] for name, a in FEEDS.items()}
        explanations = lrp.Explainer(small("two"), backend="numpy").several(feeds, 2)
        for name in ("x", "v"):
            close(answers(ready, feeds)[f"relevance_{name}"], np.stack([e.inputs[name] for e in explanations], 1))


TARGETS: list[tuple[Any, Any]] = [(None, None), ([2], 2), ([-1], None), ([0, 3, 1, 2, 2], [0, 3, 1, 2, 2])]


@pytest.mark.parametrize(("given", "target"), TARGETS, ids=str)
@pytest.mark.parametrize("opset", [9, 17])
@pytest.mark.parametrize("seed", ["logit", "one"])
def test_target(given: Any, target: Any, seed: Any, opset: int) -> None:
    model = small("residual", opset)
    feeds = feeds_of(model) | ({} if given is None else {"target": np.array(given, np.int64)})
    made = answers(lrp.convert(model, seed=seed), feeds)
    close(made["relevance"], reference(model, X, target=target, seed=seed).relevance)


def test_target_mixes_defaults_and_indices() -> None:
    model = small("residual")
    made = answers(lrp.convert(model), {"x": X, "target": np.array([-1, 2, -1, 0, 1])})
    best = answers(model, {"x": X})["y"].argmax(1)
    close(made["relevance"], reference(model, X, target=[best[0], 2, best[2], 0, 1]).relevance)


@pytest.mark.parametrize("seed", ["logit", "one"])
@pytest.mark.parametrize("opset", [9, 13, 17])
@pytest.mark.parametrize(
    ("targets", "given"), [(1, [4]), (1, [-2]), (1, [0, 1, 2, 3, 4]), (1, [2**40]), (2, [[0, -5]])]
)
def test_an_impossible_target_fails_at_run_time(targets: int, given: Any, opset: int, seed: Any) -> None:
    ready = session(lrp.convert(small("residual", opset), targets=targets, seed=seed))
    feeds = feeds_of(small("residual", opset))
    answers(ready, feeds)
    with pytest.raises(Exception, match="out of data bounds"):
        answers(ready, feeds | {"target": np.array(given, np.int64)})


@pytest.mark.parametrize("opset", [9, 10, 17])
@pytest.mark.parametrize("given", [None, [[1, 0, 2]], [[1, 0, 2], [3, 3, 1], [0, 1, 2], [2, 1, 0], [3, 2, 0]]], ids=str)
def test_several_targets(given: Any, opset: int) -> None:
    model = small("residual", opset)
    feeds = feeds_of(model) | ({} if given is None else {"target": np.array(given, np.int64)})
    made = answers(lrp.convert(model, targets=3), feeds)["relevance"]
    order = np.argsort(-answers(model, {"x": X})["y"], 1)[:, :3] if given is None else np.broadcast_to(given, (5, 3))
    assert made.shape == (5, 3, 2, 6, 6)
    for rank in range(3):
        close(made[:, rank], reference(model, X, target=order[:, rank]).relevance)


def test_seed_as_input() -> None:
    model, seed = small("residual"), np.random.default_rng(4).standard_normal((5, 4)).astype(np.float32)
    converted = lrp.convert(model, seed="input")
    assert [i.name for i in converted.graph.input] == ["x", "seed"]
    close(answers(converted, {"x": X, "seed": seed})["relevance"], reference(model, X, seed=seed).relevance)


@pytest.mark.parametrize("seed", ["logit", "one"])
def test_targets_of_an_output_of_higher_rank_are_flat(seed: Any) -> None:
    model = small("norm")
    made = answers(lrp.convert(model, seed=seed), {"x": X, "target": np.array([77])})
    close(made["relevance"], reference(model, X, target=77, seed=seed).relevance)


@pytest.mark.parametrize("targets", [1, 2])
def test_layers(targets: int) -> None:
    model = small("residual")
    names = ["r", "Conv_s", "g", "y"]
    made = answers(lrp.convert(model, layers=names, targets=targets), {"x": X})
    found = lrp.Explainer(model, backend="numpy").several(X, targets, layers=names)
    for name in names:
        expected = [e.layers[name] for e in found]
        close(made[f"relevance_{name}"], expected[0] if targets == 1 else np.stack(expected, 1))


def test_an_input_that_no_relevance_reaches_gets_zeros() -> None:
    model = parsed("""net (float[N, 2, 6, 6] x, float[N, 5] v) => (float[N, 2, 6, 6] y, float[N, 5] w)
        { y = Relu(x)  w = Relu(v) }""")
    made = answers(lrp.convert(model), FEEDS)
    assert np.array_equal(made["relevance_v"], np.zeros((5, 5)))
    assert made["relevance_x"].any()


def test_heads_are_cut_for_the_walk_only() -> None:
    model = small("residual")
    by_head, by_logit = (answers(lrp.convert(model, output=name), {"x": X}) for name in "py")
    assert list(by_head) == ["y", "p", "relevance"]
    np.testing.assert_allclose(by_head["p"].sum(1), 1, rtol=1e-6)
    assert np.array_equal(by_head["relevance"], by_logit["relevance"])


LOCAL = """
<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
net (float[N, 3] x) => (float[N, 2] y) <float[3, 2] W = {1, -2, 0.5, 1, -1, 2}, float[2, 2] V = {1, 2, -1, 1}>
{ h = own.layer(x, W)  y = own.layer(h, V) }
<opset_import: ["" : 17], domain: "own"> layer (a, w) => (b) { m = MatMul(a, w)  b = Relu(m) }
"""


def test_local_functions_are_inlined() -> None:
    model, x = onnx.parser.parse_model(LOCAL), np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    converted = lrp.convert(model, "epsilon")
    made = answers(converted, {"x": x})
    assert not converted.functions
    assert np.array_equal(made["y"], answers(model, {"x": x})["y"])
    close(made["relevance"], reference(model, x, "epsilon").relevance)


@pytest.mark.parametrize("names", [{"h": "target", "r": "relevance"}, {"x": "relevance", "m": "lrp_relevance"},
                                   {"x": "target", "y": "relevance", "f": "logits"},
                                   {"a": "lrp/Mul_1", "h": "lrp/const_1:0", "r": "lrp/Relu_1:0"}], ids=str)  # fmt: skip
def test_names_that_the_source_uses_already(names: dict[str, str]) -> None:
    model = small("chain")
    expected = answers(lrp.convert(model), {"x": X})
    fields: list[Any] = [field for node in model.graph.node for field in (node.input, node.output)]
    for field in fields:
        field[:] = [names.get(name, name) for name in field]
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.name = names.get(value.name, value.name)
    converted = lrp.convert(model)
    onnx.checker.check_model(converted, full_check=True)
    made = list(answers(converted, {names.get("x", "x"): X}).values())
    assert all(np.array_equal(a, b) for a, b in zip(made, expected.values(), strict=True))


def in_type(model: onnx.ModelProto, dtype: type) -> onnx.ModelProto:
    """The same model with all of its tensors in another float type."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = kind
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(dtype), tensor.name))
    return model


@pytest.mark.parametrize(("dtype", "accuracy"), [(np.float64, 1e-5), (np.float16, 3e-2)])
@pytest.mark.parametrize("name", ["chain", "residual", "merged"])
def test_other_float_types(name: str, dtype: type, accuracy: float) -> None:
    model = in_type(small(name), dtype)
    converted = lrp.convert(model)
    onnx.checker.check_model(converted, full_check=True)
    assert [stripped(v) for v in converted.graph.input[:1]] == [stripped(v) for v in model.graph.input]
    made = answers(converted, {"x": X.astype(dtype)})
    assert made["y"].dtype == dtype
    assert made["relevance"].dtype == np.float32
    target = made["y"].reshape(5, -1).argmax(1)
    close(made["relevance"], reference(model, X.astype(dtype), target=target).relevance, accuracy)
    np.testing.assert_allclose(made["y"], answers(small(name), {"x": X})["y"], atol=accuracy)


def test_metadata() -> None:
    path = MODELS / "mnist_resnet.onnx"
    converted = lrp.convert(path, "epsilon_gamma_box:low=0,high=1", seed="one", targets=3)
    assert {prop.key: prop.value for prop in converted.metadata_props if prop.key.startswith("onnx_lrp.")} == {
        "onnx_lrp.version": lrp.__version__,
        "onnx_lrp.source_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "onnx_lrp.composite": str(lrp.Composite.parse("epsilon_gamma_box:low=0,high=1")),
        "onnx_lrp.explains": onnx.load(path).graph.output[0].name,
        "onnx_lrp.seed": "one",
        "onnx_lrp.targets": "3",
    }


def test_metadata_of_the_source_stay() -> None:
    model = small("chain")
    helper.set_model_props(model, {"author": "me"})
    model.producer_name, model.doc_string = "someone", "what it is"
    converted = lrp.convert(model)
    assert {"author": "me"}.items() <= {prop.key: prop.value for prop in converted.metadata_props}.items()
    assert (converted.producer_name, converted.doc_string) == ("someone", "what it is")


@pytest.mark.parametrize("name", SHIPPED)
def test_converting_twice_gives_the_same_bytes(name: str) -> None:
    first, second = (lrp.convert(MODELS / f"{name}.onnx", "gamma", targets=2) for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


def test_the_source_is_not_changed() -> None:
    model = small("merged")
    before = model.SerializeToString(deterministic=True)
    lrp.convert(model, "gamma")
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("composite", ["epsilon_plus", "epsilon_gamma_box:low=0,high=1", "epsilon_alpha2_beta1"])
def test_weights_are_stored_once(composite: str) -> None:
    path = MODELS / "mnist_resnet.onnx"
    assert lrp.convert(path, composite).ByteSize() <= 1.05 * path.stat().st_size + 200_000


@pytest.mark.parametrize("use", [lrp.convert, lrp.check, lambda model: lrp.explain(model, X)])
def test_a_converted_model_is_not_converted_again(use: Callable[[onnx.ModelProto], object]) -> None:
    with pytest.raises(lrp.InvalidModelError, match="explains itself already"):
        use(lrp.convert(small("chain")))


OPEN = """net (float[N, 2, H, W] x) => (float[N, 3] y) <float[3, 2, 3, 3] a>
    { h = Conv(x, a)  r = Relu(h)  g = GlobalAveragePool(r)  y = Flatten(g) }"""


def test_open_axes_must_be_fixed() -> None:
    model = parsed(OPEN)
    with pytest.raises(lrp.ConversionError, match=r"'x'.*open axes.*--shape"):
        lrp.convert(model)
    converted = lrp.convert(model, shapes={"x": [None, 2, 6, 6]})
    onnx.checker.check_model(converted, full_check=True)
    ready = session(converted)
    for samples in (1, 3):
        close(answers(ready, {"x": X[:samples]})["relevance"], reference(model, X[:samples]).relevance)
    fixed = lrp.convert(model, shapes={"x": [5, 2, 6, 6]})
    close(answers(fixed, {"x": X})["relevance"], reference(model, X).relevance)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shapes": {"z": [1, 2, 6, 6]}}, lrp.InputError, "no input 'z'; it has x"),
        ({"shapes": {"x": [1, 2, 6]}}, lrp.InputError, "does not fit"),
        ({"shapes": {"x": [1, 3, 6, 6]}}, lrp.InputError, "does not fit"),
        ({"seed": "half"}, lrp.TargetError, "unknown seed 'half'"),
        ({"targets": 5}, lrp.TargetError, "5 of 4 outputs"),
        ({"targets": 0}, lrp.TargetError, "0 of 4 outputs"),
        ({"layers": ["nope"]}, lrp.TargetError, "no node or tensor 'nope'"),
        ({"output": "nope"}, lrp.TargetError, "no output, tensor or node 'nope'"),
        ({"composite": "nope"}, lrp.CompositeError, "unknown composite"),
    ],
    ids=str,
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        lrp.convert(small("chain"), **options)


@pytest.mark.parametrize(
    "body",
    [
        "(float[N, 3] x) => (float[2, N] y) <W> { h = MatMul(x, W) y = Transpose <perm = [1, 0]> (h) }",
        "(float[N, 3] x) => (float[1, M] y) { r = Relu(x) y = Flatten <axis = 0> (r) }",
        "(float[N, 3] x) => (float[M, 2] y) <W> { r = Relu(x) c = Concat <axis = 0> (x, r) y = MatMul(c, W) }",
        "(float[N, 3] x) => (float[2] y) <W> { h = MatMul(x, W) y = ReduceMean <axes = [0], keepdims = 0> (h) }",
    ],
)
def test_samples_that_are_mixed_are_refused(body: str) -> None:
    weight = "<float[3, 2] W = {1, 2, 3, 4, 5, 6}>"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> net {body.replace("<W>", weight)}')
    with pytest.raises(lrp.ConversionError):
        lrp.convert(model, "epsilon")


@pytest.mark.parametrize("opset", [9, 11, 13])
@pytest.mark.parametrize("product", ["MatMul(p, v)", "MatMul(u, p)"])
def test_a_vector_behind_a_transpose(opset: int, product: str) -> None:
    """onnxruntime would fuse the two, and read the vector the wrong way."""
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}]> g (float[1,6,5] x) => (float[1,n] y) '
        "<float[6] v = {0.8,-0.4,0.2,0.5,0.1,-0.4}, float[5] u = {1.0, -2.0, 0.5, 0.3, -0.7}, float k = {0.1}> "
        f"{{ a = Relu(x) t = Transpose<perm=[0,2,1]>(a) p = PRelu(t, k) y = {product} }}"
    )
    x = np.random.default_rng(1).standard_normal((1, 6, 5)).astype(np.float32)
    p, v, u = np.maximum(x, 0).transpose(0, 2, 1), [0.8, -0.4, 0.2, 0.5, 0.1, -0.4], [1.0, -2.0, 0.5, 0.3, -0.7]
    expected = p @ np.array(v) if "v" in product else np.array(u) @ p
    loaded = session(lrp.convert(model, "alpha_beta"))
    np.testing.assert_allclose(loaded.run(["y"], {"x": x})[0], expected, rtol=1e-5, atol=1e-6)
    for backend in ("numpy", "onnx"):
        explanation = lrp.Explainer(model, "alpha_beta", backend=backend)(x)
        np.testing.assert_allclose(explanation.output, expected, rtol=1e-5, atol=1e-6)
