"""What a batch of explanations gives to the index, the maps and the scores of a block."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("pyarrow")
from tinynets import WEIGHTS, block, linear, net, pooled, rows

from onnx_lrp import Explainer, Explanation
from onnx_lrp.batch.answers import (
    Answers,
    answers_of,
    answers_of_failures,
    require_finite,
    require_shapes,
)
from onnx_lrp.batch.filling import Filling
from onnx_lrp.batch.gathered import Failure, Gathered
from onnx_lrp.batch.items import Item
from onnx_lrp.batch.order import Order
from onnx_lrp.batch.surfaces import map_shapes, maps_of
from onnx_lrp.checking.observed import FAINT
from onnx_lrp.errors import InputError, NumericalError

ORDER = Order(shapes={"x": (10,)}, output=(3,), save=frozenset(("maps", "scores", "topk")), top=2)


def group_of(x: np.ndarray) -> Gathered:
    n = len(x)
    items = [Item(f"in{i}", label=str(i)) for i in range(n)]
    return Gathered(block(n), range(n), items, [f"sha{i}" for i in range(n)], {"x": x})


def answered(model: onnx.ModelProto, x: np.ndarray, order: Order, more: int = 0) -> tuple[Explanation, Answers]:
    explainer, group = Explainer(model), group_of(x)
    explanation = explainer(group.filled(len(x) + more))
    return explanation, answers_of(explanation, group, explainer.prepared.explaining, order)


def test_a_group_is_answered_row_by_row_and_what_filled_it_up_is_left_out() -> None:
    x = rows(5)
    explanation, found = answered(linear(), x, ORDER, more=3)
    scores = x @ WEIGHTS
    assert {len(column) for column in found.columns.values()} == {5}
    assert found.columns["input"] == [f"in{i}" for i in range(5)]
    assert found.columns["label"] == [str(i) for i in range(5)]
    assert found.columns["sha256"] == [f"sha{i}" for i in range(5)]
    assert found.columns["prediction"] == scores.argmax(1).tolist()
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    np.testing.assert_allclose(found.columns["probability"], shares.max(1), 1e-5)
    np.testing.assert_allclose(found.columns["start"], scores.max(1), 1e-5)
    np.testing.assert_allclose(found.columns["relevance"], explanation.inputs["x"][:5].sum(1), 1e-5)
    np.testing.assert_allclose(found.columns["size"], np.abs(explanation.inputs["x"][:5]).sum(1), 1e-5)
    gap = np.subtract(found.columns["start"], found.columns["relevance"])
    np.testing.assert_allclose(found.columns["absorbed"], gap, atol=1e-6)
    np.testing.assert_array_equal(found.maps["x"], explanation.inputs["x"][:5])
    np.testing.assert_array_equal(found.scores, explanation.output[:5])


def test_the_top_classes_are_the_largest_first_and_of_two_alike_the_first() -> None:
    weights = np.zeros((10, 3), np.float32)
    weights[0] = (1, 2, 2)
    _, found = answered(linear(weights=weights), np.ones((2, 10), np.float32), ORDER)
    assert found.columns["top_classes"] == [[1, 2]] * 2
    assert found.columns["top_probabilities"][0][0] == found.columns["top_probabilities"][0][1] > 0.4


def test_only_what_is_wanted_is_kept() -> None:
    _, found = answered(linear(), rows(2), Order(save=frozenset()))
    assert (dict(found.maps), found.scores) == ({}, None)
    assert "top_classes" not in found.columns


def faint(share: float) -> onnx.ModelProto:
    """Of whose target so much reaches the inputs, the rest the bias; next to an output of 10,000 in another class."""
    kept = np.zeros((10, 3), np.float32)
    kept[0, 0], kept[1, 1] = share, 1e4
    return net([("Gemm", ["x", "w", "b"], "y", {})], {"x": ("n", 10)}, ("n", 3), w=kept,
               b=np.array([1 - share, 0, 0], np.float32))  # fmt: skip


@pytest.mark.parametrize(("share", "other", "warned"), [
    (FAINT * 0.9, 0, True), (FAINT * 1.1, 0, False), (FAINT * 0.9, 1, False),
])  # fmt: skip
def test_little_at_the_inputs_is_doubted_but_not_of_a_target_that_is_nothing(
    share: float, other: float, warned: bool
) -> None:
    x = np.zeros((1, 10), np.float32)
    x[0, :2] = 1, other
    explainer = Explainer(faint(share))
    found = answers_of(explainer(x, 0), group_of(x), explainer.prepared.explaining, Order())
    (warning,) = found.columns["warnings"]
    assert (warning is not None) == warned
    assert warning is None or warning == "only 9 % of the target arrives at the inputs"


def test_a_failure_keeps_what_is_known_of_its_input() -> None:
    found = answers_of_failures([Failure(7, Item("a", label="3"), "is bad", "sha"), Failure(9, Item("b"), "is worse")])
    assert list(found.rows) == [7, 9]
    assert found.columns == {
        "input": ["a", "b"], "label": ["3", None], "sha256": ["sha", None], "error": ["is bad", "is worse"],
    }  # fmt: skip


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_answer_is_a_number(value: float) -> None:
    require_finite(np.ones((2, 3)), "model")
    with pytest.raises(NumericalError, match="model: the model's own answer is not finite"):
        require_finite(np.array([[1.0, value]]), "model")


def test_an_answer_that_is_no_number_is_an_error_though_its_relevance_is_one() -> None:
    explainer, group = Explainer(linear()), group_of(rows(2))
    explanation = explainer(group.feeds, 0)
    explanation.output[1, 2] = np.inf
    with pytest.raises(NumericalError):
        answers_of(explanation, group, explainer.prepared.explaining, ORDER)


def test_maps_of_another_shape_are_refused_by_their_inputs() -> None:
    explaining = Explainer(pooled()).prepared.explaining
    order = Order(shapes={"x": (4, 5)})
    require_shapes({"x": np.ones((2, 3, 4, 5), np.float32)}, explaining, order)
    with pytest.raises(InputError, match=r"has the shape \(5, 4\), those of the run have \(4, 5\)"):
        require_shapes({"x": np.ones((2, 3, 5, 4), np.float32)}, explaining, order)
    require_shapes({"x": np.ones((2, 3, 5, 4), np.float32)}, explaining, Order())


@pytest.mark.parametrize(("whole", "shape"), [(False, (4, 5)), (True, (3, 4, 5))])
def test_the_channels_of_pictures_are_summed_or_kept(whole: bool, shape: tuple[int, ...]) -> None:
    explaining = Explainer(pooled()).prepared.explaining
    relevance = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    assert map_shapes(explaining, {"x": relevance}, whole) == {"x": shape}
    found = maps_of(explaining[0], relevance, whole)
    np.testing.assert_allclose(found, relevance if whole else relevance.sum(1), 1e-6)


@pytest.mark.parametrize(("weight", "whole", "fits"), [(1e30, True, True), (1e39, True, False), (2e38, False, False)])
def test_relevance_beyond_float32_is_an_error(weight: float, whole: bool, fits: bool) -> None:
    explaining = Explainer(pooled()).prepared.explaining
    relevance = np.ones((2, 3, 4, 5))
    relevance[1, :2, 2, 2] = weight
    if fits:
        assert np.isfinite(maps_of(explaining[0], relevance, whole)).all()
        return
    with pytest.raises(NumericalError, match=r"^its relevance goes beyond 3.4e38.*float32; scale the input down$"):
        maps_of(explaining[0], relevance, whole)


def test_scores_beyond_float32_are_an_error_where_they_are_kept() -> None:
    explainer, group = Explainer(linear()), group_of(rows(2))
    explanation = explainer(group.feeds, 0)
    beyond = replace(explanation, output=explanation.output.astype(np.float64))
    beyond.output[1, 2] = 1e39
    assert answers_of(beyond, group, explainer.prepared.explaining, replace(ORDER, save=frozenset())).scores is None
    with pytest.raises(NumericalError, match=r"^its answer goes beyond 3.4e38"):
        answers_of(beyond, group, explainer.prepared.explaining, ORDER)


def filled(*some: Answers, order: Order = ORDER) -> Any:
    filling = Filling(block(8, 4), order)
    for one in some:
        filling.add(one)
    return filling.found(list(range(104, 108)))


def test_answers_may_come_in_any_order() -> None:
    maps = np.arange(40, dtype=np.float32).reshape(4, 10)
    scores = np.arange(12, dtype=np.float32).reshape(4, 3)
    found = filled(
        Answers([7, 4], {"prediction": [3, 0]}, {"x": maps[[3, 0]]}, scores[[3, 0]]),
        Answers([5, 6], {"prediction": [1, 2]}, {"x": maps[1:3]}, scores[1:3]),
    )
    assert found.columns["prediction"] == [0, 1, 2, 3]
    assert (found.columns["row"], found.columns["origin"]) == ([4, 5, 6, 7], [104, 105, 106, 107])
    np.testing.assert_array_equal(found.maps["x"], maps)
    np.testing.assert_array_equal(found.scores, scores)


def test_what_nothing_was_added_to_is_null_and_nan() -> None:
    found = filled(Answers([5], {"error": ["bad"]}), order=ORDER)
    assert found.columns["error"] == [None, "bad", None, None]
    assert found.maps["x"].shape == (4, 10)
    assert found.scores.shape == (4, 3)
    assert np.isnan(found.maps["x"]).all()
    assert np.isnan(found.scores).all()
    none = filled(order=Order(save=frozenset()))
    assert (none.maps, none.scores) == ({}, None)


@pytest.mark.parametrize("at", [[4, 5], [4, 6]])
def test_too_few_values_do_not_move_the_others(at: list[int]) -> None:
    with pytest.raises(ValueError, match="1 values for 2 rows"):
        filled(Answers(at, {"prediction": [1]}))
