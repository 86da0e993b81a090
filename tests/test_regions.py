"""Targets that are more than one element: slices, masks, weights, predicted areas, best boxes, measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import onnx_lrp as lrp
from onnx_lrp.cli.main import main
from onnx_lrp.errors import TargetError

RNG = np.random.default_rng(0)
MODEL = """<ir_version: 8, opset_import: ["" : 17]> g (float[n,2,3,3] x) => (float[n,4,3,3] y)
<float[4,2,1,1] w = {1.0, -1.0, 0.5, 2.0, -0.5, 0.25, 3.0, 1.0}> { y = Conv (x, w) }"""
W = np.array([[1.0, -1.0], [0.5, 2.0], [-0.5, 0.25], [3.0, 1.0]])
X = RNG.normal(size=(2, 2, 3, 3)).astype(np.float32)
Z = np.einsum("kc,nchw->nkhw", W, X)
MASK = RNG.random((4, 3, 3)) < 0.5
WEIGHTS = RNG.normal(size=(4, 3, 3))


def slice_of(*where: Any) -> np.ndarray:
    w = np.zeros(Z.shape)
    w[(slice(None), *where)] = 1
    return w


WINNERS = np.stack([(z.argmax(0) == 3) * np.eye(4)[3][:, None, None] for z in Z])
BEST = np.zeros(Z.shape)
for n, z in enumerate(Z):
    BEST[(n, 2, *np.unravel_index(z[2].argmax(), (3, 3)))] = 1
REGIONS = {
    "slices": ((1, slice(None), slice(0, 2)), slice_of(1, slice(None), slice(0, 2))),
    "ellipsis": (lrp.Region((3, ...)), slice_of(3)),
    "mask": (lrp.Region(MASK), np.stack([MASK, MASK])),
    "weights": (lrp.Region(WEIGHTS), np.stack([WEIGHTS, WEIGHTS])),
    "predicted": (lrp.Region.predicted(3), WINNERS),
    "best": (lrp.Region.best(2, axis=0), BEST),
    "dot": (lrp.Region.toward(WEIGHTS, "dot"), np.stack([WEIGHTS, WEIGHTS])),
}


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
@pytest.mark.parametrize("seed", ["logit", "one"])
@pytest.mark.parametrize("name", REGIONS)
def test_a_weighted_sum_is_explained(name: str, seed: str, backend: str) -> None:
    target, w = REGIONS[name]
    explainer = lrp.Explainer(onnx.parser.parse_model(MODEL), "epsilon:epsilon=1e-9", backend=backend)
    found = explainer(X, target, seed=seed)
    over = w if seed == "logit" else w / Z
    np.testing.assert_allclose(found.inputs["x"], X * np.einsum("kc,nkhw->nchw", W, over), rtol=2e-4, atol=1e-5)
    np.testing.assert_allclose(found.conservation.target, (w * (Z if seed == "logit" else 1)).sum((1, 2, 3)), rtol=1e-4)


@pytest.mark.parametrize("measure", ["cosine", "distance"])
def test_a_measure_is_linearised(measure: str) -> None:
    """The gradient is the difference that a small step makes."""
    v, step = RNG.normal(size=(4, 3, 3)), 1e-6

    def of(z: np.ndarray) -> float:
        if measure == "distance":
            return -float(np.linalg.norm(z - v))
        return float((z * v).sum() / np.linalg.norm(z) / np.linalg.norm(v))

    (gradient,) = lrp.Region.toward(v, measure).weights(Z[:1])
    for _ in range(5):
        d = RNG.normal(size=v.shape)
        found = (of(Z[0] + step * d) - of(Z[0] - step * d)) / (2 * step)
        np.testing.assert_allclose((gradient * d).sum(), found, rtol=1e-5, atol=1e-8)


def test_several_of_which_one_is_a_region() -> None:
    explainer = lrp.Explainer(onnx.parser.parse_model(MODEL), "epsilon:epsilon=1e-9", backend="numpy")
    one, region = explainer.several(X, [5, lrp.Region((0, 1, 2))])
    np.testing.assert_allclose(one.inputs["x"], region.inputs["x"])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ((4, slice(None)), "does not fit an output of shape"),
        ((slice(0, 9),), "does not fit"),
        (lrp.Region(np.zeros((4, 3, 3))), "is empty"),
        (lrp.Region(np.ones((5, 3, 3))), "does not fit"),
        (lrp.Region.predicted(7), "does not fit"),
        (lrp.Region(np.full((4, 3, 3), np.nan)), "does not fit"),
    ],
)
def test_what_does_not_fit(target: Any, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        lrp.Explainer(onnx.parser.parse_model(MODEL), backend="numpy")(X, target)


def test_a_region_and_an_array_as_seed() -> None:
    with pytest.raises(TargetError, match="not with an array"):
        lrp.Explainer(onnx.parser.parse_model(MODEL))(X, lrp.Region(MASK), seed=np.ones(Z.shape, np.float32))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(onnx.parser.parse_model(MODEL), "net.onnx")
    np.save("x.npy", X[:1])
    np.save("mask.npy", MASK)
    text = MODEL.replace("float[n,4,3,3] y", "float[n,k] y").replace("{ y = Conv (x, w) }", "")
    head = "{ c = Conv (x, w) p = GlobalAveragePool (c) f = Flatten (p) y = Softmax (f) }"
    onnx.save(onnx.parser.parse_model(text + head), "classes.onnx")
    Path("labels.txt").write_text("cat\ndog\ndog\ntabby\n")
    return tmp_path


@pytest.mark.parametrize(
    ("target", "said", "weights"),
    [
        ("1,:,0:2", "region 1,:,0:2, ", REGIONS["slices"][1]),
        ("mask.npy", "region mask of shape (4, 3, 3), ", REGIONS["mask"][1]),
    ],
)
def test_the_command_takes_regions(
    target: str, said: str, weights: np.ndarray, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["explain", "net.onnx", "x.npy", "--no-heatmap", "--target", target, "--save-relevance", "r.npz"]
    assert main([*command, "--composite", "epsilon:epsilon=1e-9"]) == 0
    assert said in capsys.readouterr().out
    wanted = X[:1] * np.einsum("kc,nkhw->nchw", W, weights[:1])
    np.testing.assert_allclose(np.load("r.npz")["relevance::x"], wanted, rtol=2e-4, atol=1e-5)


def test_the_command_takes_labels(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["explain", "classes.onnx", "x.npy", "--no-heatmap"]
    assert main([*command, "--labels", "labels.txt", "--target", "tabby"]) == 0
    printed = capsys.readouterr().out
    z = Z[0].mean((1, 2))
    share = np.exp(z[3]) / np.exp(z).sum()
    assert f"explained: 3 (tabby), value {z[3]:.6g}"[:30] in printed
    assert f"probability {share:.4g}" in printed
    for given, message in (("dog", "classes 1, 2 share the label 'dog'"), ("cow", "no class has the label 'cow'")):
        assert main([*command, "--labels", "labels.txt", "--target", given]) == 2
        assert message in capsys.readouterr().err
    assert main([*command, "--target", "cow"]) == 2
    assert "--labels FILE" in capsys.readouterr().err
