"""Explainer on the compiled model against the walk on NumPy in float64: parts of a batch, targets, seeds, fallbacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import onnx_lrp as lrp
from onnx_lrp import backends
from onnx_lrp.engines.sessions import SessionCache

MODELS = Path(__file__).resolve().parents[2] / "models"
RESNET = MODELS / "mnist_resnet.onnx"
X = np.random.default_rng(0).uniform(0, 1, (5, 1, 28, 28)).astype(np.float32)
OPEN = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N, 1, H, W] x) => (float[N, 3] y) <float[3, 1, 1, 1] a = {1, -2, 0.5}>
{ h = Conv(x, a)  r = Relu(h)  g = GlobalAveragePool(r)  y = Flatten(g) }
"""


@pytest.fixture(params=["whole", "parts"])
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The batch at once, or two samples at a time: 2, 2 and 1 of five."""
    if request.param == "parts":
        monkeypatch.setattr(SessionCache, "preferred", lambda self, tape: 2)
    return str(request.param)


def close(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-5) -> None:
    assert a.shape == b.shape
    assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)


def same(made: lrp.Explanation, expected: lrp.Explanation) -> None:
    """All of two explanations, but for the ledger."""
    assert np.array_equal(made.target, expected.target)
    close(made.output, expected.output)
    assert list(made.inputs) == list(expected.inputs)
    for name, r in expected.inputs.items():
        assert made.inputs[name].dtype == np.float32
        close(made.inputs[name], r)
    assert set(made.layers) == set(expected.layers)
    for name, r in expected.layers.items():
        close(made.layers[name], r)
    close(made.conservation.target, expected.conservation.target)
    close(made.conservation.inputs, expected.conservation.inputs, 1e-4)


def both(model: Any, composite: str = "epsilon_plus") -> tuple[lrp.Explainer, lrp.Explainer]:
    return tuple(lrp.Explainer(model, composite, backend=name) for name in ("onnx", "numpy"))  # type: ignore[return-value]


CALLS: dict[str, dict[str, Any]] = {
    "default": {},
    "one target": {"target": 3},
    "one per sample": {"target": [0, 9, 2, 5, 5]},
    "seed one": {"seed": "one", "target": [1, 2, 3, 4, 5]},
    "seed one, default": {"seed": "one"},
    "array": {"seed": np.random.default_rng(1).standard_normal((5, 10))},
}


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("model", ["mnist_cnn", "mnist_resnet"])
def test_calls(model: str, call: dict[str, Any]) -> None:
    compiled, walking = both(MODELS / f"{model}.onnx")
    layer = compiled.plan.steps[2].outputs[0]
    same(compiled(X, **call, layers=[layer]), walking(X, **call, layers=[layer]))


def test_parts_are_as_equal_as_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx_lrp.engines import compiled

    monkeypatch.setattr(SessionCache, "preferred", lambda self, tape: 2)
    sizes: list[int] = []
    run = compiled.run
    monkeypatch.setattr(compiled, "run", lambda s, o, f, n: sizes.append(len(f["input"])) or run(s, o, f, n))
    explainer = lrp.Explainer(RESNET, backend="onnx", verify=False)
    explainer(X)
    explainer(X[:3])
    assert sizes == [2, 2, 1, 2, 1]


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("samples", [(1, 5), (5, 1), (2, 4, 3)], ids=str)
def test_batches_of_several_sizes(samples: tuple[int, ...]) -> None:
    compiled, walking = both(RESNET)
    for n in samples:
        same(compiled(X[:n]), walking(X[:n]))


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(
    "targets", [3, [1, 2], [[0, 1, 2, 3, 4], 7], [None, 4], [np.array([9, 8, 7, 6, 5]), None]], ids=str
)
@pytest.mark.parametrize("seed", ["logit", "one"])
def test_several(targets: Any, seed: str) -> None:
    compiled, walking = both(RESNET)
    made, expected = (e.several(X, targets, seed=seed) for e in (compiled, walking))
    assert len(made) == len(expected) == (targets if isinstance(targets, int) else len(targets))
    for one, other in zip(made, expected):
        same(one, other)


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("targets", [None, 2])
def test_ledger(targets: int | None) -> None:
    compiled, walking = both(RESNET)
    made, expected = (
        e(X, ledger=True) if targets is None else e.several(X, targets, ledger=True)[1] for e in (compiled, walking)
    )
    rows = [[(entry.node, entry.op, entry.rule) for entry in e.ledger] for e in (made, expected)]
    assert rows[0] == rows[1]
    size = max(abs(entry.relevance_in) for entry in expected.ledger)
    for a, b in zip(made.ledger, expected.ledger):
        assert a.relevance_in == pytest.approx(b.relevance_in, abs=1e-4 * size)
        assert a.absorbed == pytest.approx(b.absorbed, abs=1e-4 * size)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ({"target": 10}, lrp.TargetError),
        ({"target": [0, 1]}, lrp.TargetError),
        ({"target": -1}, lrp.TargetError),
        ({"seed": "half"}, lrp.TargetError),
        ({"seed": np.ones((5, 3))}, lrp.TargetError),
        ({"layers": ["nope"]}, lrp.TargetError),
    ],
    ids=str,
)
def test_bad_calls(call: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        lrp.Explainer(RESNET, backend="onnx")(X, **call)


@pytest.mark.parametrize("targets", [0, []])
def test_no_targets(targets: Any) -> None:
    with pytest.raises(lrp.TargetError):
        lrp.Explainer(RESNET, backend="onnx").several(X, targets)


def test_more_targets_than_outputs_are_all_of_them() -> None:
    assert len(lrp.Explainer(RESNET, backend="onnx").several(X[:1], 11)) == 10


def test_float64_is_refused() -> None:
    with pytest.raises(lrp.BackendError, match="float32"):
        lrp.Explainer(RESNET, backend="onnx", dtype="float64")


WALKING = backends.choices("auto", "float64")[0].name  # torch where it is installed


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "onnx"),
        ({"dtype": "float32"}, "onnx"),
        ({"device": "cpu"}, "onnx"),
        ({"dtype": "float64"}, WALKING),
        ({"backend": "numpy"}, "numpy"),
    ],
    ids=str,
)
def test_what_auto_takes(options: dict[str, Any], name: str) -> None:
    assert lrp.Explainer(RESNET, **options).engine.name == name


@pytest.mark.parametrize("where", ["engines.sessions.emit", "engines.compiled.measure"])
def test_auto_falls_back(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **options: object) -> None:
        raise lrp.ConversionError("cannot be compiled")

    monkeypatch.setattr(f"onnx_lrp.{where}", refuse)
    explainer = lrp.Explainer(RESNET)
    same(explainer(X), lrp.explain(RESNET, X, backend="numpy"))
    assert explainer.engine.name == WALKING
    with pytest.raises(lrp.ConversionError):
        lrp.Explainer(RESNET, backend="onnx")(X)


@pytest.mark.parametrize("backend", ["auto", "onnx"])
def test_open_height_and_width_are_those_of_the_data(backend: str) -> None:
    model = onnx.parser.parse_model(OPEN)
    explainer = lrp.Explainer(model, backend=backend)
    for sizes in ((3, 1, 4, 5), (2, 1, 7, 6), (1, 1, 4, 5)):
        x = np.random.default_rng(2).standard_normal(sizes).astype(np.float32)
        same(explainer(x), lrp.explain(model, x, backend="numpy"))
    assert explainer.engine.name == "onnx"


# How exporters write the batch into shape arithmetic: sizes of a Resize, whole slices of the first axis, tiles of one
BATCH_ARITHMETIC = {
    "sizes": """s = Shape(r)  n = Slice(s, zero, one)  c = Slice(s, one, two)  z = Concat<axis=0>(n, c, hw)
        u = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(r, , , z)""",
    "slice": "u = Slice(r, begin, end, axes)",
    "tile": "u = Tile(r, times)",
}


@pytest.mark.parametrize("what", BATCH_ARITHMETIC)
def test_the_number_of_samples_in_shape_arithmetic_stays_open(what: str) -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]> net (float[N, 1, 5, 5] x) => (float[N, 3] y) <
            float[3, 1, 1, 1] a = {1, -2, 0.5}, int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2},
            int64[2] hw = {7, 4}, int64[2] begin = {0, 1}, int64[2] end = {1000000000, 3}, int64[2] axes = {0, 2},
            int64[4] times = {1, 1, 2, 1} >
        { h = Conv(x, a)  r = Relu(h)  """
        + BATCH_ARITHMETIC[what]
        + " g = GlobalAveragePool(u)  y = Flatten(g) }"
    )
    x = np.random.default_rng(2).standard_normal((3, 1, 5, 5)).astype(np.float32)
    same(lrp.Explainer(model, backend="onnx")(x), lrp.explain(model, x, backend="numpy"))


@pytest.mark.parametrize("model", ["mnist_cnn", "mnist_resnet"])
def test_verification_notices_a_wrong_rewriting(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx_lrp.model.canonizers import affine

    original = affine._batch_norm
    monkeypatch.setattr(affine, "_batch_norm", lambda *a: (lambda s: (s[0] * 1.1, s[1]))(original(*a)))
    path = MODELS / f"{model}.onnx"
    merges = any(node.op_type == "BatchNormalization" for node in onnx.load(path).graph.node)
    if merges:
        with pytest.raises(lrp.VerificationError, match="verify=False"):
            lrp.explain(path, X, backend="onnx")
    else:
        lrp.explain(path, X, backend="onnx")
    lrp.explain(path, X, backend="onnx", verify=False)


def test_relevance_that_overflows_is_an_error() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[N, 2] x) => (float[N, 1] y) <float[2, 1] W = {3e38, 3e38}> { y = MatMul(x, W) }
    """)
    with pytest.raises(lrp.NumericalError, match="float64"):
        lrp.explain(model, np.full((1, 2), 3, np.float32), composite="epsilon", backend="onnx", verify=False)


def test_float16_is_explained_in_float32() -> None:
    """Else activations would be rounded to 16 bits wherever the runtime's optimisations leave a cast."""
    model = onnx.load(RESNET)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float16), tensor.name))
    x = X.astype(np.float16)
    made, expected = (explainer(x, 3) for explainer in both(model, "epsilon"))
    close(made.relevance, expected.relevance, 1e-4)
    close(made.output, expected.output)
