"""Our own torch nets: small ones for the regression tests, the well-known full-size shapes for the benchmarks.

Each net is defined once, with its widths as parameters. ``SMALL`` and ``FULL`` name the recipes; :func:`build` makes
one with seeded weights and with BatchNorm statistics that a real forward pass has left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
EPS = 2.0**-17  # BatchNorm's eps: about the usual 1e-5, and exact in ONNX, which keeps attributes as float32


class Add(nn.Module):
    """A residual connection as a module, so that other libraries can hook it."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class Vgg(nn.Module):
    """Stages of 3x3 convolutions, each ended by max pooling, then dense layers."""

    def __init__(
        self, stages: Sequence[Sequence[int]], dense: Sequence[int], classes: int, side: int, norm: bool
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 3
        for stage in stages:
            for outputs in stage:
                layers.append(nn.Conv2d(width, outputs, 3, padding=1))
                layers += [nn.BatchNorm2d(outputs)] * norm + [nn.ReLU()]
                width = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        width *= (side // 2 ** len(stages)) ** 2
        layers = []
        for outputs in dense:
            layers += [nn.Linear(width, outputs), nn.ReLU()]
            width = outputs
        self.classifier = nn.Sequential(*layers, nn.Linear(width, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))


class Residual(nn.Module):
    """A body beside a shortcut, which is a strided 1x1 convolution where the shape changes."""

    def __init__(self, body: list[nn.Module], shortcut: list[nn.Module], end: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = nn.Sequential(*body), nn.Sequential(*shortcut)
        self.add, self.end = Add(), end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.add(self.body(x), self.shortcut(x)))


def basic_block(inputs: int, width: int, stride: int) -> Residual:
    body = [*conv_bn(inputs, width, 3, stride), nn.ReLU(), *conv_bn(width, width, 3)]
    return Residual(body, _shortcut(inputs, width, stride), nn.ReLU())


def bottleneck(inputs: int, width: int, stride: int) -> Residual:
    body = [*conv_bn(inputs, width, 1), nn.ReLU(), *conv_bn(width, width, 3, stride), nn.ReLU()]
    return Residual([*body, *conv_bn(width, 4 * width, 1)], _shortcut(inputs, 4 * width, stride), nn.ReLU())


def _shortcut(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [] if inputs == outputs and stride == 1 else conv_bn(inputs, outputs, 1, stride)


class ResNet(nn.Module):
    """A strided stem with max pooling, stages of residual blocks, global average pooling."""

    def __init__(
        self, block: Callable[[int, int, int], Residual], depths: Sequence[int], width: int, stem: int, classes: int
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_bn(3, width, stem, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        blocks: list[nn.Module] = []
        expansion = 4 if block is bottleneck else 1
        inputs = width
        for stage, depth in enumerate(depths):
            for i in range(depth):
                blocks.append(block(inputs, width * 2**stage, 2 if stage and not i else 1))
                inputs = expansion * width * 2**stage
        self.blocks, self.pool = nn.Sequential(*blocks), nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.pool(self.blocks(self.stem(x))).flatten(1))


def inverted_residual(inputs: int, outputs: int, stride: int, expansion: int) -> nn.Module:
    width = inputs * expansion
    layers = [*conv_bn(inputs, width, 1), nn.ReLU6()] if expansion > 1 else []
    layers += [*conv_bn(width, width, 3, stride, groups=width), nn.ReLU6(), *conv_bn(width, outputs, 1)]
    residual = inputs == outputs and stride == 1
    return Residual(layers, [], nn.Identity()) if residual else nn.Sequential(*layers)


class MobileNet(nn.Module):
    """Inverted residuals with depthwise convolutions and ReLU6; ``stages`` are (expansion, width, depth, stride)."""

    def __init__(self, stem: int, stages: Sequence[tuple[int, int, int, int]], head: int, classes: int) -> None:
        super().__init__()
        layers, width = [*conv_bn(3, stem, 3, 2), nn.ReLU6()], stem
        for expansion, outputs, depth, stride in stages:
            for i in range(depth):
                layers.append(inverted_residual(width, outputs, 1 if i else stride, expansion))
                width = outputs
        layers += [*conv_bn(width, head, 1), nn.ReLU6()]
        self.features, self.pool = nn.Sequential(*layers), nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(head, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.pool(self.features(x)).flatten(1))


class Fire(nn.Module):
    """A 1x1 convolution that squeezes, and two that expand side by side."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(nn.Conv2d(inputs, squeeze, 1), nn.ReLU())
        self.small = nn.Sequential(nn.Conv2d(squeeze, expand, 1), nn.ReLU())
        self.large = nn.Sequential(nn.Conv2d(squeeze, expand, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        return torch.cat([self.small(x), self.large(x)], 1)


class SqueezeNet(nn.Module):
    """Fire modules (squeeze, expand) between max poolings that round up; the classes are averaged feature maps."""

    def __init__(self, stem: int, stages: Sequence[Sequence[tuple[int, int]]], classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, stem, 3, 2), nn.ReLU()]
        width = stem
        for stage in stages:
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            for squeeze, expand in stage:
                layers.append(Fire(width, squeeze, expand))
                width = 2 * expand
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Conv2d(width, classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x)).flatten(1)


class Sequential(nn.Sequential):
    """A chain whose result is flattened before its last layer (a functional flatten, which every library takes)."""

    def forward(self, x: Tensor) -> Tensor:
        *body, last = self
        for layer in body:
            x = layer(x)
        return last(x.flatten(1))


def conv1d_net() -> nn.Module:
    return Sequential(
        *(nn.Conv1d(2, 6, 5, stride=2, padding=2), nn.BatchNorm1d(6), nn.ReLU(), nn.AvgPool1d(2)),
        *(nn.Conv1d(6, 8, 3, dilation=2, groups=2), nn.ReLU(), nn.MaxPool1d(3, 2), nn.Linear(8 * 3, 4)),
    )


def conv3d_net() -> nn.Module:
    return Sequential(
        *(nn.Conv3d(2, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU(), nn.MaxPool3d(2)),
        *(nn.Conv3d(4, 6, (1, 2, 3), stride=(1, 1, 2)), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Linear(6, 4)),
    )


def conv_transpose_net() -> nn.Module:
    """Down and up again; grouped, with output padding, BatchNorm behind."""
    return Sequential(
        *(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), nn.ReLU(), nn.AvgPool2d(4)),
        nn.Linear(6 * 4 * 4, 4),
    )


def mlp() -> nn.Module:
    return Sequential(
        *(nn.Linear(20, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 12), nn.LeakyReLU(0.125)),
        *(nn.Linear(12, 8, bias=False), nn.ReLU(), nn.Linear(8, 5)),
    )


def dense_net() -> nn.Module:
    """Nothing but dense layers and ReLU."""
    return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 12, bias=False), nn.ReLU(), nn.Linear(12, 5))


def preactivation_net() -> nn.Module:
    """BatchNorm before its convolution: nothing that it can be merged into."""
    return Sequential(
        *(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2, ceil_mode=True), nn.Linear(6 * 2 * 2, 4)),
    )


@dataclass(frozen=True)
class Recipe:
    """How to make a net, and the shape of one sample."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]


VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
MOBILE_NET_V2 = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)
SQUEEZE_NET = (((16, 64),) * 2, ((32, 128),) * 2, ((48, 192),) * 2 + ((64, 256),) * 2)

SMALL = {
    "vgg": Recipe(lambda: Vgg(((4, 4), (6,)), (10,), 5, 12, norm=False), (3, 12, 12)),
    "vgg_bn": Recipe(lambda: Vgg(((4, 4), (6, 8)), (10,), 5, 12, norm=True), (3, 12, 12)),
    "resnet": Recipe(lambda: ResNet(basic_block, (1, 2), 4, 3, 5), (3, 21, 21)),
    "bottlenecks": Recipe(lambda: ResNet(bottleneck, (1, 1), 3, 7, 5), (3, 20, 20)),
    "mobilenet": Recipe(lambda: MobileNet(4, ((1, 4, 1, 1), (3, 6, 2, 2)), 10, 5), (3, 16, 16)),
    "squeezenet": Recipe(lambda: SqueezeNet(5, (((3, 4),), ((3, 4),)), 5), (3, 22, 22)),
    "conv1d": Recipe(conv1d_net, (2, 45)),
    "conv3d": Recipe(conv3d_net, (2, 6, 6, 8)),
    "conv_transpose": Recipe(conv_transpose_net, (3, 8, 8)),
    "mlp": Recipe(mlp, (20,)),
    "dense": Recipe(dense_net, (20,)),
    "preactivation": Recipe(preactivation_net, (3, 9, 9)),
}

FULL = {
    "vgg16": Recipe(lambda: Vgg(VGG16, (4096, 4096), 1000, 224, norm=False), (3, 224, 224)),
    "resnet50": Recipe(lambda: ResNet(bottleneck, (3, 4, 6, 3), 64, 7, 1000), (3, 224, 224)),
    "mobilenetv2": Recipe(lambda: MobileNet(32, MOBILE_NET_V2, 1280, 1000), (3, 224, 224)),
    "squeezenet": Recipe(lambda: SqueezeNet(64, SQUEEZE_NET, 1000), (3, 224, 224)),
}


def build(recipe: Recipe, seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The net in eval mode: He-normal weights, small biases, BatchNorm statistics of a random batch."""
    generator = torch.Generator().manual_seed(seed)
    net = recipe.make().to(dtype)
    for module in net.modules():
        if isinstance(module, WEIGHTED):
            _initialize(module, generator)
        elif isinstance(module, NORMS):
            module.momentum, module.eps = None, EPS  # the plain mean of what was seen
            nn.init.uniform_(module.weight, 0.5, 1.5, generator)
            nn.init.normal_(module.bias, 0.0, 0.3, generator)
    with torch.no_grad():
        net.train()(samples(recipe, 4, seed + 1, dtype))
    return net.eval().requires_grad_(False)


def _initialize(module: nn.Module, generator: torch.Generator) -> None:
    nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
    if module.bias is not None:
        nn.init.normal_(module.bias, 0.0, 0.1, generator)


def samples(recipe: Recipe, count: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """A batch of standard normal inputs."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((count, *recipe.shape), generator=generator, dtype=torch.float64).to(dtype)
