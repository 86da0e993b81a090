"""The grid pointing game, randomisation, stability, sparseness and intervals, each against numbers made by hand."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

import onnx_lrp as lrp
from onnx_lrp.evaluation.conservation import arrived
from onnx_lrp.evaluation.forms import Form
from onnx_lrp.evaluation.methods import Attribute
from onnx_lrp.evaluation.mosaics import Mosaics, mosaics
from onnx_lrp.evaluation.pointing import pointing
from onnx_lrp.evaluation.randomisation import similarity_under_noise
from onnx_lrp.evaluation.randomising import randomised, weights
from onnx_lrp.evaluation.sparseness import gini
from onnx_lrp.evaluation.stability import instability
from onnx_lrp.evaluation.statistics import estimate, paired
from tests.evaluation.linear import linear

GREY = Form("pictures", "NCHW")
NET = onnx.parser.parse_model(
    """<ir_version: 8, opset_import: ["" : 17]>
    net (float[n, 3] x) => (float[n, 2] y)
    <float[3, 4] first = {1,2,3,4,5,6,7,8,9,10,11,12}, float[4, 2] second = {1,2,3,4,5,6,7,8}, float[2] bias = {1,2}> {
        a = MatMul (x, first)
        b = Relu (a)
        y = Gemm (b, second, bias)
        unused = MatMul (b, second)
    }"""
)


def test_pointing_counts_positive_relevance_in_the_right_quarter() -> None:
    """On a mosaic of single pixels: relevance 1, 2, -3, 1 for the upper left, 5 for the lower right alone."""
    weight = np.zeros((4, 1, 2, 2))
    weight[0, 0] = [[1, 2], [-3, 1]]
    weight[1, 0] = [[4, 1], [2, 3]]
    weight[2, 0] = [[-1, -1], [-1, -1]]
    weight[3, 0] = [[0, 0], [0, 5]]
    board = Mosaics(np.ones((1, 1, 2, 2)), np.array([[0, 1, 2, 3]]), (1, 1))
    assert pointing(linear(weight)[1], board, GREY).tolist() == [[1 / 4, 1 / 10, 0, 1]]


def test_pointing_sums_channels_first() -> None:
    relevance = np.array([[[[3.0, 1], [0, 0]], [[-2, 1], [0, 1]]]])  # sums 1, 2, 0, 1
    board = Mosaics(relevance, np.array([[0, 0, 0, 0]]), (1, 1))
    assert pointing(lambda x, targets: x, board, GREY).tolist() == [[0.25, 0.5, 0, 0.25]]


def test_what_knows_nothing_points_by_chance() -> None:
    board = Mosaics(np.ones((3, 2, 8, 6)), np.zeros((3, 4), np.int64), (4, 3))
    assert np.all(pointing(lambda x, targets: x, board, GREY) == 0.25)


def pictures_of_classes(classes: list[int], sure: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of one grey value, the class; and what the model makes of them."""
    x = np.array(classes, np.float32)[:, None, None, None] * np.ones((1, 1, 4, 4), np.float32)
    probability = np.zeros((len(classes), 6))
    probability[np.arange(len(classes)), classes] = sure
    return x, probability


def test_each_quarter_of_a_mosaic_shows_the_class_it_is_said_to() -> None:
    x, probability = pictures_of_classes([0, 1, 2, 3, 4, 5], [0.9] * 6)
    for larger, size in ((True, 4), (False, 2)):
        board = mosaics(x, probability, GREY, larger)
        assert board.pictures.shape == (6, 1, 2 * size, 2 * size)
        assert board.pictures.dtype == np.float32
        for picture, classes in zip(board.pictures, board.classes):
            assert len(set(classes.tolist())) == 4
            expected = np.kron(classes.reshape(2, 2), np.ones((size, size)))
            assert np.allclose(picture[0], expected, atol=1e-6)


def test_only_the_surer_half_of_a_class_is_taken() -> None:
    x, probability = pictures_of_classes([0, 0, 0, 0, 1, 2, 3], [0.9, 0.5, 0.8, 0.6, 0.9, 0.9, 0.9])
    x[1], x[3] = 77, 77
    assert 77 not in mosaics(x, probability, GREY, True).pictures


def test_pictures_are_shrunk_by_area() -> None:
    _, probability = pictures_of_classes([0, 1, 2, 3], [0.9] * 4)
    odd = np.broadcast_to(np.arange(15.0).reshape(1, 1, 3, 5), (4, 1, 3, 5))
    board = mosaics(odd, probability, GREY, False)
    assert (board.pictures.shape, board.middle) == ((4, 1, 3, 5), (1, 2))
    upper_left = [np.mean([(0 + 1 + 0.5 * 2 + 5 + 6 + 0.5 * 7 + 10 + 11 + 0.5 * 12) / 7.5])]
    assert np.allclose(board.pictures[:, 0, 0, 0], upper_left)
    assert np.allclose(board.pictures[:, 0].mean((1, 2)), 7)


def test_the_game_needs_four_classes() -> None:
    x, probability = pictures_of_classes([0, 1, 2, 2], [0.9] * 4)
    with pytest.raises(lrp.InputError, match="needs pictures of four classes, the model predicts 3"):
        mosaics(x, probability, GREY, True)


def by_first_layer(model: onnx.ModelProto) -> Attribute:
    """Relevance x_i Σ_j w_ij of the first layer alone."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return lambda x, targets: x * stored["first"].sum(1)


def test_layers_lose_their_weights_from_the_output_down() -> None:
    layers = weights(NET, "y")
    assert layers == [("second",), ("first",)]
    half, whole = (randomised(NET, layers, depth) for depth in (0.5, 1.0))
    stored = [{t.name: numpy_helper.to_array(t) for t in m.graph.initializer} for m in (NET, half, whole)]
    assert np.array_equal(stored[1]["first"], stored[0]["first"])
    assert np.array_equal(stored[1]["second"], stored[2]["second"])
    assert not np.any(stored[2]["second"] == stored[0]["second"])
    assert not np.any(stored[2]["first"] == stored[0]["first"])
    assert np.array_equal(stored[2]["bias"], stored[0]["bias"])


def test_what_the_target_does_not_depend_on_is_left_alone() -> None:
    assert weights(NET, "a") == [("first",)]


def test_noise_has_the_weights_mean_and_deviation() -> None:
    net = onnx.ModelProto()
    net.CopyFrom(NET)
    large = (3 + 2 * np.random.default_rng(1).uniform(size=(3, 40_000))).astype(np.float32)
    net.graph.initializer[0].CopyFrom(numpy_helper.from_array(large, "first"))
    noise = numpy_helper.to_array(randomised(net, weights(net, "y"), 1.0).graph.initializer[0])
    assert noise.dtype == np.float32
    assert abs(noise.mean() - large.mean()) < 0.01
    assert abs(noise.std() / large.std() - 1) < 0.01


def test_similarity_is_one_until_the_explaining_layer_is_noise() -> None:
    """The explanation by the first layer knows nothing of the second: 1, 1, and then the ranks of the noise."""
    x, targets, layers = np.array([[1.0, 1, 1], [3, -2, 1]]), np.zeros(2, np.int64), weights(NET, "y")
    relevance = by_first_layer(NET)(x, targets)
    assert relevance.tolist() == [[10, 26, 42], [30, -52, 42]]
    found = similarity_under_noise(by_first_layer, NET, layers, x, targets, relevance)
    assert np.all(found[:, :2] == 1)
    noisy = np.abs(by_first_layer(randomised(NET, layers, 1.0))(x, targets))
    for row, ours, theirs in zip(found, np.abs(relevance), noisy):
        d = ours.argsort().argsort() - theirs.argsort().argsort()
        assert row[2] == pytest.approx(1 - 6 * (d**2).sum() / (3 * 8))  # Spearman, without ties


def test_what_no_explanation_finds_relevant_says_nothing_of_their_likeness() -> None:
    """Ranks 1 2 3 4 and 1 2 4 3; thousands of pixels that are 0 in both would make them equal."""
    x = np.zeros((1, 1000))
    x[0, :4] = 1

    def build(model: onnx.ModelProto) -> Attribute:
        last = (4, 3) if model is not NET else (3, 4)
        return lambda x, targets: x * np.array([1.0, 2, *last, *range(996)])

    relevance, targets = build(NET)(x, np.zeros(1, np.int64)), np.zeros(1, np.int64)
    found = similarity_under_noise(build, NET, weights(NET, "y"), x, targets, relevance)
    assert found[0] == pytest.approx(1 - 6 * 2 / (4 * 15))


def test_a_model_without_weights_is_said_to_have_none() -> None:
    net = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[n] x) => (float[n] y) {y = Relu(x)}'
    )
    with pytest.raises(lrp.ModelError, match="nothing to randomise"):
        randomised(net, weights(net, "y"), 1.0)


def test_instability_is_the_largest_relative_change() -> None:
    """R = w ⊙ x moves by w ⊙ δ; R = 1 by nothing; R = 0 has no length to compare with."""
    x, targets = np.random.default_rng(0).normal(size=(5, 4)), np.zeros(5, np.int64)
    weight = np.array([[1.0, -2, 3, 0]])
    attribute = linear(weight)[1]
    found = instability(attribute, x, targets, attribute(x, targets), copies=3, amount=0.1, seed=7)
    random, largest = np.random.default_rng(7), np.zeros(5)
    for _ in range(3):
        delta = 0.1 * x.std() * random.standard_normal(x.shape)
        for i in range(5):
            change = np.linalg.norm(weight[0] * delta[i]) / np.linalg.norm(weight[0] * x[i])
            largest[i] = max(largest[i], change)
    assert np.allclose(found, largest)
    assert np.all(instability(lambda x, t: np.ones_like(x), x, targets, np.ones_like(x)) == 0)
    assert np.isnan(instability(lambda x, t: 0 * x, x, targets, 0 * x)).all()


def test_gini_is_that_of_the_hand_and_of_all_pairs() -> None:
    assert gini(np.array([[1.0, 1, 1, 1], [0, 0, 0, -4]])).tolist() == [0, 0.75]
    assert np.isnan(gini(np.zeros((1, 3)))).all()
    relevance = np.random.default_rng(0).normal(size=(4, 1, 3, 5))
    for value, r in zip(gini(relevance), relevance):
        v = np.abs(r).ravel()
        assert value == pytest.approx(np.abs(v[:, None] - v).sum() / (2 * len(v) * v.sum()))


def test_what_arrives_is_a_share_of_the_target() -> None:
    account = lrp.Conservation(np.array([2.0, -4, 0]), np.array([1.0, -4, 1]))
    assert np.array_equal(arrived(account), [0.5, 1, np.nan], equal_nan=True)


def test_intervals_cover_the_mean_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    found = [estimate(random.normal(1, 2, 40)) for _ in range(200)]
    assert 180 <= sum(e.low <= 1 <= e.high for e in found) <= 198
    assert np.mean([e.high - e.low for e in found]) == pytest.approx(2 * 1.96 * 2 / np.sqrt(40), rel=0.1)


def test_a_paired_difference_sees_what_two_intervals_do_not() -> None:
    reference = np.random.default_rng(0).normal(0, 10, 50)
    better = reference + np.random.default_rng(1).normal(0.5, 0.5, 50)
    difference = paired(better, reference)
    assert difference.significant
    assert estimate(better).low < estimate(reference).high
    assert not paired(reference, reference).significant
    assert (paired(reference, reference).low, paired(reference, reference).high) == (0, 0)


def test_what_could_not_be_measured_does_not_count() -> None:
    assert estimate(np.array([1.0, np.nan, 1])).samples == 2
    nothing = estimate(np.array([np.nan]))
    assert nothing.samples == 0
    assert not nothing.significant
