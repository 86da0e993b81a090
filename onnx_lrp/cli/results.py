"""What ``onnx-lrp explain`` prints and draws of an explanation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..explanation import Explanation
from ..model.graph import dims
from ..pictures.heatmap import heatmap, overlay
from ..pictures.layout import Layout
from ..pictures.preprocessing import Preprocessing, spatial
from ..propagation.ledger import Conservation, LedgerEntry, by_kind
from ..targets import Contrast, runner_up
from ..text import printable, table
from .feeding import Batch

if TYPE_CHECKING:
    import onnx_ir as ir
    from PIL.Image import Image

TOP_FEATURES = 10


@dataclass(frozen=True)
class HeatmapStyle:
    """How heatmaps are drawn."""

    preprocessing: Preprocessing
    percentile: float
    overlay: bool
    cmap: str = "bwr"
    smooth: float = 0.0

    def draw(self, value: ir.Value, x: np.ndarray, relevance: np.ndarray, picture: bool) -> Image:
        """One sample's relevance (``picture``: the sample was one, so a flat input is folded back).

        Raises:
            InputError: an overlay of what cannot be shown as a picture, or a percentile outside of 0 to 100.
        """
        plane = surface(value, relevance, picture)
        if not self.overlay:
            return heatmap(plane, percentile=self.percentile, cmap=self.cmap, smooth=self.smooth)
        photo = self.preprocessing.display(x, dims(value) or x.shape)
        return overlay(plane, photo, percentile=self.percentile, cmap=self.cmap, smooth=self.smooth)


def surface(value: ir.Value, relevance: np.ndarray, picture: bool) -> np.ndarray:
    """One sample's relevance with its channels summed, (H, W)."""
    shape = dims(value) or relevance.shape
    layout = Layout.of(shape)
    size = (layout.height or 1, layout.width or 1) if picture and "F" in layout.axes else None
    return spatial(relevance, shape, size)


def drawn(inputs: Sequence[ir.Value], batch: Batch, picture: bool) -> list[ir.Value]:
    """The inputs of which a heatmap makes sense: with two axes of space, or of time and features."""
    shapes = [dims(value) or batch.feeds[value.name or ""].shape for value in inputs]
    return [
        value
        for value, shape in zip(inputs, shapes)
        if 1 <= len(shape) <= 4 and (picture or "F" not in Layout.of(shape).axes)
    ]


def of_sample(array: np.ndarray, sample: int, samples: int) -> np.ndarray:
    """One sample of a batch; all of it where there is but one."""
    return array if samples == 1 else array[sample]


@dataclass(frozen=True)
class Labels:
    """Names of the classes, empty if there are none."""

    names: tuple[str, ...] = ()

    def check(self, logits: np.ndarray) -> None:
        """Wrong labels are worse than none.

        Raises:
            InputError: another number of labels than the output has elements.
        """
        size = logits[0].size
        if self.names and len(self.names) != size:
            raise InputError(f"{len(self.names)} labels given, but the output has {size} elements; they must agree")

    def describe(self, scores: np.ndarray, element: int) -> str:
        """``3 (three), value 21.85``; ``scores`` is one sample's output, ``element`` a flat index into it."""
        return f"{self._named(scores, element)}, value {scores.reshape(-1)[element]:.6g}"

    def contrast(self, seed: Contrast, scores: np.ndarray, element: int, start: float) -> str:
        """``3 (three) against 5 (five), 12.3``; ``scores`` is one sample's output, ``start`` the sum at the start."""
        flat = scores.reshape(1, -1)
        rivals = seed.classes or runner_up(flat, np.array([element]))
        name, *others = (self._named(flat[0], int(j)) for j in (element, *rivals))
        said = {
            "odds": f"odds of {name}",
            "margin": f"margin of {name} over {' and '.join(others)}",
            "against": f"{name} against {' and '.join(others)}",
            "probability": f"probability of {name}",
            "baseline": f"{name} above {seed.baseline:g}",
        }
        return f"{said[seed.kind]}, {start:.6g}"

    def _named(self, scores: np.ndarray, element: int) -> str:
        place = (
            element if scores.size in (1, *scores.shape) else tuple(map(int, np.unravel_index(element, scores.shape)))
        )
        return f"{place} ({self.names[element]})" if self.names else f"{place}"


def sure(explanation: Explanation, sample: int) -> str:
    """The probability of what is predicted, behind a comma; nothing where there is none."""
    shares = explanation.probabilities
    return "" if shares is None else f", probability {shares[sample].max():.4g}"


def account(explanation: Explanation, sample: int) -> str:
    """The conservation account of one sample, or of the batch where inputs have no sample axis."""
    total = explanation.conservation
    if len(total.inputs) != len(total.target):
        return f"{Conservation(total.target.sum(keepdims=True), total.inputs, total.size)} (all samples)"
    here = slice(sample, sample + 1)
    return str(Conservation(total.target[here], total.inputs[here], None if total.size is None else total.size[here]))


def features(name: str, x: np.ndarray, relevance: np.ndarray) -> Iterator[str]:
    """A table of the features with the largest |R|, for inputs that are no picture."""
    rows = strongest_features(x, relevance)
    yield f"input {printable(name)!r} is no picture; its {len(rows)} features with the largest |R|:"
    yield from table(("feature", "value", "relevance"), rows)


def strongest_features(x: np.ndarray, relevance: np.ndarray) -> list[tuple[str, str, str]]:
    """Place, value and relevance of the features with the largest |R|."""
    values, shares = x.reshape(-1), relevance.reshape(-1)
    order = np.argsort(-np.abs(shares), kind="stable")[:TOP_FEATURES]
    return [(str(_place(i, x.shape)), f"{values[i]:.6g}", f"{shares[i]:.6g}") for i in order]


def _place(element: int, shape: tuple[int, ...]) -> int | tuple[int, ...]:
    sizes = shape[1:] if shape[:1] == (1,) else shape
    return int(element) if len(sizes) < 2 else tuple(map(int, np.unravel_index(element, sizes)))


def ledger(entries: Sequence[LedgerEntry]) -> list[str]:
    """The account of every node, from the output to the input, summed over the batch."""
    rows = [
        (e.node, e.op, e.rule, f"{e.relevance_in:.6g}", f"{e.relevance_out:.6g}", f"{e.absorbed:.3g}") for e in entries
    ]
    lines = table(("node", "op", "rule", "arrived", "handed on", "absorbed"), rows)
    kinds = [f"absorbed by {kind}: {amount:.3g}" for kind, amount in by_kind(entries).items() if amount]
    return [*lines, *kinds]
