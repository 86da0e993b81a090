"""Explanations as figures: what is known of them as a title, and their input as what it is."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..pictures.bars import BarsView
from ..pictures.figure import draw_figure
from ..pictures.layout import Layout
from ..pictures.preprocessing import Preprocessing
from ..pictures.series import SeriesView
from ..pictures.views import Look, PictureView, View, VolumeView
from ..pictures.words import WordsView
from ..text import printable, under

if TYPE_CHECKING:
    from PIL.Image import Image

OTHER = 1e-3  # of the target's value: by so much the start differs where it is not that value


def figure_of(
    explanations: Sequence[Any], *, sample: int = 0, input: str | None = None,
    preprocessing: Preprocessing | None = None, names: Sequence[str] = (), cmap: str = "bwr",
    percentile: float = 99.5, smooth: float = 0.0, overlay: bool = True, shared: bool = True,
    title: str | None = None, picture: bool | None = None, outline: Any = None,
) -> Image:  # fmt: skip
    """One figure of several explanations of the same input: of several classes, or by several composites.

    Args:
        explanations: at least one :class:`onnx_lrp.Explanation`, all of one input.
        sample: which one of the batch.
        input: of a model with several inputs, which one; the first by default.
        preprocessing: how the photo became the input; without it values are stretched from black to white.
        names: of the features, or the tokens.
        cmap: ``"bwr"``, ``"puor"`` (for the colour blind), ``"seismic"`` or ``"coldnhot"``.
        percentile: of |R| that gets full colour.
        smooth: blur by so many pixels (time steps).
        overlay: also draw maps over the photo.
        shared: one scale of colours for all maps.
        title: in place of the class and its probability.
        picture: whether the input is a picture, where its shape alone does not tell; with a preprocessing it is one.
        outline: a mask (H, W) of the photo, an area that a segmentation found, say: its edge is drawn.

    Raises:
        InputError: there is no such input, names do not fit, or as for
            :func:`onnx_lrp.pictures.figure.draw_figure`.
        IndexError: there is no such sample.
    """
    if not explanations:
        raise InputError("no explanation given; a figure takes at least one")
    ones = [explanation[sample] for explanation in explanations]
    first, look = ones[0], Look(cmap, percentile, smooth, overlay)
    name = next(iter(first.inputs)) if input is None else input
    if name not in first.inputs:
        known = ", ".join(map(repr, map(printable, first.inputs)))
        raise InputError(f"there is no input {printable(str(name))!r}; choose one of {known}")
    preprocessing = preprocessing or (first.context.preprocessing if first.context else None)
    is_picture = preprocessing is not None if picture is None else picture
    batched = first.inputs[name].shape[:1] == (1,)
    view = _view(first, name, batched, preprocessing, names, is_picture, outline)
    maps = [(_named(ones, one), one.inputs[name]) for one in ones]
    return draw_figure(_heading(ones, title), view, maps, look, shared=shared)


def layers_of(explanation: Any, *, sample: int = 0, cmap: str = "bwr", percentile: float = 99.5) -> Image:
    """The relevance of layers as small multiples, from the input inwards, each with a scale of its own.

    Args:
        explanation: with the ``layers`` that were asked for.
        sample: as for :func:`figure_of`.
        cmap: as for :func:`figure_of`.
        percentile: as for :func:`figure_of`.

    Raises:
        InputError: no layers were asked for, or as for :func:`figure_of`.
    """
    one = explanation[sample]
    if not one.layers:
        raise InputError('no layers in this explanation; ask for them: explainer(x, layers=["NAME", ...])')
    from ..pictures.multiples import draw_multiples

    maps = [(printable(name.rpartition("→")[2], 60), relevance) for name, relevance in one.layers.items()]
    return draw_multiples(_heading([one], None), maps, Look(cmap, percentile))


def page_of(explanation: Any, image: str) -> str:
    """An explanation for a notebook, in HTML: the figure (base64 of a PNG), prediction, account, warnings."""
    lines = repr(explanation).splitlines()
    said = "".join(f"<div>{html.escape(line)}</div>" for line in lines)
    doubts = "".join(f"<li>{html.escape(printable(line, 600))}</li>" for line in explanation.warnings)
    alt = html.escape(f"figure: {_title(explanation[0])}", quote=True)
    figure = f'<img src="data:image/png;base64,{image}" alt="{alt}" style="max-width:100%">'
    return f"<div>{said}{figure}{f'<ul>{doubts}</ul>' if doubts else ''}</div>"


def _view(
    one: Any,
    name: str,
    batched: bool,
    preprocessing: Preprocessing | None,
    names: Sequence[str],
    picture: bool,
    outline: Any,
) -> View:
    """How an input of this shape is drawn."""
    relevance = one.inputs[name]
    x = None if one.context is None else one.context.data.get(name)
    shape = (None, *relevance.shape[1:]) if batched else relevance.shape
    if len(shape) == 2 and batched and x is not None and x.dtype.kind in "iu" and not picture:
        return WordsView(names or [str(n) for n in x.reshape(-1).tolist()])
    if len(shape) == 5 and batched:
        return VolumeView(x)
    if 1 <= len(shape) <= 4 and _is_picture(shape, picture):
        layout = Layout.of(shape)
        size = (layout.height or 1, layout.width or 1) if "F" in layout.axes else None
        return PictureView(x, shape, size, preprocessing, outline)
    if len(shape) in (3, 4) and batched:
        return _series(one, relevance, x, names)
    sizes = relevance.shape[1:] if batched else relevance.shape
    return BarsView(x, sizes, _checked(names, relevance.size))


def _is_picture(shape: tuple[int | None, ...], picture: bool) -> bool:
    layout = Layout.of(shape)
    if "F" in layout.axes:
        return picture and min(layout.height or 0, layout.width or 0) >= 2
    return min(layout.height or 0, layout.width or 0) > 1 and (picture or "C" in layout.axes)


def _series(one: Any, relevance: np.ndarray, x: np.ndarray | None, names: Sequence[str]) -> View:
    """Time is behind the features where a convolution reads them, and in front of them elsewhere."""
    first, second = relevance.shape[1:3]
    convolved = bool(one.rules) and one.rules[0][1] == "Conv"
    time_last = first == 1 or (convolved and first <= second)
    view = SeriesView(x, time_last, names)
    _checked(names, len(view.rows(relevance)))
    return view


def _checked(names: Sequence[str], count: int) -> Sequence[str]:
    if names and len(names) != count:
        raise InputError(f"{len(names)} names given for {count} features; give one for each")
    return names


def _heading(ones: Sequence[Any], title: str | None) -> list[str]:
    """What is explained, by what, and of which model."""
    one, context = ones[0], ones[0].context
    alone = len(ones) == 1
    best, target = int(one.prediction[0]), int(one.target[0])
    predicted = f"predicts {_class(one, best)}"
    lines = [title or (_title(one) if alone else predicted)]
    if context is not None:
        composites = dict.fromkeys(e.context.composite for e in ones if e.context is not None)
        how = f"composite {next(iter(composites))}{under(context.profile)}" if len(composites) == 1 else ""
        seed = "" if context.seed == "logit" else f"seed {context.seed.removeprefix('seed ')}"
        model = printable(context.model.replace("\\", "/").rpartition("/")[2], 60)
        said = [how, seed, f"model {model}", f"explains {printable(context.explains, 40)!r}"]
        lines.append(", ".join(filter(None, said)))
    other = alone and best != target and title is None and not _is_sum(one)
    return [*lines, predicted] if other else lines


def _named(ones: Sequence[Any], one: Any) -> str:
    """What tells one explanation from the others: its class, its composite, or both."""
    if len(ones) == 1:
        return ""
    classes = {int(e.target[0]) for e in ones}
    composites = {e.context.composite for e in ones if e.context is not None}
    parts = [one.context.composite] if len(composites) > 1 else []
    return ", ".join([*parts, _title(one)] if len(classes) > 1 or not parts else parts)


def _title(one: Any) -> str:
    start = one.conservation.target
    return f"a sum over the output, {start[0]:.4g}" if _is_sum(one) else _class(one, int(one.target[0]))


def _is_sum(one: Any) -> bool:
    """Whether a region was explained: relevance starts with more than the value of one element."""
    if one.context is None or one.context.seed != "logit" or len(one.conservation.target) != len(one):
        return False
    value = float(one.output[0].reshape(-1)[int(one.target[0])])
    return abs(float(one.conservation.target[0]) - value) > OTHER * max(abs(value), 1e-30)


def _class(one: Any, index: int) -> str:
    """``3 (three), probability 0.98``; in an output of higher rank, its place in it."""
    shares, sizes = one.probabilities, one.output.shape[1:]
    if len(sizes) > 1 and one.output[0].size != max(sizes):
        where = tuple(map(int, np.unravel_index(index, sizes)))
        return f"{where}, value {one.output[0].reshape(-1)[index]:.4g}"
    sure = f"value {one.output.reshape(-1)[index]:.4g}" if shares is None else f"probability {shares[0, index]:.3g}"
    return f"{one.describe(index)}, {sure}"
