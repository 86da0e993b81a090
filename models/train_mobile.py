"""Trains the depthwise net of this folder on Fashion-MNIST: built like MobileNetV2, with a convolution as classifier.

Run `python models/train_mobile.py [FOLDER or .deb]`; it needs what `train_fashion.py` needs.
"""

from __future__ import annotations

from torch import Tensor, nn
from train_fashion import Recipe, run
from train_mnist import HERE


def conv_bn6(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias, BatchNorm, and ReLU6."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6())


class InvertedResidual(nn.Module):
    """Wide 1x1, depthwise 3x3, narrow 1x1 without activation, and a shortcut where the shape stays.

    Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", section 3.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int = 4) -> None:
        super().__init__()
        wide = inputs * expansion
        self.body = nn.Sequential(
            *(conv_bn6(inputs, wide, 1), conv_bn6(wide, wide, 3, stride, wide)),
            *(nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs)),
        )
        self.same = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Adds the input, if it has the shape of the result."""
        return x + self.body(x) if self.same else self.body(x)


class MobileNet(nn.Sequential):
    """A stem, six inverted residuals (two strided), a wide 1x1 layer, global average pooling, a 1x1 convolution."""

    def __init__(self) -> None:
        super().__init__(
            conv_bn6(1, 8, 3),
            *(InvertedResidual(8, 16, 2), InvertedResidual(16, 16, 1), InvertedResidual(16, 24, 2)),
            *(InvertedResidual(24, 24, 1), InvertedResidual(24, 32, 1), InvertedResidual(32, 32, 1)),
            conv_bn6(32, 128, 1),
            *(nn.AdaptiveAvgPool2d(1), nn.Conv2d(128, 10, 1), nn.Flatten()),
        )


RECIPE = Recipe(MobileNet, 20_000, 6, 0.85, "mobile_net.onnx")

if __name__ == "__main__":
    run(RECIPE, HERE)
