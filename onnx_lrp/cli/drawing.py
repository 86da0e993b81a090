"""Figures of ``onnx-lrp explain``: one for each input of each sample, whatever number of maps it holds."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..explanation import Explanation
from ..explanation.showing import figure_of
from ..pictures.labels import read_labels
from ..pictures.layout import Layout
from ..pictures.outlining import area_of
from ..pictures.preprocessing import Preprocessing
from ..targets import Region
from ..tokens.rows import TokenRow

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class FigureStyle:
    """How figures are drawn: ``preprocessing`` is None where nobody said that the input is a picture."""

    preprocessing: Preprocessing | None
    labels: tuple[str, ...]
    names: tuple[str, ...]
    options: dict[str, Any]

    @staticmethod
    def of(args: Namespace, preprocessing: Preprocessing, pictures: bool, labels: tuple[str, ...]) -> FigureStyle:
        """As the command line says; ``pictures``: some input came as one.

        Raises:
            InputError: names of features that cannot be read.
        """
        options = {"cmap": args.cmap, "percentile": args.percentile, "smooth": args.smooth}
        options["shared"] = not args.composites  # by different rules relevance differs in size, not in meaning
        known = preprocessing if pictures or args.preprocess else None
        return FigureStyle(known, labels, read_labels(args.names), options)

    def draw(
        self, ranks: Sequence[Explanation], sample: int, name: str, title: str | None, region: Region | None
    ) -> Image:
        """One sample's figure of one input, a map for every explanation; a region with its outline.

        Raises:
            InputError: an unknown colour map, or names or numbers that do not fit.
        """
        ones = [self._labelled(explanation[sample]) for explanation in ranks]
        outline = None if region is None else _area(region, ones[0], name)
        known: dict[str, Any] = {
            "preprocessing": self.preprocessing,
            "names": self.names,
            "outline": outline,
            "title": title,
        }
        return figure_of(ones, input=name, **known, **self.options)

    def words(self, ranks: Sequence[Explanation], sample: int, name: str, rows: Sequence[TokenRow]) -> Image:
        """The same of tokens, without padding."""
        ones = [self._of_row(self._labelled(explanation[sample]), name, row) for explanation, row in zip(ranks, rows)]
        return figure_of(ones, input=name, names=rows[0].tokens, picture=False, **self.options)

    def _labelled(self, one: Explanation) -> Explanation:
        if one.context is None or not self.labels:
            return one
        return replace(one, context=replace(one.context, labels=self.labels))

    @staticmethod
    def _of_row(one: Explanation, name: str, row: TokenRow) -> Explanation:
        """With the kept tokens alone."""
        ids = np.zeros((1, len(row.tokens)), np.int64)
        context = None if one.context is None else replace(one.context, data={name: ids})
        return replace(one, inputs={name: row.relevance[None]}, context=context)


def _area(region: Region, one: Explanation, name: str) -> np.ndarray | None:
    """Where a region is in the picture, if the output has the picture's size."""
    shape = one.inputs[name].shape
    if len(shape) != 4:
        return None
    layout = Layout.of((None, *shape[1:]))
    return area_of(region.weights(one.output)[0], (layout.height or 0, layout.width or 0))
