"""Pixel flipping: by hand, and against a naive loop; the imputations against dense systems and plain loops."""

from __future__ import annotations

import numpy as np
import pytest

import onnx_lrp as lrp
from onnx_lrp.evaluation.flipping import Flips, areas, flip
from onnx_lrp.evaluation.forms import Form, Pieces
from onnx_lrp.evaluation.imputing import blurred, imputation
from tests.evaluation.linear import linear

PICTURES = Form("pictures", "NCHW")
RANDOM = np.random.default_rng(0)


def test_the_areas_of_a_linear_model_are_those_of_the_hand() -> None:
    """One row of four features worth 4, 3, 2, 1, each set to 0: the logit falls 10 6 3 1 0, or 10 9 7 4 0."""
    predict, attribute = linear(np.array([[4.0, 3, 2, 1], [0, 0, 0, 0]]))
    x, targets = np.ones((1, 4)), np.zeros(1, np.int64)
    form = Form("rows")
    zero = imputation("mean", form, np.zeros((2, 4)))
    flips = flip(predict, x, targets, attribute(x, targets), Pieces.of(form, (4,)), zero, steps=4)
    assert flips.logit[:, 0].tolist() == [[10, 6, 3, 1, 0], [10, 9, 7, 4, 0]]
    scores = flips.scores()
    assert scores["logit MoRF"] == pytest.approx((5 + 6 + 3 + 1) / 4)
    assert scores["logit LeRF"] == pytest.approx((5 + 9 + 7 + 4) / 4)
    assert scores["logit"] == pytest.approx(10 / 4)
    probability = 1 / (1 + np.exp(-np.array([6.0, 3, 1, 9, 7, 4])))
    assert scores["p"] == pytest.approx((probability[3:].sum() - probability[:3].sum()) / 4)
    assert scores["accuracy"] == 0  # the target stays the first of equal ones to the end


def test_the_accuracy_area_is_four_times_that_of_the_accuracy() -> None:
    share = np.array([0, 0.5, 1])
    correct = np.array([[[1.0, 0, 0]], [[1, 1, 0]]])
    assert Flips(share, correct, None, correct).scores()["accuracy"] == 4 * (0.75 - 0.25)


def test_areas_are_trapezoids() -> None:
    assert areas(np.array([0, 0.25, 1]), np.array([1.0, 0.5, 0])) == 0.25 * 0.75 + 0.75 * 0.25


@pytest.mark.parametrize(("axes", "sample"), [("NCHW", (2, 5, 7)), ("NHWC", (5, 7, 2)), ("NHW", (5, 7))])
@pytest.mark.parametrize("name", ["blur", "mean", "noisy-linear"])
def test_it_agrees_with_a_loop_over_samples_and_steps(axes: str, sample: tuple[int, ...], name: str) -> None:
    form = Form("pictures", axes)
    x = RANDOM.normal(size=(3, *sample))
    predict, attribute = linear(RANDOM.normal(size=(3, *sample)))
    targets = np.array([2, 0, 1])
    impute = imputation(name, form, x)
    found = flip(predict, x, targets, attribute(x, targets), Pieces.of(form, sample, 2), impute, steps=5)
    taken = [0, 2, 5, 7, 10, 12]  # of 3 x 4 regions
    for i in range(3):
        plane = form.planes(attribute(x, targets))[i].sum(0)
        regions = [(r, c) for r in range(0, 5, 2) for c in range(0, 7, 2)]
        order = sorted(regions, key=lambda at: -plane[at[0] : at[0] + 2, at[1] : at[1] + 2].sum())
        for row, pieces in enumerate((order, order[::-1])):
            for k, count in enumerate(taken):
                mask = np.zeros((3, *sample), bool)
                for r, c in pieces[:count]:
                    form.planes(mask)[i, :, r : r + 2, c : c + 2] = True
                answer = predict(impute(x)(mask))[i, targets[i]]
                assert found.logit[row, i, k] == pytest.approx(answer, abs=0.02 if name == "noisy-linear" else 1e-9)


def test_where_relevance_is_equal_the_order_is_random_and_the_area_about_zero() -> None:
    predict, _ = linear(RANDOM.uniform(size=(2, 1, 16, 16)))
    x = RANDOM.uniform(size=(2, 1, 16, 16))
    flips = flip(
        predict, x, np.zeros(2, np.int64), np.zeros_like(x), Pieces.of(PICTURES, x.shape[1:]),
        imputation("mean", PICTURES, np.zeros_like(x)),
    )  # fmt: skip
    assert (np.abs(flips.scores()["logit"]) < 0.03 * np.abs(flips.logit[0, :, 0])).all()


def test_an_order_turned_round_changes_the_sign() -> None:
    predict, attribute = linear(RANDOM.normal(size=(2, 1, 8, 8)))
    x, targets = RANDOM.normal(size=(4, 1, 8, 8)), np.array([0, 1, 1, 0])
    relevance, pieces = attribute(x, targets), Pieces.of(PICTURES, (1, 8, 8))
    impute = imputation("mean", PICTURES, x)
    a, b = (flip(predict, x, targets, sign * relevance, pieces, impute).scores()["p"] for sign in (1, -1))
    assert np.allclose(a, -b)
    assert (a > 0).all()


def test_regions_are_as_many_as_are_said() -> None:
    assert (Pieces.of(PICTURES, (1, 28, 28)).side, Pieces.of(PICTURES, (1, 28, 28)).count) == (2, 196)
    assert (Pieces.of(PICTURES, (3, 224, 224)).side, Pieces.of(PICTURES, (3, 224, 224)).count) == (14, 256)
    assert Pieces.of(PICTURES, (3, 8, 8)).side == 1
    with pytest.raises(lrp.InputError, match="region=29: a picture of 28x28 has regions of 1 to 28 pixels"):
        Pieces.of(PICTURES, (1, 28, 28), 29)
    with pytest.raises(lrp.InputError, match="only pictures have regions"):
        Pieces.of(Form("rows"), (4,), 2)


def test_noisy_linear_solves_the_dense_system() -> None:
    form = Form("pictures", "NHW")
    x = RANDOM.normal(size=(2, 5, 6))
    mask = RANDOM.uniform(size=x.shape) < 0.6
    filled = imputation("noisy-linear", form, x)(x)(mask)
    for plane, holes, got in zip(x, mask, filled):
        missing = [tuple(at) for at in np.argwhere(holes)]
        system, right = np.zeros((len(missing), len(missing))), np.zeros(len(missing))
        for row, (i, j) in enumerate(missing):
            for a, b in ((i + di, j + dj) for di in (-1, 0, 1) for dj in (-1, 0, 1) if (di, dj) != (0, 0)):
                if not (0 <= a < 5 and 0 <= b < 6):
                    continue
                weight = 1 / 6 if a == i or b == j else 1 / 12
                system[row, row] += weight
                if (a, b) in missing:
                    system[row, missing.index((a, b))] -= weight
                else:
                    right[row] += weight * plane[a, b]
        expected = np.linalg.solve(system, right)
        assert np.abs(got[holes] - expected).max() < 0.05 * plane.std()  # the noise: 1 %
        assert np.array_equal(got[~holes], plane[~holes])


def test_noisy_linear_is_smooth_across_large_holes() -> None:
    """A linear slope with a large hole in it is its own solution, but for the noise."""
    slope = np.linspace(0, 1, 45)[:, None] + np.linspace(0, 2, 38)
    mask = np.zeros((1, 45, 38), bool)
    mask[:, 3:41, 2:35] = True
    filled = imputation("noisy-linear", Form("pictures", "NHW"), slope[None])(slope[None])(mask)
    assert np.abs(filled - slope).max() < 0.05 * slope.std()


def test_of_a_picture_that_is_all_taken_away_the_mean_is_left() -> None:
    x = RANDOM.uniform(size=(2, 3, 6, 6)).astype(np.float32)
    filled = imputation("noisy-linear", PICTURES, x)(x)(np.ones(x.shape, bool))
    assert np.abs(filled - x.mean((2, 3), keepdims=True)).max() < 0.05
    assert filled.dtype == np.float32


def test_the_blur_is_a_gaussian_within_the_picture() -> None:
    x = np.zeros((1, 1, 9, 11))
    x[0, 0, 3, 4] = 1
    width = 20 / 224 * 11
    rows, columns = (
        np.array([np.exp(-((i - at) ** 2) / 2 / width**2) / sum(np.exp(-((i - k) ** 2) / 2 / width**2)
                  for k in range(size)) for i in range(size)]) for size, at in ((9, 3), (11, 4))
    )  # fmt: skip
    assert np.allclose(blurred(x, PICTURES)[0, 0], rows[:, None] * columns)


def test_integers_stay_integers() -> None:
    x = RANDOM.integers(0, 255, (2, 3, 8, 8)).astype(np.uint8)
    filled = imputation("blur", PICTURES, x)(x)(np.ones(x.shape, bool))
    assert filled.dtype == np.uint8
    ids = np.array([[1, 2, 3], [4, 5, 6]])
    mask = np.array([[True, False, False], [False, True, True]])
    masked = imputation(None, Form.of(["n", "length"], ids), ids, mask=9)(ids)(mask)
    assert masked.tolist() == [[9, 2, 3], [4, 9, 9]]


def test_what_cannot_be_imputed_is_said_in_a_line() -> None:
    rows, ids = np.ones((2, 3)), np.ones((2, 3), np.int64)
    with pytest.raises(lrp.InputError, match="imputation 'blur' is not for rows; choose 'mean'"):
        imputation("blur", Form("rows"), rows)
    with pytest.raises(lrp.InputError, match=r"say which id masks a token \(mask=103, --mask 103\)"):
        imputation(None, Form("tokens"), ids)
    with pytest.raises(lrp.InputError, match="no id of dtype uint8"):
        imputation(None, Form("tokens"), ids.astype(np.uint8), mask=300)


def test_kinds_are_told_by_shape_and_dtype() -> None:
    assert Form.of(["n", 3, None, None], np.ones((1, 3, 8, 8))) == PICTURES
    assert Form.of([None, 8, 8, 3], np.ones((1, 8, 8, 3))).axes == "NHWC"
    assert Form.of(["n", "f"], np.ones((1, 8))).kind == "rows"
    assert Form.of(["n", "f"], np.ones((1, 8), np.int32)).kind == "tokens"
    with pytest.raises(lrp.InputError, match="no axis that counts samples"):
        Form.of([3, 8, 8], np.ones((3, 8, 8)))


def test_one_output_has_only_a_logit() -> None:
    predict, attribute = linear(np.ones((1, 4)))
    x, targets = np.ones((3, 4)), np.zeros(3, np.int64)
    pieces = Pieces.of(Form("rows"), (4,))
    flips = flip(predict, x, targets, attribute(x, targets), pieces, imputation(None, Form("rows"), 0 * x))
    assert set(flips.scores()) == {"logit", "logit MoRF", "logit LeRF"}
    assert len(flips.share) == 5  # there are only four features
