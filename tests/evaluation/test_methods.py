"""The methods that LRP is held against, each against a loop or against Torch's own gradients."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import onnx_lrp as lrp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tests/, for nets

from nets import SMALL, build, samples
from regression.reference import one_thread

from onnx_lrp import backends
from onnx_lrp.evaluation.averaging import COPIES, own_generator
from onnx_lrp.evaluation.grids import Grid, resized
from onnx_lrp.evaluation.methods import METHODS, method
from onnx_lrp.evaluation.predictor import predictor

TARGETS = np.array([0, 1, 2, 3, 1])


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def exported(net: nn.Module, x: Tensor, batch: bool = True) -> bytes:
    file = io.BytesIO()
    axes = {"x": {0: "n"}} if batch else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (x,), file, dynamo=False, input_names=["x"], dynamic_axes=axes)
    return file.getvalue()


@cache
def case(name: str) -> tuple[nn.Module, np.ndarray, lrp.Explainer]:
    """A net, inputs among which one is black and one is black in places, and its explainer."""
    net = build(SMALL[name], dtype=torch.float32)
    x = samples(SMALL[name], 5, 3, torch.float32)
    x[0], x[1, ..., :5] = 0, 0
    return net, x.numpy(), lrp.Explainer(exported(net, x))


def attributed(name: str, explainer: lrp.Explainer, x: np.ndarray, targets: np.ndarray = TARGETS) -> np.ndarray:
    found = method(name, explainer, predictor(explainer)).attribute(x, targets)
    assert found.shape == x.shape
    assert found.dtype == np.float64
    return found


def autograd(net: nn.Module, x: np.ndarray, targets: np.ndarray = TARGETS) -> np.ndarray:
    leaf = torch.tensor(x, requires_grad=True)
    picked = net(leaf).flatten(1)[range(len(x)), targets]
    return torch.autograd.grad(picked.sum(), leaf)[0].double().numpy()


def assert_near(found: np.ndarray, expected: np.ndarray, share: float = 2e-6) -> None:
    assert np.abs(found - expected).max() <= share * np.abs(expected).max()


@pytest.mark.parametrize("name", sorted(SMALL))
def test_gradients_are_torchs(name: str) -> None:
    """Also of ReLU6, max pooling that rounds up, residual sums, BatchNorm, in one to three dimensions, on black."""
    net, x, explainer = case(name)
    expected = autograd(net, x)
    assert_near(attributed("saliency", explainer, x), np.abs(expected))
    assert_near(attributed("gradient-input", explainer, x), x * expected)


@pytest.mark.parametrize(
    "node", ["Relu(u)", "LeakyRelu<alpha = 0.2>(u)", "PRelu(u, s)", "Abs(u)", "ThresholdedRelu<alpha = 0.5>(u)",
             "Clip(u, a, b)"],
)  # fmt: skip
@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_slopes_of_activations_by_differences(node: str, backend: str) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 17]> net (float[N, 4] x) => (float[N, 1] y)
    <float[4, 4] V = {{1, -2, 0.5, 1, -1, 2, 0.3, 0.7, 1, 1, -1, 0.4, 0.2, -0.6, 1, 1}}, float[1] s = {{-0.3}},
    float a = {{0}}, float b = {{1}}, float[4, 1] W = {{1, 2, -3, 4}}>
    {{ u = MatMul(x, V)  r = {node}  y = MatMul(r, W) }}"""
    explainer = lrp.Explainer(onnx.parser.parse_model(text), backend=backend, dtype="float64")
    predict = predictor(explainer)
    x, h = np.random.default_rng(1).normal(size=(9, 4)), 2.0**-6
    moved = [(predict(x + h * unit) - predict(x - h * unit))[:, 0] / (2 * h) for unit in np.eye(4)]
    found = method("saliency", explainer, predict).attribute(x, np.zeros(9, np.int64))
    off = np.abs(found - np.abs(np.stack(moved, 1))).max(1) > 1e-3
    assert off.sum() <= 2  # where a kink lies between the two


@pytest.mark.parametrize("name", ["vgg_bn", "resnet", "squeezenet"])
def test_gradient_times_input_is_lrp_0(name: str) -> None:
    _, x, explainer = case(name)
    zero = lrp.Composite("zero", (), lrp.Zero())
    source = explainer._setup.model
    relevance = lrp.explain(source, x[2:], TARGETS[2:], composite=zero, backend="torch", dtype="float64").relevance
    assert_near(attributed("gradient-input", explainer, x[2:], TARGETS[2:]), np.asarray(relevance), 1e-5)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.query, self.key, self.value = nn.LayerNorm(6), *(nn.Linear(6, 6) for _ in range(3))
        self.end = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        weights = torch.softmax(self.query(h) @ self.key(h).transpose(1, 2) / 6**0.5, -1)
        return self.end(functional.gelu(x + weights @ self.value(h)).mean(1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.end = nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.lstm(x)[0][:, -1])


def smooth() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 2), nn.ReLU()),
        *(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, 4)),
    )


@pytest.mark.parametrize(
    ("make", "shape", "options"),
    [
        (smooth, (1, 8, 8), {"pass_ops": "Tanh"}),
        (Attention, (5, 6), {"profile": "attnlrp"}),
        (Recurrent, (7, 4), {}),
        (lambda: nn.Sequential(nn.Linear(8, 6), nn.Hardswish(), nn.Linear(6, 4)), (8,), {"profile": "attnlrp"}),
    ],
    ids=["tanh", "attention", "lstm", "hardswish"],
)
@pytest.mark.parametrize("backend", ["auto", "numpy"])
def test_what_lrp_takes_for_constant_is_differentiated(make, shape, options, backend) -> None:  # type: ignore[no-untyped-def]
    """Here LRP-0 is not the gradient, so that Torch differentiates our forward pass."""
    torch.manual_seed(0)
    net, x = make().eval(), torch.randn(5, *shape)
    explainer = lrp.Explainer(exported(net, x), backend=backend, **options)
    assert_near(attributed("saliency", explainer, x.numpy()), np.abs(autograd(net, x.numpy())))


def test_without_torch_numpy_walks_and_smooth_models_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x, _ = case("vgg_bn")
    tanh = exported(smooth().eval(), torch.randn(5, 1, 8, 8))
    monkeypatch.setattr(backends, "_installed", lambda: False)
    explainer = lrp.Explainer(exported(net, torch.tensor(x)))
    assert_near(attributed("saliency", explainer, x), np.abs(autograd(net, x)))
    explainer = lrp.Explainer(tanh, pass_ops="Tanh")
    with pytest.raises(lrp.InputError, match=r"Tanh\) is not linear in pieces.*pip install 'onnx_lrp\[torch\]'"):
        method("saliency", explainer, predictor(explainer))


def test_integrated_gradients_are_complete() -> None:
    net, x, explainer = case("vgg")
    predict = predictor(explainer)
    found = attributed("integrated-gradients", explainer, x)
    gains = (predict(x) - predict(np.zeros_like(x)))[range(5), TARGETS]
    assert np.abs(found.sum((1, 2, 3)) - gains).max() < 0.05 * np.abs(gains).max()
    slow = np.zeros(x.shape)
    for i in range(32):
        slow += autograd(net, ((i + 0.5) / 32 * x).astype(np.float32)) / 32
    assert_near(found, x * slow, 1e-5)


def test_the_path_may_begin_elsewhere() -> None:
    _, x, explainer = case("dense")
    predict, baseline = predictor(explainer), np.linspace(-1, 1, 20).astype(np.float32)
    path = method("integrated-gradients", explainer, predict, baseline=baseline)
    gains = (predict(x) - predict(baseline[None]))[range(5), TARGETS]
    assert np.abs(path.attribute(x, TARGETS).sum(1) - gains).max() < 0.05 * np.abs(gains).max()
    with pytest.raises(lrp.InputError, match=r"a baseline of shape \(3,\) does not fit a sample of \(20,\)"):
        method("integrated-gradients", explainer, predict, baseline=np.zeros(3)).attribute(x, TARGETS)


def test_smoothgrad_is_the_mean_over_noisy_copies() -> None:
    net, x, explainer = case("conv1d")
    found = attributed("smoothgrad", explainer, x)
    for sample, target, got in zip(x, TARGETS, found):
        noise = own_generator(sample, 0).normal(size=(COPIES, *sample.shape))
        copies = (sample + 0.15 * (sample.max() - sample.min()) * noise).astype(np.float32)
        assert_near(got, autograd(net, copies, np.full(COPIES, target)).mean(0), 1e-5)
    assert np.array_equal(attributed("smoothgrad", explainer, x[3:], TARGETS[3:]), found[3:])


@pytest.mark.parametrize(
    ("name", "inner"), [("vgg", "features.6"), ("resnet", "blocks"), ("squeezenet", "classifier.1")]
)
def test_grad_cam_by_hooks(name: str, inner: str) -> None:
    """The last convolution's ReLU; of a residual block the one behind the sum."""
    net, x, explainer = case(name)
    kept: list[Tensor] = []
    handle = net.get_submodule(inner).register_forward_hook(lambda _, __, out: kept.append(out.requires_grad_()))
    try:
        picked = net(torch.tensor(x))[range(5), TARGETS].sum()
    finally:
        handle.remove()
    slopes = torch.autograd.grad(picked, kept[0])[0]
    cam = (slopes.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True).clamp(min=0)
    large = functional.interpolate(cam.detach(), x.shape[2:], mode="bilinear").expand(x.shape)
    assert large.abs().max() > 0
    assert_near(attributed("grad-cam", explainer, x), large.double().numpy(), 1e-5)


@pytest.mark.parametrize(("old", "new"), [(3, 8), (7, 4), (1, 5), (4, 4)])
def test_resizing_is_torchs(old: int, new: int) -> None:
    a = torch.randn(2, 3, old, dtype=torch.float64)
    assert np.allclose(resized(a.numpy(), 2, new), functional.interpolate(a, new, mode="linear").numpy())


def test_occlusion_by_loops() -> None:
    net, x, explainer = case("mobilenet")  # 16 x 16: patches of 2 x 2, each one further
    total, covers = np.zeros(x.shape), np.zeros(x.shape)
    for i, j in product(range(15), range(15)):
        changed = x.copy()
        for n, c in product(range(5), range(3)):
            changed[n, c, i : i + 2, j : j + 2] = x[n, c].mean()
        with torch.no_grad():
            fall = (net(torch.tensor(x)) - net(torch.tensor(changed)))[range(5), TARGETS].numpy()
        total[:, :, i : i + 2, j : j + 2] += fall[:, None, None, None]
        covers[:, :, i : i + 2, j : j + 2] += 1
    assert_near(attributed("occlusion", explainer, x), total / covers, 1e-4)


def test_occlusion_of_a_feature_is_by_its_mean_over_the_inputs() -> None:
    net, x, explainer = case("dense")
    expected = np.zeros(x.shape)
    with torch.no_grad():
        for n, i in product(range(5), range(20)):
            changed = x[n].copy()
            changed[i] = x[:, i].mean()
            z = net(torch.tensor(np.stack([x[n], changed])))[:, TARGETS[n]]
            expected[n, i] = float(z[0] - z[1])
    assert_near(attributed("occlusion", explainer, x), expected, 1e-5)
    with pytest.raises(lrp.InputError, match="by its mean over the inputs; give more than one"):
        attributed("occlusion", explainer, x[:1], TARGETS[:1])


def test_random_numbers_belong_to_the_sample_the_target_and_the_seed() -> None:
    _, x, explainer = case("dense")
    predict = predictor(explainer)
    first, other = (method("random", explainer, predict, seed).attribute(x, TARGETS) for seed in (0, 1))
    assert np.array_equal(method("random", explainer, predict).attribute(x[2:], TARGETS[2:]), first[2:])
    assert not np.any(first == other)
    assert not np.any(first == method("random", explainer, predict).attribute(x, TARGETS + 1))


@pytest.mark.parametrize(
    ("shape", "grid"),
    [
        ((2, 3, 12, 12), Grid((2, 3), 1)),
        ((2, 12, 12, 3), Grid((1, 2), 3)),
        ((2, 3, 12, 3), Grid((2, 3), 1)),
        ((2, 12, 12), Grid((1, 2), None)),
        ((2, 12), None),
    ],
)
def test_axes_of_a_space(shape: tuple[int, ...], grid: Grid | None) -> None:
    assert Grid.of(case("vgg")[2].prepared, shape) == grid


def test_channels_may_be_last() -> None:
    """A net that transposes first: every method gives what it gives for the net behind, transposed."""

    class ChannelsLast(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return net(x.permute(0, 3, 1, 2))

    net, x, explainer = case("vgg")
    moved = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    other = lrp.Explainer(exported(ChannelsLast(), torch.tensor(moved)))
    for name in ("saliency", "grad-cam", "occlusion"):
        assert_near(attributed(name, other, moved), attributed(name, explainer, x).transpose(0, 2, 3, 1), 1e-5)


def test_a_model_of_one_sample_takes_many() -> None:
    net, x, explainer = case("vgg")
    one = lrp.Explainer(exported(net, torch.tensor(x[:1]), batch=False))
    assert np.allclose(predictor(one)(x), predictor(explainer)(x), atol=1e-5)
    for name in ("saliency", "grad-cam", "occlusion"):
        assert_near(attributed(name, one, x), attributed(name, explainer, x), 1e-5)


def test_the_answer_is_the_logits_in_parts() -> None:
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3), nn.Softmax(-1))
    x = np.random.default_rng(0).normal(size=(700, 6)).astype(np.float32)
    explainer = lrp.Explainer(exported(net, torch.tensor(x)))
    found = predictor(explainer)(x)
    assert found.dtype == np.float64
    with torch.no_grad():
        assert np.allclose(found, net[:3](torch.tensor(x)).numpy(), atol=1e-5)
    assert_near(
        attributed("saliency", explainer, x, np.arange(700) % 3), np.abs(autograd(net[:3], x, np.arange(700) % 3))
    )


def graph(text: str) -> lrp.Explainer:
    return lrp.Explainer(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}'))


BYTES = """net (uint8[N, 4] x) => (float[N, 2] y)
<float[4, 2] W = {1, 2, 3, 4, 5, 6, 7, 8}> { f = Cast<to = 1>(x)  y = MatMul(f, W) }"""
QUANTISED = """net (float[N, 4] x) => (float[N, 2] y)
<float[4, 2] W = {1, 2, 3, 4, 5, 6, 7, 8}, float s = {0.1}, uint8 z = {0}>
{ q = QuantizeLinear(x, s, z)  d = DequantizeLinear(q, s, z)  y = MatMul(d, W) }"""
PAIR = "net (float[N, 2] a, float[N, 2] b) => (float[N, 2] y) { y = Add(a, b) }"


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (BYTES, "saliency", "the model has no gradient: its input is uint8; occlusion and random need none"),
        (BYTES, "occlusion", "ids have none"),
        (QUANTISED, "integrated-gradients", r"no gradient: node .* \(QuantizeLinear\) rounds"),
        (PAIR, "saliency", r"has 2 inputs \('a', 'b'\), and only models with one .*--fixed b=FILE.npy"),
    ],
)
def test_what_has_no_meaning_is_refused(text: str, name: str, message: str) -> None:
    explainer = graph(text)
    x = np.ones((2, 4), np.uint8)
    with pytest.raises(lrp.InputError, match=message):
        method(name, explainer, lambda x: np.zeros((len(x), 2))).attribute(x, np.zeros(2, np.int64))


def test_grad_cam_needs_a_map() -> None:
    explainer = case("mlp")[2]
    with pytest.raises(lrp.InputError, match="a convolution whose map has more than one place; there is none"):
        method("grad-cam", explainer, predictor(explainer))


def test_near_misses() -> None:
    explainer = case("mlp")[2]
    with pytest.raises(lrp.CompositeError, match="no method 'gradcam'; did you mean grad-cam"):
        method("gradcam", explainer, predictor(explainer))
    assert [method(name, explainer, predictor(explainer)).name for name in METHODS if name != "grad-cam"] == [
        name for name in METHODS if name != "grad-cam"
    ]


def test_a_wrong_target_is_refused() -> None:
    _, x, explainer = case("mlp")
    with pytest.raises(lrp.TargetError, match="out of range"):
        attributed("saliency", explainer, x, np.full(5, 99))
