"""How far an answer may be off: as far as it moves when all that goes into it is off by a rounding error.

Two answers in different precisions, or with sums in another order, can only agree as well as the question is posed: a
denominator near 0 magnifies rounding. So every weight, input, activation and sum gets a random relative error of the
size of rounding, and the answer that comes of it is compared with the clean one (Monte Carlo arithmetic, Parker 1997).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from onnx_lrp import Explainer, Explanation
from onnx_lrp.backends.numpy import NumpyBackend
from onnx_lrp.engines.base import Question
from onnx_lrp.engines.walking import WalkEngine
from onnx_lrp.ops import Linear, Merge
from onnx_lrp.propagation.forward import ForwardRecorder
from onnx_lrp.propagation.step import Step
from onnx_lrp.propagation.tape import Tape

from .cases import Case
from .curved import QUANTIZING

DOUBLE, SINGLE = 2.0**-50, 2.0**-22  # four times the unit roundoff


class Noisy(NumpyBackend):
    """NumPy, but everything that is read or summed has a random relative error."""

    def __init__(self, size: float, seed: int = 0) -> None:
        super().__init__()
        self.size, self.rng = size, np.random.default_rng(seed)

    def noise(self, a: np.ndarray) -> np.ndarray:
        return a * (1 + self.size * self.rng.standard_normal(a.shape))

    def asarray(self, value: np.ndarray) -> np.ndarray:
        a = super().asarray(value)
        return self.noise(a) if a.dtype.kind == "f" else a

    def sum(self, a: np.ndarray, axes: Sequence[int], keepdims: bool = False) -> np.ndarray:
        return self.noise(super().sum(a, axes, keepdims))

    def matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return self.noise(super().matmul(a, b))

    def conv(self, *arguments: Any) -> np.ndarray:
        return self.noise(super().conv(*arguments))

    def conv_transpose(self, *arguments: Any) -> np.ndarray:
        return self.noise(super().conv_transpose(*arguments))


class NoisyValues(dict[str, Any]):
    """A tape's values: those of the steps that compute (not of those that move) have errors, too."""

    def __init__(self, xp: Noisy, steps: Iterable[Step], given: dict[str, Any]) -> None:
        super().__init__(given)
        self.xp = xp
        self.computed = {n for step in steps if isinstance(step.role, Linear | Merge) for n in step.outputs}

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, self.xp.noise(value) if name in self.computed else value)


class NoisyRecorder(ForwardRecorder):
    def run(self, tape: Tape) -> Tape:
        return super().run(Tape(NoisyValues(self.xp, self.plan.steps, tape.values)))


def noisy(explainer: Explainer, case: Case, target: np.ndarray, size: float) -> list[np.ndarray]:
    """Relevance of all inputs, computed three times with errors of this relative size."""
    results = []
    for seed in range(3):
        engine = WalkEngine(explainer.prepared, explainer.plan, Noisy(size, seed), explainer.options, None)
        engine._recorder = NoisyRecorder(explainer.prepared.model, explainer.plan, engine._weights, "")
        found = engine.run(case.feeds, Question([target], case.seed))[0].relevance
        results.append(np.concatenate([found.get(n, np.zeros(x.shape)).ravel() for n, x in case.feeds.items()]))
    return results


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference, relative to b's largest entry."""
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))


def flat(explanation: Explanation) -> np.ndarray:
    return np.concatenate([r.astype(np.float64).ravel() for r in explanation.inputs.values()])


def allowance(explainer: Explainer, case: Case, reference: Explanation, peak: float, size: float) -> float:
    """Thirty times what noise does, and what is lost where a share as large as ``peak`` comes and goes again."""
    found, scale = flat(reference), np.abs(flat(reference)).max()
    moved = max(distance(r, found) for r in noisy(explainer, case, reference.target, size))
    return 30 * moved + size * peak / max(scale, 1e-30)


class Watching(NumpyBackend):
    """NumPy, but it notes whether a value that is rounded lies so near a half that float32 may round it otherwise."""

    near = False

    def round(self, a: np.ndarray) -> np.ndarray:
        gap = np.abs(a - np.floor(a) - 0.5)
        few = np.abs(a) < 1000  # one level of many is within all bounds
        self.near |= bool((few & (gap < 16 * SINGLE * (1 + np.abs(a)))).any())
        return super().round(a)


def is_near_half(explainer: Explainer, case: Case) -> bool:
    """Whether two right answers in float32 may differ by a level of what is quantised."""
    if not set(QUANTIZING) & set(case.ops):
        return False
    engine = WalkEngine(explainer.prepared, explainer.plan, watching := Watching(), explainer.options, None)
    engine._recorder.record(case.feeds, set())
    return watching.near
