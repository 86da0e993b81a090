"""Every preset and rule that zennit has, on nets of many kinds, in double precision: ours must agree to 1e-9.

The nets are exported as they are tested, by both of torch's exporters: one folds BatchNorm, one keeps it, one is old.
Weights are float64 in the file, too: an exporter that folds float32 weights could not agree to 1e-9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnx_lrp as lrp

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import reference  # noqa: E402
from nets import SMALL, build, samples  # noqa: E402

with reference.torchvision_stand_in():
    pytest.importorskip("zennit")

from zennit import composites, rules  # noqa: E402

TOLERANCE = 1e-9
TARGETS = np.array([0, 3, 1])
LOW, HIGH = (-2.1, -2.0, -1.8), (2.2, 2.4, 2.6)
EXPORTERS: dict[str, dict[str, Any]] = {
    "dynamo-18": {"dynamo": True, "opset": 18},
    "torchscript-17-unfolded": {"dynamo": False, "opset": 17, "fold": False},
    "torchscript-11": {"dynamo": False, "opset": 11},
}
Exported = Callable[[str, str], Path]


def bound(values: tuple[float, ...], channels: int, axes: int) -> torch.Tensor:
    return torch.tensor(values[:channels], dtype=torch.float64).reshape(1, channels, *(1,) * axes)


def box(channels: int, axes: int, **settings: float) -> Any:
    low, high = (bound(values, channels, axes) for values in (LOW, HIGH))
    return composites.EpsilonGammaBox(low, high, **settings)


PRESETS: dict[str, Callable[[int, int], Any]] = {
    "epsilon": lambda *_: reference.zennit_everywhere(rules.Epsilon()),
    "epsilon:epsilon=0.1,stabilizer=0.01": lambda *_: reference.zennit_everywhere(rules.Epsilon(0.1), 0.01),
    "epsilon_plus": lambda *_: composites.EpsilonPlus(),
    "epsilon_plus:epsilon=0.1,stabilizer=0.01": lambda *_: composites.EpsilonPlus(0.1, 0.01),
    "epsilon_plus_flat": lambda *_: composites.EpsilonPlusFlat(),
    "epsilon_alpha2_beta1": lambda *_: composites.EpsilonAlpha2Beta1(),
    "epsilon_alpha2_beta1_flat": lambda *_: composites.EpsilonAlpha2Beta1Flat(),
    "epsilon_gamma_box:": box,
    "epsilon_gamma_box:gamma=0.5,epsilon=0.1,stabilizer=0.01,": lambda *shape: box(
        *shape, gamma=0.5, epsilon=0.1, stabilizer=0.01
    ),
}

# ours and zennit's, on every layer with weights
RULES: dict[str, tuple[lrp.Rule, Callable[[], Any]]] = {
    "epsilon": (lrp.Epsilon(0.25), lambda: rules.Epsilon(0.25)),
    "epsilon-no-bias": (lrp.Epsilon(0.25, bias="ignore"), lambda: rules.Epsilon(0.25, zero_params="bias")),
    "gamma": (lrp.Gamma(gamma=0.4), lambda: rules.Gamma(0.4)),
    "zplus": (lrp.ZPlus(), rules.ZPlus),
    "zplus-no-bias": (lrp.ZPlus(bias="ignore"), lambda: rules.ZPlus(zero_params="bias")),
    "alpha-beta": (lrp.AlphaBeta(), rules.AlphaBeta),
    "alpha3-beta2": (lrp.AlphaBeta(3.0, 2.0, epsilon=1e-3), lambda: rules.AlphaBeta(3.0, 2.0, 1e-3)),
    "wsquare": (lrp.WSquare(), lambda: rules.WSquare(zero_params="bias")),
    "wsquare-with-bias": (lrp.WSquare(square_bias=True), rules.WSquare),
    "flat": (lrp.Flat(), rules.Flat),
    "zbox": (lrp.ZBox(-3.0, 3.5), lambda: rules.ZBox(-3.0, 3.5)),
}
RULED_NETS = ("vgg", "vgg_bn", "resnet", "mobilenet", "conv1d", "conv3d", "conv_transpose", "mlp", "preactivation")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with reference.one_thread():
        yield


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Exports a net the first time that it is asked for."""
    folder = tmp_path_factory.mktemp("exported")

    @cache
    def make(name: str, exporter: str) -> Path:
        return reference.export(net(name), SMALL[name], folder / f"{name}-{exporter}.onnx", **EXPORTERS[exporter])

    return make


@cache
def net(name: str) -> torch.nn.Module:
    return build(SMALL[name])


@cache
def batch(name: str) -> torch.Tensor:
    return samples(SMALL[name], len(TARGETS), seed=2)


@cache
def expected(name: str, preset: str) -> np.ndarray:
    channels, *spatial = SMALL[name].shape
    composite = PRESETS[preset](min(channels, len(LOW)), len(spatial))
    return reference.zennit_relevance(reference.zennit_form(net(name)), composite, batch(name), TARGETS)


@cache
def expected_of_rule(name: str, rule: str) -> np.ndarray:
    composite = reference.zennit_everywhere(RULES[rule][1]())
    return reference.zennit_relevance(reference.zennit_form(net(name)), composite, batch(name), TARGETS)


def bounded(preset: str, name: str) -> str:
    """The preset with one bound per channel, where it takes bounds."""
    if not preset.startswith("epsilon_gamma_box"):
        return preset
    low, high = ("/".join(map(str, values[: SMALL[name].shape[0]])) for values in (LOW, HIGH))
    return f"{preset}low={low},high={high}"


def explain(path: Path, composite: str | lrp.Composite, name: str, backend: str, **options: Any) -> lrp.Explanation:
    explainer = lrp.Explainer(path, composite, backend=backend, dtype="float64", batchnorm="pass", **options)
    return explainer(batch(name).numpy(), TARGETS)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", SMALL)
def test_preset(name: str, exporter: str, preset: str, backend: str, exported: Exported) -> None:
    explanation = explain(exported(name, exporter), bounded(preset, name), name, backend)
    assert reference.distance(explanation.output, net(name)(batch(name)).numpy()) < TOLERANCE
    assert reference.distance(explanation.relevance, expected(name, preset)) < TOLERANCE


@pytest.mark.parametrize("facts", [True, False], ids=["facts", "no-facts"])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", RULED_NETS)
def test_rule_on_every_layer(name: str, rule: str, backend: str, facts: bool, exported: Exported) -> None:
    weighted = lrp.Selector(("Conv", "ConvTranspose", "Gemm", "MatMul"))
    composite = lrp.Composite("uniform", ((weighted, RULES[rule][0]),))
    explanation = explain(exported(name, "dynamo-18"), composite, name, backend, facts=facts)
    assert reference.distance(explanation.relevance, expected_of_rule(name, rule)) < TOLERANCE
