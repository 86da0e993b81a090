"""Options of the commands that measure explanations: which inputs count, and how pixels are flipped."""

from __future__ import annotations

from .arguments import Group
from .words import count, from_zero


def add_truth(group: Group) -> None:
    """--true-classes, --limit."""
    group.add_argument(
        "--true-classes",
        metavar="FILE",
        help="the true class of each input, one number per line or a .npy: what the model gets wrong is left out",
    )
    group.add_argument("--limit", metavar="N", type=count, help="take N of the inputs, evenly spread (default: all)")


def add_flipping(group: Group) -> None:
    """--imputation, --steps, --region, --mask, --random-seed."""
    group.add_argument(
        "--imputation",
        choices=("blur", "mean", "noisy-linear", "mask"),
        help="what comes in place of what is taken away (default: blur for pictures, mean for rows, mask for tokens)",
    )
    group.add_argument("--steps", metavar="N", type=count, default=16, help="points of a curve (default: %(default)s)")
    group.add_argument(
        "--region",
        metavar="N",
        type=count,
        help="side in pixels of what is taken away together (default: at most 16x16)",
    )
    group.add_argument("--mask", metavar="ID", type=int, help="the token id that masks one")
    group.add_argument(
        "--random-seed", metavar="N", type=from_zero, default=0, help="of all that is drawn (default: %(default)s)"
    )
