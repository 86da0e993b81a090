"""What the words mean that are given to options; what cannot be meant is refused."""

from __future__ import annotations

import argparse
import math
from typing import Literal


def size(text: str) -> tuple[int, int] | Literal["native"]:
    """``224``, ``480x640`` or ``native``."""
    if text == "native":
        return "native"
    sides = [int(part) for part in text.split("x")]
    if not 1 <= len(sides) <= 2 or min(sides) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 224, 480x640 or native")
    return sides[0], sides[-1]


def names(text: str) -> tuple[str, ...]:
    """``conv1,conv2``."""
    return tuple(filter(None, text.split(",")))


def composites(text: str) -> list[str]:
    """``epsilon_plus;epsilon_gamma_box:low=0,high=1``."""
    return [part.strip() for part in text.split(";") if part.strip()]


def numbers(text: str) -> tuple[float, ...]:
    """``0.485,0.456,0.406``."""
    return tuple(float(part) for part in text.split(","))


def target(text: str) -> int | tuple[int | slice, ...] | str:
    """``7``, or ``1,5,3`` for one element of an output of higher rank, ``3,:,2:5`` for many; else a label or a file."""
    try:
        parts = tuple(_stretch(part) if ":" in part else int(part) for part in text.split(","))
    except ValueError:
        return text
    return parts[0] if len(parts) == 1 and isinstance(parts[0], int) else parts


def _stretch(text: str) -> slice:
    """``2:5``, with either end left out."""
    return slice(*(int(part) if part.strip() else None for part in text.split(":")))


def seed(text: str) -> str:
    """A word; for the one that is refused, the reason."""
    if text == "softmax":
        from ..targets.seeds import SOFTMAX

        raise argparse.ArgumentTypeError(SOFTMAX)
    return text


def rivals(text: str) -> tuple[int, ...] | str:
    """``5``, ``3,5`` or ``input``."""
    try:
        return text if text == "input" else tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither the index of a class, as 5 or 3,5, nor 'input'"
        ) from None


def count(text: str) -> int:
    """An integer above 0."""
    return _whole(text, 1)


def from_zero(text: str) -> int:
    """An integer that is not below 0."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    if not text.strip().isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number from {least} on, not {text!r}")
    return int(text)


def batch_size(text: str) -> int | None:
    """A count, or None for ``auto``."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number from 1 on")
    return int(text)


def threads(text: str) -> int:
    """From 0 to 1024: each thread costs memory."""
    if not 0 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError("must be from 0 to 1024")
    return int(text)


def drift(text: str) -> float:
    """A number that a drift can be compared with: NaN would let everything pass."""
    if not 0 <= float(text) < math.inf:
        raise argparse.ArgumentTypeError("must be a number from 0 on")
    return float(text)


def png(text: str) -> str:
    """A file name that ends in .png."""
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError("pictures are written as PNG; give a name that ends in .png")
    return text


def picture_or_page(text: str) -> str:
    """A file name that ends in .png or .html."""
    if not text.lower().endswith((".png", ".html")):
        raise argparse.ArgumentTypeError(
            "pictures are written as PNG; give a name that ends in .png, or of text in .html"
        )
    return text


def shape(text: str) -> tuple[str, list[int | None]]:
    """``NAME=N,3,224,224``: a number is a size, a letter stays open."""
    name, found, sizes = text.rpartition("=")
    parts = [part.strip() for part in sizes.split(",")]
    if not found or not all(part.isdigit() or part.isalpha() for part in parts) or "0" in parts:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=N,3,224,224")
    return name, [int(part) if part.isdigit() else None for part in parts]
