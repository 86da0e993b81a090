"""Relevances by other people's libraries, called live: zennit and captum. Nothing of theirs is copied.

zennit imports torchvision at start, but only for two class names: where torchvision is missing or broken, a stand-in
serves.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tests/, for nets

from nets import NORMS, WEIGHTED, Add, Recipe, samples

EXPORTER_WARNINGS = (
    ("You are using the legacy TorchScript-based ONNX export", DeprecationWarning),
    ("The feature will be removed", DeprecationWarning),
    (r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning),
)


def torchvision_works() -> bool:
    """Whether torchvision is there and fits the torch that is: a build for another one fails as it is imported."""
    if importlib.util.find_spec("torchvision") is None:
        return False
    try:
        importlib.import_module("torchvision")
    except Exception:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        return False
    return True


@contextmanager
def torchvision_stand_in() -> Iterator[None]:
    """Where torchvision is missing, two empty classes in the place where zennit, as it is imported, looks for them.

    It goes again at the end: others ask whether torchvision is there, and should hear the truth.
    """
    if torchvision_works():
        yield
        return
    names = ("torchvision", "torchvision.models", "torchvision.models.resnet")
    vision, models, resnet = modules = [types.ModuleType(name) for name in names]
    vision.models, models.resnet = models, resnet  # type: ignore[attr-defined]
    for block in ("BasicBlock", "Bottleneck"):
        setattr(resnet, block, type(block, (nn.Module,), {}))
    sys.modules.update(zip(names, modules))
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


@contextmanager
def one_thread() -> Iterator[None]:
    """Several threads on tensors as small as the tests' mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def export(net: nn.Module, recipe: Recipe, path: Path, *, dynamo: bool, opset: int, fold: bool = True) -> Path:
    """The net as an ONNX file with a dynamic batch, in the net's own precision.

    ``fold=False`` keeps BatchNorm as nodes of their own (TorchScript exporter only).
    """
    dtype = next(net.parameters()).dtype
    how: dict[str, Any] = {"input_names": ["input"], "output_names": ["logits"], "opset_version": opset}
    if dynamo:
        how |= {"dynamic_shapes": ({0: torch.export.Dim("batch")},), "verbose": False}
    else:
        mode = torch.onnx.TrainingMode.EVAL if fold else torch.onnx.TrainingMode.PRESERVE
        axes = {"input": {0: "batch"}, "logits": {0: "batch"}}
        how |= {"dynamic_axes": axes, "training": mode, "do_constant_folding": fold}
    with warnings.catch_warnings():
        for message, category in EXPORTER_WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        torch.onnx.export(net, (samples(recipe, 2, 0, dtype),), path, dynamo=dynamo, **how)
    return path


def seeded(output: Tensor, target: np.ndarray) -> Tensor:
    """The logit at the target, 0 elsewhere."""
    seed, rows = torch.zeros_like(output), torch.arange(len(output))
    seed[rows, torch.as_tensor(target)] = output.detach()[rows, torch.as_tensor(target)]
    return seed


def zennit_form(net: nn.Module) -> nn.Module:
    """A copy with BatchNorm merged by zennit and residual connections as zennit's Sum.

    zennit 0.5 keeps eps in a BatchNorm that it has merged, which leaves a factor 1/sqrt(1 + eps): set to 0 here.
    """
    from zennit.canonizers import SequentialMergeBatchNorm

    net = copy.deepcopy(net)
    for canonizer in SequentialMergeBatchNorm().apply(net):
        canonizer.batch_norm.eps = 0.0
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, Add):
                setattr(module, name, _stacked_add())
    return net.requires_grad_(False)


def _stacked_add() -> nn.Module:
    from zennit.layer import Sum

    class StackedAdd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sum = Sum()

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return self.sum(torch.stack((a, b), -1))

    return StackedAdd()


def zennit_everywhere(rule: Any, stabilizer: float = 1e-6) -> Any:
    """One rule on every layer with weights, zennit's usual ones elsewhere."""
    from zennit.composites import LayerMapComposite, layer_map_base
    from zennit.types import Linear

    return LayerMapComposite([*layer_map_base(stabilizer), (Linear, rule)])


def zennit_relevance(net: nn.Module, composite: Any, x: Tensor, target: np.ndarray) -> np.ndarray:
    """Relevance of the input, for a net in :func:`zennit_form`."""
    with composite.context(net) as hooked:
        x = x.clone().requires_grad_()
        output = hooked(x)
        (relevance,) = torch.autograd.grad(output, x, seeded(output, target))
    return relevance.detach().numpy()


def captum_form(net: nn.Module) -> nn.Module:
    """A copy with BatchNorm merged into the layer before it, by torch, and residual connections as captum's module."""
    from captum.attr._utils.custom_modules import Addition_Module

    net = copy.deepcopy(net)
    for parent in list(net.modules()):
        previous: tuple[str, nn.Module] | None = None
        for name, child in list(parent.named_children()):
            if isinstance(child, NORMS) and previous is not None and isinstance(previous[1], WEIGHTED):
                setattr(parent, previous[0], _fused(previous[1], child))
                setattr(parent, name, nn.Dropout(0.0))  # captum knows no Identity
            elif isinstance(child, Add):
                setattr(parent, name, Addition_Module())
            previous = name, child
    return net.eval()


def _fused(layer: nn.Module, norm: nn.Module) -> nn.Module:
    fuse = torch.nn.utils.fusion
    return (fuse.fuse_linear_bn_eval if isinstance(layer, nn.Linear) else fuse.fuse_conv_bn_eval)(layer, norm)


def captum_epsilon(net: nn.Module, x: Tensor, target: np.ndarray, epsilon: float) -> np.ndarray:
    """Relevance of the input by captum's epsilon rule, for a net in :func:`captum_form`.

    captum divides by z + epsilon at max pooling, too. There the rule gets a vanishing epsilon, so that the winner takes
    all of the relevance.
    """
    from captum.attr import LRP
    from captum.attr._utils.lrp_rules import EpsilonRule

    for module in net.modules():
        if not list(module.children()) and not isinstance(module, (nn.ReLU, nn.Dropout, nn.Tanh)):
            pooling = isinstance(module, (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d))
            module.rule = EpsilonRule(1e-30 if pooling else epsilon)  # captum takes the rules away after each call
    relevance = LRP(net).attribute(x.clone().requires_grad_(), target=torch.as_tensor(target))
    return relevance.detach().numpy()


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """‖found − expected‖ / ‖expected‖."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
