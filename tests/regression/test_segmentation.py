"""Segmentation nets by both of torch's exporters: every size is computed at run time, every upsampling interpolates."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from reference import EXPORTER_WARNINGS
from torch import Tensor, nn
from torch.nn import functional

import onnx_lrp as lrp


def block(inputs: int, outputs: int, kernel: int = 3, dilation: int = 1, stride: int = 1) -> nn.Sequential:
    """Convolution, BatchNorm, ReLU."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def upsampled(x: Tensor, like: Tensor, aligned: bool = False) -> Tensor:
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=aligned)


class Fcn(nn.Module):
    """Long et al. (2015): scores of two depths, one upsampled by a transposed convolution and cropped, added."""

    def __init__(self) -> None:
        super().__init__()
        self.shallow = nn.Sequential(block(3, 6), nn.MaxPool2d(2, ceil_mode=True), block(6, 8), nn.MaxPool2d(2))
        self.deep = nn.Sequential(block(8, 12), nn.MaxPool2d(2), block(12, 12), nn.Dropout2d())
        self.score, self.beside = nn.Conv2d(12, 5, 1), nn.Conv2d(8, 5, 1)
        self.up = nn.ConvTranspose2d(5, 5, 4, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        shallow = self.shallow(x)
        grown = self.up(self.score(self.deep(shallow)))
        beside = self.beside(shallow)
        summed = beside + grown[:, :, 1 : 1 + beside.shape[2], 1 : 1 + beside.shape[3]]
        return upsampled(summed, x)


class DeepLab(nn.Module):
    """DeepLabV3 (Chen et al. 2017): dilated convolutions beside each other and a pooled picture."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(block(3, 8, stride=2), block(8, 8))
        self.branches = nn.ModuleList([block(8, 6, 1), *(block(8, 6, 3, rate) for rate in (1, 2, 3))])
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), block(8, 6, 1))
        self.head = nn.Sequential(block(30, 8, 1), nn.Dropout(), block(8, 8), nn.Conv2d(8, 5, 1))

    def forward(self, x: Tensor) -> Tensor:
        body = self.body(x)
        parts = [branch(body) for branch in self.branches] + [upsampled(self.pooled(body), body)]
        return upsampled(self.head(torch.cat(parts, 1)), x)


class Unet(nn.Module):
    """U-Net (Ronneberger et al. 2015), upsampled bilinearly and padded to what it is joined with."""

    def __init__(self) -> None:
        super().__init__()
        widths = (4, 6, 8)
        self.down = nn.ModuleList([block(a, b) for a, b in zip((3, *widths), widths)])
        self.up = nn.ModuleList([block(14, 6), block(10, 4)])
        self.grow = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.head = nn.Conv2d(4, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for stage in self.down:
            x = stage(x)
            kept.append(x)
            x = functional.max_pool2d(x, 2)
        x = kept.pop()
        for stage in self.up:
            grown, beside = self.grow(x), kept.pop()
            rows, columns = beside.shape[2] - grown.shape[2], beside.shape[3] - grown.shape[3]
            grown = functional.pad(grown, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
            x = stage(torch.cat([beside, grown], 1))
        return self.head(x)


class Psp(nn.Module):
    """PSPNet (Zhao et al. 2017): pooled to several grids, each upsampled and joined."""

    def __init__(self, grids: Sequence[int] = (1, 2, 3, 6)) -> None:
        super().__init__()
        self.body = nn.Sequential(block(3, 8, stride=2), block(8, 8, stride=2))
        self.pools = nn.ModuleList([nn.Sequential(nn.AdaptiveAvgPool2d(n), block(8, 2, 1)) for n in grids])
        self.head = nn.Sequential(block(8 + 2 * len(grids), 8), nn.Dropout2d(), nn.Conv2d(8, 5, 1))

    def forward(self, x: Tensor) -> Tensor:
        body = self.body(x)
        pooled = [upsampled(pool(body), body, aligned=True) for pool in self.pools]
        return upsampled(self.head(torch.cat([body, *pooled], 1)), x, aligned=True)


NETS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "fcn": (Fcn, 25),
    "deeplab": (DeepLab, 20),
    "unet": (Unet, 22),
    "psp": (Psp, 24),
}


def trained(name: str) -> tuple[nn.Module, Tensor]:
    """The net in double precision with BatchNorm statistics of a real pass, and two pictures."""
    torch.manual_seed(0)
    make, side = NETS[name]
    net = make().double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            module.eps = 2.0**-17  # exact in ONNX, which keeps attributes as float32
    x = torch.randn(4, 3, side, side, dtype=torch.double)
    net(x)
    return net.eval(), x[:2]


def exported(net: nn.Module, x: Tensor, path: Path, dynamo: bool, sizes: bool) -> Path:
    """With an open batch, and open height and width if ``sizes``."""
    axes = {0: "batch", **({2: "height", 3: "width"} if sizes else {})}
    with warnings.catch_warnings():
        for message, category in EXPORTER_WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        if dynamo:
            shapes = (dict.fromkeys(axes, torch.export.Dim.DYNAMIC),)
            torch.onnx.export(
                net, (x,), path, dynamo=True, dynamic_shapes=shapes, input_names=["x"], verbose=False, opset_version=18
            )
        else:
            torch.onnx.export(
                net, (x,), path, dynamo=False, input_names=["x"], dynamic_axes={"x": axes}, opset_version=17
            )
    return path


def gradient_x_input(net: nn.Module, x: Tensor, index: int) -> np.ndarray:
    """Which LRP-0 is, for a ReLU net."""
    x = x.clone().requires_grad_()
    net(x).flatten(1)[:, index].sum().backward()
    assert x.grad is not None
    return (x.grad * x).detach().numpy()


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [False, True], ids=["sizes fixed", "sizes open"])
@pytest.mark.parametrize("dynamo", [False, True], ids=["torchscript", "dynamo"])
@pytest.mark.parametrize("name", NETS)
def test_is_checked_and_explained_like_the_gradient(name: str, dynamo: bool, sizes: bool, tmp_path: Path) -> None:
    if name == "psp" and sizes:
        pytest.skip("pooling to a grid of open sizes is not exported")
    net, x = trained(name)
    path = exported(net, x, tmp_path / "net.onnx", dynamo, sizes)
    assert lrp.check(path).supported
    index = 2 * x.shape[-1] ** 2 + 5 * x.shape[-1] + 7
    wanted = gradient_x_input(net, x, index)
    for backend, dtype, bound in (("numpy", "float64", 1e-9), ("torch", "float64", 1e-9), ("onnx", "float32", 1e-3)):
        found = lrp.Explainer(path, "epsilon:epsilon=0", backend=backend, dtype=dtype)(x.numpy(), index).relevance
        assert np.abs(found - wanted).max() <= bound * np.abs(wanted).max(), backend
