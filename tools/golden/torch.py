"""torch: both of its exporters at many opsets; relevance by zennit and captum, in float64.

The networks of the tests (tests/nets.py) and how zennit and captum are called there (tests/regression/reference.py)
serve here, too. Weights are rounded to float32 first, so that a file holds the very network that was explained, unless
the exporter merges BatchNorm in float32.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from . import network as net
from .network import ROOT, Layer, Task
from .record import EXACT, FOLDED, Golden, Model, Reference, named

sys.path.insert(0, str(ROOT / "tests" / "regression"))

import reference
from nets import NORMS, SMALL, Recipe, build, samples

with reference.torchvision_stand_in():
    import zennit  # noqa: F401
from zennit import composites, rules

NETS = {
    "vgg": "two stages of 3x3 convolutions with max pooling, two dense layers",
    "bottlenecks": "a residual CNN: strided stem, bottleneck blocks, BatchNorm behind each convolution",
    "mlp": "dense layers, one with BatchNorm, one without bias, ReLU and LeakyReLU",
}
CAPTUM_TAKES = ("vgg", "bottlenecks")  # no LeakyReLU
TORCHSCRIPT, DYNAMO = (9, 11, 13, 17, 18, 20), (18, 20, 25)  # 25 is the newest that the exporter writes itself
Export = tuple[str, dict[str, Any], "torch.dtype", bool]  # file name, how, precision, whether BatchNorm is merged
TOOLS = named("torch", "onnxscript")


def exports() -> Iterator[Export]:
    """Every way to export."""
    single, double = torch.float32, torch.float64
    for opset in TORCHSCRIPT:
        yield f"torchscript-{opset}.onnx", {"dynamo": False, "opset": opset}, single, True
    for opset in DYNAMO:
        yield f"dynamo-{opset}.onnx", {"dynamo": True, "opset": opset}, single, True
    yield "torchscript-17-unfolded.onnx", {"dynamo": False, "opset": 17, "fold": False}, single, False
    yield "torchscript-17-float64.onnx", {"dynamo": False, "opset": 17}, double, True
    yield "dynamo-18-float64.onnx", {"dynamo": True, "opset": 18}, double, True


def export(golden: Golden, model: nn.Module, recipe: Recipe, ways: list[Export]) -> None:
    """Write the files."""
    norms = any(isinstance(module, NORMS) for module in model.modules())
    for file, how, dtype, merges in ways:
        reference.export(model.to(dtype), recipe, golden.path(file), **how)
        exporter = f"torch.onnx.export(dynamo={how['dynamo']}) ({TOOLS})"
        tolerance = FOLDED if norms and merges and dtype == torch.float32 else EXACT
        golden.add_model(Model(file, exporter, tolerance=tolerance))
    model.double()


def zennit_composites(low: float, high: float, axes: int) -> dict[str, Any]:
    """zennit's form of each composite, by the name that onnx_lrp has for it."""
    bounds = (torch.full((1,) * (axes + 1), bound, dtype=torch.float64) for bound in (low, high))
    return {
        "epsilon": reference.zennit_everywhere(rules.Epsilon()),
        "gamma": reference.zennit_everywhere(rules.Gamma()),
        "epsilon_plus": composites.EpsilonPlus(),
        "epsilon_plus_flat": composites.EpsilonPlusFlat(),
        "epsilon_alpha2_beta1": composites.EpsilonAlpha2Beta1(),
        f"epsilon_gamma_box:low={low:g},high={high:g}": composites.EpsilonGammaBox(*bounds),
    }


def explain(golden: Golden, model: nn.Module, low: float, high: float, captum: bool) -> None:
    """Relevance by zennit, and by captum where it can."""
    x, form = torch.tensor(golden.inputs), reference.zennit_form(model)
    for name, composite in zennit_composites(low, high, x.ndim - 1).items():
        relevance = reference.zennit_relevance(form, composite, x, golden.target)
        golden.add(Reference(named("zennit", "torch"), name), relevance)
    if captum:
        relevance = reference.captum_epsilon(reference.captum_form(model), x, golden.target, 1e-6)
        golden.add(Reference(named("captum", "torch"), "epsilon"), relevance)


def small(name: str) -> None:
    """A golden of one of the tests' networks."""
    recipe = SMALL[name]
    model = build(recipe).float().double()
    x, target = samples(recipe, 2, seed=2), np.array([0, 3])
    golden = Golden(f"torch-{name}", NETS[name], x.numpy(), model(x).numpy(), target)
    export(golden, model, recipe, list(exports()))
    explain(golden, model, -4.0, 4.0, name in CAPTUM_TAKES)
    golden.save()


class Digits(nn.Module):
    """The network before and after its flattening, which is a function, because captum has no rule for nn.Flatten."""

    def __init__(self, layers: net.Network) -> None:
        super().__init__()
        at = next(i for i, layer in enumerate(layers) if isinstance(layer, net.Flatten))
        self.features = nn.Sequential(*map(_module, layers[:at]))
        self.classifier = nn.Sequential(*map(_module, layers[at + 1 :]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The logits."""
        return self.classifier(self.features(x).flatten(1))


def digits(task: Task) -> None:
    """The golden of the network that every framework has."""
    model = Digits(task.network).eval().requires_grad_(False)
    logits = model(torch.tensor(task.inputs)).numpy()
    golden = Golden("torch-digits", task.description, task.inputs, logits, task.target)
    ways = [way for way in exports() if way[0] in ("torchscript-17.onnx", "dynamo-18.onnx")]
    export(golden, model, Recipe(lambda: model, task.inputs.shape[1:]), ways)
    explain(golden, model, task.low, task.high, captum=True)
    golden.save()


def _module(layer: Layer) -> nn.Module:
    if isinstance(layer, net.Conv):
        return _set(nn.Conv2d(*layer.weight.shape[1::-1], layer.weight.shape[2:], layer.stride), layer)
    if isinstance(layer, net.Dense):
        return _set(nn.Linear(*layer.weight.shape[::-1]), layer)
    return nn.MaxPool2d(layer.size) if isinstance(layer, net.MaxPool) else nn.ReLU()


def _set(module: nn.Module, layer: net.Conv | net.Dense) -> nn.Module:
    module.weight, module.bias = nn.Parameter(torch.tensor(layer.weight)), nn.Parameter(torch.tensor(layer.bias))
    return module


def main() -> None:
    """Make all of torch's goldens."""
    torch.set_num_threads(1)
    for name in NETS:
        small(name)
    digits(net.digits())
