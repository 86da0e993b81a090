"""What a search and the held-out inputs decide, on scores that can be judged by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import onnx_lrp as lrp
from onnx_lrp.evaluation.contenders import Contender
from onnx_lrp.evaluation.statistics import estimate, summed
from onnx_lrp.tuning.ground import spread
from onnx_lrp.tuning.judging import decided, judged
from onnx_lrp.tuning.recipe import STAGES, Recipe
from onnx_lrp.tuning.search import Search, rounds

RANDOM = np.random.default_rng(0)
BASE = {"p": RANDOM.normal(size=40), "pointing": RANDOM.normal(size=30)}
NOISE = {"p": np.tile([-1.0, 1.0], 20), "pointing": np.tile([-1.0, 1.0], 15)}  # a mean of 0


def shifted(**by: float) -> dict[str, np.ndarray]:
    return {name: BASE[name] + by.get(name, 0.0) + 0.1 * NOISE[name] for name in BASE}


@pytest.mark.parametrize(
    ("p", "pointing", "take", "words"),
    [
        (0.5, 0.5, True, "take the candidate: better in p and pointing"),
        (0.5, 0.0, True, "take the candidate: better in p, not shown to be worse in pointing"),
        (0.0, 0.5, True, "better in pointing, not shown to be worse in p"),
        (0.0, 0.0, False, "hold 0"),
        (0.5, -0.5, False, "worse in pointing, though better in p"),
        (-0.5, 9.0, False, "worse in p, though better in pointing"),
        (-0.5, 0.0, False, "the best candidate is worse in p"),
        (-0.5, -0.5, False, "worse in p and pointing"),
    ],
)
def test_taken_is_what_is_better_in_one_and_worse_in_none(p: float, pointing: float, take: bool, words: str) -> None:
    found, reason = decided(judged(shifted(p=p, pointing=pointing), BASE))
    assert found is take
    assert words in reason
    assert reason.startswith("take" if take else "keep the default")


def test_flipping_alone_decides_where_there_is_no_pointing() -> None:
    assert decided(judged({"p": BASE["p"] + 1}, {"p": BASE["p"]}))[0]
    assert not decided(judged({"p": BASE["p"]}, {"p": BASE["p"]}))[0]


def test_the_gain_is_the_sum_of_both_differences() -> None:
    gain = judged(shifted(p=0.5, pointing=-0.2), BASE).gain
    assert gain.mean == pytest.approx(0.3)
    assert gain.low < 0.3 < gain.high


def test_a_sum_of_means_is_as_wide_as_independent_ones_are() -> None:
    """Standard errors of groups that are drawn on their own add in squares."""
    groups = [RANDOM.normal(1, 2, 400), RANDOM.normal(3, 1, 100)]
    found = summed(groups)
    error = np.sqrt(sum(g.var() / len(g) for g in groups))
    assert found.mean == pytest.approx(sum(g.mean() for g in groups))
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.1)
    assert found.samples == 100
    assert summed(groups[:1]) == estimate(groups[0])
    assert summed([groups[0], np.array([np.nan])]).samples == 0


@pytest.mark.parametrize(
    ("inputs", "expected"), [(32, (8, 16, 32)), (64, (16, 32, 64)), (20, (5, 10, 20)), (6, (4, 6)), (4, (4,))]
)
def test_rounds_double(inputs: int, expected: tuple[int, ...]) -> None:
    assert rounds(inputs) == expected


def test_every_beginning_has_the_classes_of_the_whole() -> None:
    classes = np.repeat([3, 1, 7], [60, 30, 10])
    order = spread(classes, 0)
    assert sorted(order) == list(range(100))
    for count in (10, 20, 50):
        shares = [(classes[order[:count]] == label).mean() for label in (3, 1, 7)]
        assert np.allclose(shares, [0.6, 0.3, 0.1], atol=0.11)
    assert np.array_equal(order, spread(classes, 0))
    assert not np.array_equal(order, spread(classes, 1))


class Ground:
    """Scores by the rule of convolutions in the upper half; notes what is asked."""

    subject = SimpleNamespace(x=np.zeros(32))

    def __init__(self, scores: dict[str, float], pointing: dict[str, float] | None = None) -> None:
        self.by_rule, self.pointing, self.asked = scores, pointing or {}, []

    def scores(self, contender: Contender, count: int) -> dict[str, np.ndarray]:
        rule = contender.name
        self.asked.append((rule, count))
        if self.by_rule.get(rule) is None:
            raise lrp.NumericalError("not finite")
        p, pointing = self.by_rule[rule], self.pointing.get(rule, 0.0)
        return {"p": np.full(count, p), "pointing": np.full(count, pointing)}


def search(ground: Ground) -> Search:
    def rule(composite: lrp.Composite) -> str:
        return str({str(s): r for s, r in composite.entries}["Conv|ConvTranspose"])

    def build(composite: lrp.Composite) -> Any:
        return SimpleNamespace(name=rule(composite))

    return Search(ground, build, rule)  # type: ignore[arg-type]


STAGE = {
    name: recipe for stage in STAGES if stage.name == "upper half" for name, recipe in stage.recipes(Recipe()).items()
}


def test_half_of_the_candidates_go_on_and_the_best_one_to_the_end() -> None:
    scores = {str(r.upper): float(i == 3) * 0.5 + i / 100 for i, r in enumerate(STAGE.values())}
    found = search(ground := Ground(scores))
    winner = found._stage("upper half", {n: r for n, r in STAGE.items() if n != "ZPlus"}, Recipe())
    names = list(scores)
    assert winner.upper == list(STAGE.values())[3].upper
    asked = {count: {rule for rule, c in ground.asked if c == count} for count in (8, 16, 32)}
    assert asked[8] == set(names)
    assert asked[16] == {names[0], names[3], names[4], names[5]}
    assert asked[32] == {names[0], names[3]}
    assert len(ground.asked) == len(set(ground.asked))
    notes = {trial.choice: trial for trial in found.trail}
    assert notes["Gamma 0.25"].note == "taken"
    assert notes["Gamma 0.25"].gain == pytest.approx(0.53)
    assert (notes["Epsilon"].inputs, notes["Epsilon"].note) == (16, "another one gains more")
    assert notes["Gamma 1"].inputs == 8


def test_what_is_worse_in_one_measure_drops_out_and_what_fails_is_noted() -> None:
    """The largest sum is bought with pointing; one has no finite relevance; what is left gains nothing."""
    one, half, quarter, tenth, epsilon = [str(r.upper) for n, r in STAGE.items() if n != "ZPlus"]
    found = search(Ground({"ZPlus()": 0.0, one: 0.0, half: 5.0, quarter: -1.0, tenth: 0.0}, {half: -1.0, quarter: 9.0}))
    assert found._stage("upper half", {n: r for n, r in STAGE.items() if n != "ZPlus"}, Recipe()) == Recipe()
    notes = {trial.choice: trial.note for trial in found.trail}
    assert notes == {
        "Gamma 1": "its gain's interval holds 0", "Gamma 0.5": "worse in pointing", "Gamma 0.25": "worse in p",
        "Gamma 0.1": "another one gains more", "Epsilon": "not finite",
    }  # fmt: skip
    assert epsilon not in found._ready


def test_a_recipe_left_alone_is_the_default() -> None:
    bounds = Recipe(0.0, (1.0, 2.0))
    assert Recipe().composite() == lrp.Composite.parse("default")
    assert bounds.composite().bounds == (0.0, (1.0, 2.0))
    assert bounds.composite().name == "default"
    for stage in STAGES:
        first = next(iter(stage.recipes(bounds).values()))
        assert first == bounds, stage.name
        assert len({str(recipe.composite()) for recipe in stage.recipes(bounds).values()}) == len(stage.choices)


def test_every_candidate_can_be_written_and_read(tmp_path: Any) -> None:
    for stage in STAGES:
        for recipe in stage.recipes(Recipe(0.0, 1.0)).values():
            composite = recipe.composite()
            composite.save(tmp_path / "one.toml", force=True)
            assert lrp.Composite.load(tmp_path / "one.toml") == composite


def test_both_halves_alike_are_one_entry_and_the_last_dense_layer_keeps_epsilon() -> None:
    zones = Recipe(lower=lrp.Gamma(1.0), dense=lrp.Gamma(0.25)).composite()
    assert [(str(s), str(r)) for s, r in zones.entries[2:]] == [
        ("Conv|ConvTranspose depth=0..0.5", "Gamma(gamma=1.0)"),
        ("Conv|ConvTranspose", "ZPlus()"),
        ("Gemm|MatMul place=head", "Epsilon()"),
        ("Gemm|MatMul", "Gamma()"),
    ]
    assert len(Recipe(lower=lrp.Gamma(1.0), upper=lrp.Gamma(1.0)).composite().entries) == 4
    ignoring = Recipe(bias="ignore").composite()
    assert {rule.bias for _, rule in ignoring.entries} == {ignoring.default.bias} == {"ignore"}
