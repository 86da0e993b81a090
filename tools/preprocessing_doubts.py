"""How often a wrong preprocessing is noticed, and how often a right one is suspected in vain.

`python tools/preprocessing_doubts.py --squeezenet FILE.onnx [--lite0 FILE.onnx]` prepares crops of seven colour
photographs as each net was trained to see them and in five wrong ways, and counts the warnings of
:func:`onnx_lrp.pictures.conventions.doubt`. A wrong way counts where it changes the net's answer. The rule's numbers
were fitted on the parts ``whole``, ``middle``, ``top left`` and ``bottom right``; the others had been seen before they
were settled, and parts of one photograph are not independent, so that this is no test on fresh pictures.

The photographs are those of things that ImageNet has a class for, among what scikit-image, scikit-learn and Matplotlib
ship.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from quality_data import CROP, LITE0

from onnx_lrp import Explainer
from onnx_lrp.checking.preparing import trials_of
from onnx_lrp.pictures.conventions import Attempt, Convention, doubt, usual
from onnx_lrp.pictures.preprocessing import PREPROCESSINGS
from onnx_lrp.text import table

FITTED = ("whole", "middle", "top left", "bottom right")
OTHERS = ("mirrored", "top right", "bottom left")
CAFFE_RGB = Convention("caffe, rgb", replace(PREPROCESSINGS["caffe"], channels="rgb"))
SIGNED_BGR = Convention("signed, bgr", replace(PREPROCESSINGS["signed"], channels="bgr"))


def preset(name: str) -> Convention:
    """A preset as it is."""
    return Convention(name, PREPROCESSINGS[name])


# The right way of each net, and five wrong ones: the other presets, and the right one with its colours swapped
WAYS = {
    "squeezenet": (preset("caffe"), [*map(preset, ("raw", "zero-one", "signed", "imagenet")), CAFFE_RGB]),
    "lite0": (Convention("lite0", LITE0), [*map(preset, ("raw", "zero-one", "imagenet", "caffe")), SIGNED_BGR]),
}


@dataclass(frozen=True)
class Count:
    """How many were warned of, of how many."""

    warned: int
    runs: int

    def __str__(self) -> str:
        return f"{self.warned}/{self.runs} ({self.warned / max(self.runs, 1):.0%})"


def photographs() -> dict[str, np.ndarray]:
    """By name: uint8 (H, W, 3)."""
    import matplotlib
    import skimage
    import sklearn.datasets
    from PIL import Image

    ships = {
        Path(skimage.__file__).parent / "data": (
            "astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png",
        ),
        Path(sklearn.datasets.__file__).parent / "images": ("china.jpg",),
        Path(matplotlib.__file__).parent / "mpl-data" / "sample_data": ("grace_hopper.jpg",),
    }  # fmt: skip
    paths = [folder / name for folder, names in ships.items() for name in names]
    return {path.stem: np.asarray(Image.open(path).convert("RGB")) for path in paths}


def parts(picture: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The whole, its mirror image, and five parts of 3/4 of each side."""
    yield from (("whole", picture), ("mirrored", picture[:, ::-1]))
    height, width = picture.shape[:2]
    high, wide = int(height * CROP), int(width * CROP)
    down, right = height - high, width - wide
    corners = {"top left": (0, 0), "top right": (0, right), "bottom left": (down, 0), "bottom right": (down, right),
               "middle": (down // 2, right // 2)}  # fmt: skip
    for name, (top, left) in corners.items():
        yield name, picture[top : top + high, left : left + wide]


def warned(own: Attempt, others: Sequence[Attempt]) -> bool:
    """Whether this way is doubted."""
    return bool(doubt(own, others))


def measure(path: Path, net: str, pictures: dict[str, np.ndarray], wanted: Sequence[str]) -> dict[str, Count]:
    """Warnings of the right way, and of each wrong way where it changes the answer.

    Args:
        path: the model.
        net: its name in :data:`WAYS`.
        pictures: as :func:`photographs` gives them.
        wanted: which parts of them.
    """
    right, wrong = WAYS[net]
    explainer = Explainer(path, threads=2)
    value = explainer.prepared.inputs[0]
    size = (224, 224)
    ways = [replace(way, preprocessing=replace(way.preprocessing, size=size)) for way in (right, *wrong, *usual(3))]
    found: dict[str, list[bool]] = {way.options: [] for way in (right, *wrong)}
    for pixels in (part for picture in pictures.values() for name, part in parts(picture) if name in wanted):
        trials = trials_of(explainer.prepared, explainer.options, value, pixels.astype(np.float32), ways)
        first, tested, others = trials[0], trials[1 : 1 + len(wrong)], trials[1 + len(wrong) :]
        found[right.options].append(warned(first, others))
        for trial in tested:
            if trial.best != first.best:
                found[trial.convention.options].append(warned(trial, others))
    return {name: Count(sum(flags), len(flags)) for name, flags in found.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--squeezenet", type=Path, help="SqueezeNet 1.1 of ImageNet: BGR, minus 104, 117, 123")
    parser.add_argument("--lite0", type=Path, help="EfficientNet-Lite0, see efficientnet_lite0.py")
    args = parser.parse_args()
    pictures = photographs()
    for net in WAYS:
        path = getattr(args, net)
        for kind, wanted in (("fitted", FITTED), ("other", OTHERS)):
            if path is None:
                continue
            counts = measure(path, net, pictures, wanted)
            right, *wrong = counts.values()
            together = Count(sum(c.warned for c in wrong), sum(c.runs for c in wrong))
            print(f"{net}, {kind} parts: wrong answers warned of {together}, right ways suspected {right}")
            print(
                "\n".join(table(("way", "warned"), [(name, str(count)) for name, count in counts.items()])), flush=True
            )


if __name__ == "__main__":
    main()
