"""The search: one thing after the other, each choice of it by successive halving (Jamieson and Talwalkar 2016)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..composites import Composite
from ..errors import CompositeError, OnnxLrpError
from ..evaluation.contenders import Contender
from ..evaluation.contest import Progress
from ..evaluation.statistics import Estimate
from .ground import Ground, SampleScores
from .judging import judged
from .recipe import STAGES, Recipe

FEWEST = 4  # inputs of a round


@dataclass(frozen=True)
class Trial:
    """What became of one candidate.

    Attributes:
        stage: what was being chosen.
        choice: the candidate's.
        inputs: how many it was measured on last.
        scores: means over these by measure; empty of one that was not measured.
        gain: the sum over the measures of what it has more than the best so far, on the same inputs; None without.
        note: ``"taken"``, or why not.
    """

    stage: str
    choice: str
    inputs: int
    scores: Mapping[str, float]
    gain: float | None
    note: str


def rounds(count: int) -> tuple[int, ...]:
    """How many of the tuning inputs each round takes: a quarter, a half, all, but none fewer than four."""
    return tuple(sorted({min(count, max(FEWEST, count // part)) for part in (4, 2, 1)}))


@dataclass
class Search:
    """A search under way.

    Attributes:
        ground: the tuning inputs.
        build: makes a composite ready.
        rules: what a composite comes to on this model, as text; two that are alike there explain alike.
        progress: what is told how far it is.
        trail: every candidate.
    """

    ground: Ground
    build: Callable[[Composite], Contender]
    rules: Callable[[Composite], str]
    progress: Progress | None = None
    trail: list[Trial] = field(default_factory=list)
    _known: dict[tuple[str, int], SampleScores] = field(default_factory=dict)
    _ready: dict[str, Contender] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many trials there will be."""
        return sum(len(stage.choices) - 1 for stage in STAGES)

    def run(self, start: Recipe) -> Recipe:
        """The best that is found, from a recipe on; the same one if nothing is better.

        Raises:
            OnnxLrpError: the start has no meaning for this model.
        """
        found = start
        for stage in STAGES:
            challengers = {name: r for name, r in stage.recipes(found).items() if r != found}
            found = self._stage(stage.name, challengers, found)
        return found

    def _stage(self, stage: str, recipes: Mapping[str, Recipe], incumbent: Recipe) -> Recipe:
        """The winner of one stage, the incumbent if nothing is better; notes every candidate."""
        trials, live = self._sifted(stage, recipes, incumbent)
        steps, winner = rounds(len(self.ground.subject.x)), incumbent
        for step, count in enumerate(steps):
            gains: dict[str, Estimate] = {}
            for name in live:
                self._tell(f"{stage}: {name}, {count} inputs")
                trials[name], gain = self._tried(stage, name, recipes[name], incumbent, count)
                gains |= {} if gain is None else {name: gain}
            live = sorted(gains, key=lambda name: -gains[name].mean)[: _kept(len(gains), steps[step + 1 :])]
        for name in live:
            better = gains[name].low > 0
            trials[name] = replace(trials[name], note="taken" if better else "its gain's interval holds 0")
            winner = recipes[name] if better else incumbent
        self.trail += trials.values()
        self._ready = {key: made for key, made in self._ready.items() if key == self._key(winner)}
        return winner

    def _sifted(
        self, stage: str, recipes: Mapping[str, Recipe], incumbent: Recipe
    ) -> tuple[dict[str, Trial], list[str]]:
        """All trials as they begin, and the names of those worth measuring: that differ, and that the model takes."""
        trials, seen = {}, {self._key(incumbent)}
        for name, recipe in recipes.items():
            try:
                key = self._key(recipe)
                note = "changes no rule of this model" * (key in seen)
                seen.add(key)
            except CompositeError as error:
                note = str(error)
            trials[name] = Trial(stage, name, 0, {}, None, note)
        return trials, [name for name, trial in trials.items() if not trial.note]

    def _tried(
        self, stage: str, name: str, recipe: Recipe, incumbent: Recipe, count: int
    ) -> tuple[Trial, Estimate | None]:
        """One candidate on so many inputs; its gain, or None if it drops out."""
        reference = self.scores(incumbent, count)
        try:
            scores = self.scores(recipe, count)
        except OnnxLrpError as error:
            return Trial(stage, name, count, {}, None, str(error)), None
        found, means = judged(scores, reference), {m: float(values.mean()) for m, values in scores.items()}
        note = f"worse in {' and '.join(found.worse)}" if found.worse else "another one gains more"
        return Trial(stage, name, count, means, found.gain.mean, note), None if found.worse else found.gain

    def scores(self, recipe: Recipe, count: int) -> SampleScores:
        """Of a recipe on the first tuning inputs, measured once.

        Raises:
            OnnxLrpError: it has no meaning for this model.
        """
        key = self._key(recipe)
        if (key, count) not in self._known:
            if key not in self._ready:
                self._ready[key] = self.build(recipe.composite())
            self._known[key, count] = self.ground.scores(self._ready[key], count)
        return self._known[key, count]

    def _key(self, recipe: Recipe) -> str:
        return f"{recipe.seed} {self.rules(recipe.composite())}"

    def _tell(self, what: str) -> None:
        if self.progress is not None:
            self.progress(len(self.trail), self.total, what)


def _kept(count: int, later: Sequence[int]) -> int:
    """How many of so many candidates the next round gets: the better half, and the last one the best alone."""
    return 1 if len(later) < 2 else -(-count // 2)
