"""Figures: every kind of input, one scale for several maps, titles, names, and what is refused."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import onnx_lrp as lrp
from onnx_lrp.explanation import Context, Explanation
from onnx_lrp.explanation.showing import figure_of, layers_of
from onnx_lrp.pictures import figure, legend
from onnx_lrp.pictures.colormaps import colours
from onnx_lrp.pictures.lettering import fitted
from onnx_lrp.pictures.outlining import area_of
from onnx_lrp.pictures.preprocessing import Preprocessing
from onnx_lrp.pictures.views import SIDE
from onnx_lrp.propagation.ledger import Conservation

RNG = np.random.default_rng(5)
TOP = 14 + (21 + 6) + (15 + 6) + 6 + (15 + 6)  # of the first row of tiles, below two lines and a caption


def made(
    relevance: np.ndarray, x: np.ndarray | None = None, output: Any = ((1.0, 3.0, 2.0),), target: Any = (1,),
    rules: Any = (), **words: Any,
) -> Explanation:  # fmt: skip
    """An explanation of a model that nobody has."""
    given = {
        "model": "folder/net.onnx",
        "composite": "epsilon",
        "labels": ("cat", "dog", "cow"),
        "seed": "one",
        **words,
    }
    context = Context(
        sha256="", explains="y", table="", profile="strict", backend="numpy", dtype="float64", rules=rules,
        data={} if x is None else {"x": x}, **given,
    )  # fmt: skip
    out = np.array(output)
    account = Conservation(out.max(1), relevance.sum(keepdims=True).reshape(-1)[:1])
    return Explanation({"x": relevance}, out, np.array(target), {}, account, context=context)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every line of text of a figure, before it is shortened."""
    lines: list[str] = []

    def listening(text: str, size: int, width: float) -> str:
        lines.append(text)
        return fitted(text, size, width)

    monkeypatch.setattr(figure, "fitted", listening)
    monkeypatch.setattr(legend, "fitted", listening)
    return lines


def tile(image: Image.Image, column: int, side: int = SIDE) -> np.ndarray:
    left = 14 + column * (side + 12)
    return np.asarray(image)[TOP : TOP + side, left : left + side].astype(float)


def test_photo_map_and_both(said: list[str]) -> None:
    relevance, x = RNG.uniform(0.2, 1, (1, 1, 4, 4)), RNG.uniform(-2, 5, (1, 1, 4, 4))
    image = made(relevance, x).figure()
    assert image.width == 3 * SIDE + 2 * 12 + 2 * 14
    photo, drawn, _ = (tile(image, c)[SIDE // 8 :: SIDE // 4, SIDE // 8 :: SIDE // 4] for c in range(3))
    expected = 255 * (x[0, 0] - x.min()) / np.ptp(x)
    assert np.abs(photo - expected[..., None]).max() <= 0.5
    limit = np.sort(relevance.reshape(-1))[-2]  # the 99.5th percentile of 16 numbers is the one below the largest
    np.testing.assert_allclose(drawn, colours(np.minimum(relevance[0, 0] / limit, 1)), atol=0.51)
    assert said[1:3] == ["1 (dog), probability 0.665", "composite epsilon, seed one, model net.onnx, explains 'y'"]
    assert f"full colour from |R| = {limit:.3g} on, percentile 99.5 of |R|, the largest is" in said[0]


def test_the_photo_is_what_the_preprocessing_was_given() -> None:
    photo = RNG.integers(0, 256, (4, 4, 3)).astype(np.uint8)
    how = Preprocessing.create("imagenet")
    x = how.apply(photo, (1, 3, 4, 4))
    image = made(RNG.uniform(0, 1, (1, 3, 4, 4)), x).figure(preprocessing=how)
    assert np.array_equal(tile(image, 0)[SIDE // 8 :: SIDE // 4, SIDE // 8 :: SIDE // 4], photo)


def test_several_maps_on_one_scale(said: list[str]) -> None:
    strong = made(np.full((1, 1, 4, 4), 2.0), np.ones((1, 1, 4, 4)))
    weak = replace(strong, inputs={"x": np.full((1, 1, 4, 4), 1.0)}, target=np.array([2]))
    one = figure_of([strong, weak], overlay=False)
    np.testing.assert_allclose(tile(one, 1)[100, 100], colours(np.ones((1, 1)))[0, 0], atol=0.5)
    np.testing.assert_allclose(tile(one, 2)[100, 100], colours(np.full((1, 1), 0.5))[0, 0], atol=0.5)
    assert {"1 (dog), probability 0.665", "2 (cow), probability 0.245", "predicts 1 (dog), probability 0.665"} <= {
        *said
    }
    own = figure_of([strong, weak], overlay=False, shared=False)
    assert np.array_equal(tile(own, 1)[9:-9, 9:-9], tile(own, 2)[9:-9, 9:-9])
    assert any(line.endswith("full colour 2") for line in said)
    rules = figure_of([strong, replace(weak, target=strong.target, context=replace(weak.context, composite="gamma"))])
    assert rules.height > one.height  # with the maps over the photo
    assert {"epsilon", "gamma"} <= {*said}


def test_a_class_that_is_not_predicted(said: list[str]) -> None:
    made(np.ones((1, 3)), target=(0,)).figure()
    assert "0 (cat), probability 0.09" in said
    assert "predicts 1 (dog), probability 0.665" in said
    said.clear()
    made(np.ones((1, 3)), seed="logit", target=(0,)).figure()
    assert "a sum over the output, 3" in said
    assert not any(line.startswith("predicts") for line in said)


KINDS = {
    "grey": ((2, 1, 8, 8), ()), "colour": ((2, 3, 8, 8), ()), "channels last": ((2, 8, 8, 3), ()),
    "five channels": ((2, 5, 8, 8), ()), "time first": ((2, 30, 4), ()),
    "time last": ((2, 4, 30), (("a", "Conv", "ε"),)),
    "waveform": ((2, 1, 3000), ()), "a side of 1": ((2, 2, 1, 50), ()), "many features": ((2, 40, 20), ()),
    "row": ((2, 7), ()), "long row": ((2, 300), ()), "volume": ((2, 2, 6, 8, 8), ()),
    "seven axes": ((2, 1, 2, 1, 2, 1, 2), ()),
    "large": ((2, 1, 900, 700), ()), "thin": ((2, 3, 2, 600), ()),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("known", [True, False], ids=["data", "no data"])
def test_every_kind_of_input_has_a_figure(kind: str, known: bool) -> None:
    shape, rules = KINDS[kind]
    relevance = RNG.standard_normal(shape)
    explanation = made(relevance, RNG.standard_normal(shape) if known else None, [[1.0, 2.0, 0.0]] * 2, [1, 1], rules)
    for smooth in (0, 1.0):
        image = explanation.figure(1, smooth=smooth, cmap="puor")
        assert 500 < image.width < 2200
        assert 150 < image.height < 1500
    shown = np.asarray(explanation.figure(1)).astype(int)
    assert (shown[..., 0] > shown[..., 2] + 40).any()  # red
    assert (shown[..., 2] > shown[..., 0] + 40).any()  # blue
    assert figure_of([explanation, explanation]).height > 150


def test_nothing_relevant_and_nothing_known() -> None:
    for shape in ((1, 1, 8, 8), (1, 20, 3), (1, 5), (1, 1, 4, 8, 8)):
        made(np.zeros(shape), np.zeros(shape)).figure()
        replace(made(np.zeros(shape)), context=None).figure()


def test_time_runs_along_the_strip() -> None:
    relevance = np.zeros((1, 30, 2))
    relevance[0, 24, 1] = 1.0
    for r, rules in ((relevance, ()), (relevance.transpose(0, 2, 1), (("a", "Conv", "ε"),))):
        image = np.asarray(made(r, np.zeros(r.shape), rules=rules).figure()).astype(int)
        strip = image[220:400]  # below the signal, above the colour bar
        rows, columns = np.nonzero(strip[..., 0] > strip[..., 2] + 60)
        place = (columns.mean() - 14 - 92) / 880
        assert place == pytest.approx(24.5 / 30, abs=0.01)
        assert np.ptp(columns) == pytest.approx(880 / 30, abs=2)
        assert np.ptp(rows) < 50


def test_no_peak_of_a_long_signal_gets_lost() -> None:
    relevance = np.zeros((1, 1, 20000))
    relevance[0, 0, 12345] = -1.0
    image = np.asarray(made(relevance, np.zeros((1, 1, 20000))).figure(percentile=100)).astype(int)
    blue = image[..., 2] > image[..., 0] + 40
    assert blue[:-90, 14 + 92 + int(880 * 0.61725)].sum() > 20  # above the colour bar


def test_bars_are_sorted_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx_lrp.pictures import bars

    rows: list[list[tuple[str, float]]] = []
    monkeypatch.setattr(bars, "_chart", lambda lines, *_: rows.append(list(lines)) or Image.new("RGB", (9, 9)))
    relevance = np.linspace(-1, 2, 20)[None]
    made(relevance, np.arange(20.0)[None]).figure(names=[f"feature {n}" for n in range(20)])
    (lines,) = rows
    values = [value for _, value in lines[:-1]]
    assert values == sorted(values, key=abs, reverse=True)
    assert lines[0] == ("feature 19 = 19", 2.0)
    assert lines[-1] == ("4 others together", pytest.approx(relevance.sum() - sum(values)))


def test_ids_are_words() -> None:
    ids = np.array([[3, 7, 9]])
    explanation = made(np.array([[0.5, -0.2, 0.1]]), ids)
    assert explanation.figure().size == explanation.figure(names=["a", "b", "c"]).size
    with pytest.raises(lrp.InputError, match="2 tokens for 3 ids"):
        explanation.figure(names=["a", "b"])


def test_layers_are_small_multiples(said: list[str]) -> None:
    layers = {"Conv→first": RNG.standard_normal((1, 8, 6, 6)), "second": RNG.standard_normal((1, 30)),
              "third": RNG.standard_normal((1, 5, 7))}  # fmt: skip
    image = layers_of(replace(made(np.ones((1, 1, 6, 6))), layers=layers))
    assert image.height > 250
    assert {"first", "second", "third"} <= {*said}
    assert any(line.startswith("8x6x6, full: ") for line in said)
    with pytest.raises(lrp.InputError, match="no layers in this explanation"):
        layers_of(made(np.ones((1, 1, 6, 6))))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cmap": "jet"}, "no colour map 'jet'"),
        ({"percentile": 0}, "percentile is 0"),
        ({"smooth": -1}, "smooth is -1"),
        ({"smooth": 9}, "from 0 to 8"),
        ({"input": "z"}, "there is no input 'z'; choose one of 'x'"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(lrp.InputError, match=re.escape(message)):
        made(np.ones((1, 1, 8, 8)), np.ones((1, 1, 8, 8))).figure(**options)


def test_more_that_is_refused() -> None:
    with pytest.raises(lrp.InputError, match="2 names given for 3 features"):
        made(np.ones((1, 3))).figure(names=["a", "b"])
    with pytest.raises(lrp.InputError, match="at least one"):
        figure_of([])
    with pytest.raises(IndexError):
        made(np.ones((1, 3))).figure(1)


def test_a_notebook_shows_it_and_names_cannot_inject() -> None:
    evil = "<script>alert(1)</script>"
    explanation = replace(
        made(np.ones((1, 1, 8, 8)), model=evil, labels=(evil, '"><img src=x onerror=1>', evil)),
        doubts=lambda: (evil,),
    )  # fmt: skip
    page = explanation._repr_html_()
    assert "<script" not in page
    assert page.count("<img") == 1
    (data,) = re.findall(r'src="data:image/png;base64,([A-Za-z0-9+/=]+)"', page)
    assert base64.b64decode(data) == explanation._repr_png_()
    with Image.open(io.BytesIO(explanation._repr_png_())) as image:
        assert image.size == explanation.plot().size
    assert page.count("&lt;script&gt;") >= 2


def test_an_outline_is_drawn_on_the_photo() -> None:
    mask = np.zeros((8, 8), bool)
    mask[2:6, 3:7] = True
    explanation = made(np.ones((1, 3, 8, 8)), RNG.uniform(0.3, 0.7, (1, 3, 8, 8)))
    plain, drawn = (np.asarray(explanation.figure(outline=o)).astype(int) for o in (None, mask))
    rows, columns = np.nonzero((plain != drawn).any(2))
    first = columns < 14 + SIDE
    cell = SIDE // 8
    edges = [TOP + 2 * cell, TOP + 6 * cell, 14 + 3 * cell, 14 + 7 * cell]
    ends = [rows[first].min() + 2, rows[first].max() - 1, columns[first].min() + 2, columns[first].max() - 1]
    assert ends == edges
    assert not (plain != drawn)[TOP + 3 * cell : TOP + 5 * cell, 14 + 4 * cell : 14 + 6 * cell].any()
    with pytest.raises(lrp.InputError, match=r"mask has shape \(4, 4\)"):
        explanation.figure(outline=np.ones((4, 4), bool))


def test_where_a_region_is() -> None:
    weights = np.zeros((5, 6, 7))
    weights[3, 1:3, 2:4] = [[1.0, -1.0], [2.0, 0.0]]
    area = area_of(weights, (6, 7))
    assert area is not None
    assert np.argwhere(area).tolist() == [[1, 2], [1, 3], [2, 2]]
    assert np.array_equal(area_of(weights.transpose(1, 2, 0), (6, 7)), area)
    assert area_of(weights, (7, 6)) is None
    assert area_of(np.ones((5, 6, 7)), (6, 7)) is None
    assert area_of(np.ones((6, 6, 6)), (6, 6)) is None
