"""Options that commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from .words import numbers, seed, shape, size, target, threads

COMPOSITES = """\
composites: default, epsilon, gamma, zplus, alpha_beta, epsilon_plus, epsilon_plus_flat, epsilon_alpha2_beta1,
epsilon_alpha2_beta1_flat, epsilon_gamma_box, layered, attnlrp, attnlrp_vit. `onnx-lrp rules` says what each is; a file
NAME.toml can hold another one. Parameters follow a colon, one number per channel is written with slashes:
epsilon_gamma_box:low=-2.1/-2/-1.8,high=2.2/2.4/2.6,gamma=0.3; bias=ignore and epsilon=0.1std go with all of them"""


PREPROCESSING = "zero-one"
PREPARATION = """\
preprocessing: x = (pixel * scale - mean) / std, with pixels from 0 to 255; size and axis order are the model's.
  zero-one   pixel / 255: 0 to 1
  raw        the pixel as it is
  signed     -1 to 1
  imagenet   pixel / 255, then ImageNet's mean and std (torchvision)
  caffe      blue, green, red; minus 104, 117, 123"""
BOUNDS = "Where z^B needs the bounds low and high and none are given, they are what black and white pixels become."

Group = argparse._ActionsContainer


def add_model(parser: argparse.ArgumentParser) -> None:
    """MODEL, --composite, --output, --pass-op, --fixed: the same for all commands."""
    parser.add_argument("model", metavar="MODEL", help="the ONNX file")
    add_composite(parser)


def add_composite(parser: argparse.ArgumentParser) -> None:
    """--composite, --output: by which rules to explain what."""
    parser.add_argument(
        "--composite",
        metavar="NAME[:KEY=VALUE,...]",
        default="default",
        help="which rule goes to which layer (default: %(default)s)",
    )
    add_explained(parser)


def add_explained(parser: argparse.ArgumentParser) -> None:
    """--output, --pass-op, --profile, --fixed, --shape: what is explained, and what of it is taken for granted."""
    parser.add_argument(
        "--output", metavar="NAME", help="the output, tensor or node to explain (default: the first output)"
    )
    parser.add_argument(
        "--pass-op",
        metavar="OP",
        action="append",
        default=[],
        help="let relevance pass an activation such as Gelu unchanged, on your own responsibility; may be repeated",
    )
    parser.add_argument(
        "--profile",
        metavar="NAME",
        default="strict",
        help="what is explained beyond ReLU nets: strict (nothing), attnlrp or cplrp (gates, norms, attention), with "
        "options as attnlrp:gates=half,softmax=held (default: %(default)s)",
    )
    parser.add_argument(
        "--fixed",
        metavar="NAME[=FILE.npy]",
        action="append",
        default=[],
        help="hold an input constant: an adjacency, a mask, a rate; it gets no relevance; may be repeated",
    )
    parser.add_argument(
        "--shape",
        metavar="NAME=N,3,224,224",
        type=shape,
        action="append",
        default=[],
        help="sizes of an input's open axes, with a letter for a first one that stays open",
    )


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """INPUT...: the data to explain."""
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help=".png, .jpg, .jpeg, .webp, .bmp, .npy or .npz; or a folder: all pictures in it",
    )


def add_target(group: Group, default: str) -> None:
    """--target."""
    group.add_argument(
        "--target",
        metavar="N",
        type=target,
        help=f"a class's index or label; I,J,... or slices such as 3,:,: in an output of higher rank; or a .npy with a "
        f"mask or weights of the output's shape (default: {default})",
    )


def add_seed(group: Group, *more: str) -> None:
    """--seed, with ``more`` words to choose from."""
    group.add_argument(
        "--seed",
        type=seed,
        choices=("logit", "one", "odds", "margin", "probability", *more),
        help="relevance to start with: the target's value, 1, its odds (it against all other classes by their "
        "probability), its margin (it against the runner-up), its probability"
        f"{', or an input of that name' * ('input' in more)} (default: logit, or what the composite's file says)",
    )


def add_against(group: Group, given: str, parse: Callable[[str], Any] = str) -> None:
    """--against, whose classes are ``given`` in this way, and --baseline."""
    group.add_argument(
        "--against",
        metavar="CLASS[,...]",
        type=parse,
        help=f"explain the target's value less that of another class, or the mean of several: {given}",
    )
    group.add_argument(
        "--baseline", metavar="X", type=float, help="of an output of one element, explain its value less this number"
    )


def add_labels(group: Group) -> None:
    """--labels."""
    group.add_argument(
        "--labels",
        metavar="FILE|imagenet",
        help="names of the classes, one per line; those of ImageNet ship (default: the model's own, if it has some)",
    )


def add_preprocessing(parser: argparse.ArgumentParser, more: str = "") -> None:
    """How pictures become inputs."""
    group = parser.add_argument_group("how pictures become inputs")
    group.add_argument(
        "--preprocess",
        metavar="NAME",
        help=f"zero-one, raw, signed, imagenet or caffe, see below{more} (default: what the model's files say, else "
        f"{PREPROCESSING})",
    )
    group.add_argument("--scale", metavar="X", type=float, help="instead of the preset's")
    group.add_argument("--mean", metavar="X,...", type=numbers, help="one number, or one per channel")
    group.add_argument("--std", metavar="X,...", type=numbers, help="one number, or one per channel")
    group.add_argument("--channels", choices=("rgb", "bgr", "grey"), help="their order")
    group.add_argument(
        "--fit", choices=("crop", "stretch"), help="keep the proportions and cut the ends off, or not (default: crop)"
    )
    group.add_argument(
        "--size",
        metavar="N|HxW|native",
        type=size,
        help="where the model leaves it open: so many pixels, or the picture's own (default: what its metadata says)",
    )


def add_talk(group: Group, verbose: str = "") -> None:
    """-q, and -v where there is more to say."""
    either = group.add_mutually_exclusive_group()
    either.add_argument("-q", "--quiet", action="store_true", help="print results only: no notes, no warnings")
    if verbose:
        either.add_argument("-v", "--verbose", action="store_true", help=verbose)


def add_percentile(group: Group) -> None:
    """--percentile."""
    group.add_argument(
        "--percentile",
        metavar="P",
        type=float,
        default=99.5,
        help="of |R| that gets the strongest colour (default: %(default)s)",
    )


def add_force(group: Group) -> None:
    """-f, --force."""
    group.add_argument("-f", "--force", action="store_true", help="replace files that exist")


def add_computation(parser: argparse.ArgumentParser) -> None:
    """How to compute."""
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
