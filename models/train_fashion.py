"""Trains the residual net of this folder on Fashion-MNIST: dark pictures, on which an explanation is easily poor.

Run `python models/train_fashion.py [FOLDER or .deb]`; it needs torch, onnxscript, onnxruntime, pillow and the data of
Debian's package `dataset-fashion-mnist`, installed, named, or fetched (see tools/fashion_data.py).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from train_mnist import HERE, MnistResNet, Split, check_export, export, save_samples, train

sys.path.insert(0, str(HERE.parent / "tools"))

from fashion_data import fashion_mnist
from fetch_models import FetchError


class Recipe(NamedTuple):
    """A net, how many pictures to train it on and how often, what it has to reach, and the file that is written."""

    kind: Callable[[], nn.Module]
    pictures: int
    epochs: int
    accuracy: float
    file: str


RECIPE = Recipe(MnistResNet, 20_000, 6, 0.88, "fashion_resnet.onnx")


def mirrored(images: Tensor) -> Tensor:
    """About half of the pictures with left and right exchanged."""
    return torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images.flip(3), images)


def load(source: Path | None) -> tuple[Split, Split]:
    """The training and the test split: images (N, 1, 28, 28) in 0..1, and classes."""
    try:
        found = [fashion_mnist(split, source) for split in ("train", "t10k")]
    except FetchError as error:
        raise SystemExit(f"error: {error}") from None
    first, second = ((torch.from_numpy(images), torch.from_numpy(labels)) for images, labels in found)
    return first, second


def make(recipe: Recipe, training: Split, test: Split, folder: Path) -> Tensor:
    """Trains a net, exports it with open sizes, checks the file, and says which test pictures it gets right."""
    torch.manual_seed(0)
    images, labels = training
    model = recipe.kind().to(memory_format=torch.channels_last)  # half the time, on a CPU
    train(model, (images[: recipe.pictures], labels[: recipe.pictures]), recipe.epochs, 100, mirrored)
    with torch.no_grad():
        logits = torch.cat([model(part) for part in test[0].split(1000)])
    right = logits.argmax(1) == test[1]
    accuracy = right.float().mean().item()
    print(f"{recipe.file}: test accuracy {accuracy:.4f}")
    if accuracy < recipe.accuracy:
        raise SystemExit(f"{recipe.file}: accuracy below {recipe.accuracy}")
    export(model, folder / recipe.file, dynamo=False, open_size=True)
    check_export(folder / recipe.file, test[0][:1000], logits[:1000])
    return right


def run(recipe: Recipe, folder: Path) -> tuple[Split, Tensor]:
    """Reads the arguments, trains and writes the net; returns the test split and which of it the net gets right."""
    parser = argparse.ArgumentParser(description=f"Train {recipe.file} on Fashion-MNIST.")
    parser.add_argument("source", nargs="?", type=Path, help="folder or .deb of the data [as installed, else fetched]")
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # the order of sums, and so the weights, depend on it
    training, test = load(parser.parse_args().source)
    return test, make(recipe, training, test, folder)


if __name__ == "__main__":
    save_samples(*run(RECIPE, HERE), HERE / "fashion")
