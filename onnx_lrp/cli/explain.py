"""explain: draw heatmaps of what a model's answer depends on, and account for the relevance."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .arguments import COMPOSITES, add_model, count, index, numbers, png, threads

NAME = "explain"
PREPROCESSING = "zero-one"
EPILOG = f"""\
preprocessing: x = (pixel * scale - mean) / std, with pixels from 0 to 255; size and axis order are the model's.
  zero-one   pixel / 255: 0 to 1
  raw        the pixel as it is
  signed     -1 to 1
  imagenet   pixel / 255, then ImageNet's mean and std (torchvision)
  caffe      blue, green, red; minus 104, 117, 123

{COMPOSITES}
Where z^B needs the bounds low and high and none are given, they are what black and white pixels become.

Several pictures are a batch where the model takes one. A model with several inputs takes one .npz with an array for
each, or one file for each in the model's order.

Exit code: 0 done, 1 the model is rejected, 2 data, options or files are wrong (then nothing is written)."""


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``onnx-lrp explain``."""
    add_model(parser)
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help=".png, .jpg, .jpeg, .webp, .bmp, .npy or .npz")
    _add_question(parser)
    _add_preprocessing(parser)
    _add_results(parser)
    _add_computation(parser)


def run(args: Namespace) -> int:
    """Explain and write; 0 if all went well.

    Raises:
        OnnxLrpError: something did not; then no file was written.
    """
    from .job import run_job

    for line in run_job(args):
        print(line)
    return 0


def _add_question(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("what to explain")
    either = group.add_mutually_exclusive_group()
    either.add_argument(
        "--target",
        metavar="N",
        type=index,
        help="index of the class, or I,J,... in an output of higher rank (default: the highest)",
    )
    either.add_argument("--top", metavar="K", type=count, help="explain the K highest classes, one heatmap each")
    group.add_argument("--labels", metavar="FILE", help="names of the classes, one per line")
    group.add_argument(
        "--seed",
        choices=("logit", "one"),
        default="logit",
        help="relevance to start with: the target's value, or 1 (default: %(default)s)",
    )


def _add_preprocessing(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("how pictures become inputs")
    group.add_argument(
        "--preprocess",
        metavar="NAME",
        help=f"zero-one, raw, signed, imagenet or caffe, see below (default: {PREPROCESSING})",
    )
    group.add_argument("--scale", metavar="X", type=float, help="instead of the preset's")
    group.add_argument("--mean", metavar="X,...", type=numbers, help="one number, or one per channel")
    group.add_argument("--std", metavar="X,...", type=numbers, help="one number, or one per channel")
    group.add_argument("--channels", choices=("rgb", "bgr", "grey"), help="their order")
    group.add_argument(
        "--fit", choices=("crop", "stretch"), help="keep the proportions and cut the ends off, or not (default: crop)"
    )


def _add_results(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("results")
    either = group.add_mutually_exclusive_group()
    either.add_argument(
        "-o",
        "--heatmap",
        metavar="FILE.png",
        type=png,
        help="where the heatmap goes (default: INPUT_COMPOSITE.png in the current folder)",
    )
    either.add_argument("--no-heatmap", action="store_true", help="draw none")
    group.add_argument("--overlay", action="store_true", help="draw over the picture instead of on white")
    group.add_argument(
        "--percentile",
        metavar="P",
        type=float,
        default=99.5,
        help="of |R| that gets the strongest colour (default: %(default)s)",
    )
    group.add_argument("--save-relevance", metavar="FILE.npz", help="keep all numbers as NumPy arrays")
    group.add_argument("--ledger", action="store_true", help="print where relevance went, node by node")
    group.add_argument("-f", "--force", action="store_true", help="replace files that exist")
    group.add_argument("-v", "--verbose", action="store_true", help="print how the model was rewritten, and the rules")


def _add_computation(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("how to compute")
    group.add_argument(
        "--backend",
        choices=("auto", "onnx", "torch", "numpy"),
        default="auto",
        help="auto is the first that has the dtype and the device and can take the model (default: %(default)s)",
    )
    group.add_argument("--dtype", choices=("float32", "float64"), help="default: float64 on numpy, else float32")
    group.add_argument("--device", metavar="NAME", help="torch's device, for example cuda")
    group.add_argument("--threads", metavar="N", type=threads, default=0, help="of onnxruntime, 0 for its default")
    group.add_argument(
        "--batchnorm",
        choices=("affine", "pass"),
        default="affine",
        help="what an unmerged BatchNormalization does (default: %(default)s)",
    )
