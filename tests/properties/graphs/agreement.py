"""What static facts cost in accuracy: an explanation with them is the one without, in every precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from onnx_lrp import Explanation

from .cases import Case
from .checks import explaining, tied
from .yardstick import distance, flat, is_near_half

TIGHT = 1e-9  # in float64, of the largest relevance
WORSE = 10.0  # in float32, times the formula's error
FLOOR = 1e-6  # an error that is none in float32
BACKENDS = ("numpy", "torch", "onnx")


@dataclass(frozen=True)
class Comparison:
    """Errors against float64 without facts: in float64, and in float32 with facts on each backend.

    ``formula`` is the error in float32 without facts: of three backends, which add in three orders, the largest, as one
    of them may be right by luck. ``skipped`` says why one was not compared.
    """

    double: float
    single: dict[str, float]
    formula: float = 0.0
    skipped: tuple[str, ...] = ()

    @property
    def violations(self) -> list[str]:
        found = [f"numpy float64: {self.double:.2g}"] if not self.double <= TIGHT else []
        for name, on in self.single.items():
            if not on <= max(FLOOR, WORSE * self.formula):
                found.append(f"{name} float32: {on:.2g}, without facts {self.formula:.2g}")
        return found


def compared(case: Case) -> Comparison:
    """All explanations of the target that float64 takes without facts."""
    reference = explained(case, "numpy", "float64", False)
    double = explained(case, "numpy", "float64", True)
    if tied(reference, [double]):
        return Comparison(0.0, {}, skipped=("tie",))
    off = distance(flat(double), flat(reference))
    if is_near_half(explaining(case, "numpy"), case):
        return Comparison(off, {}, skipped=("half",))
    on, without = ({b: explained(case, b, "float32", facts) for b in BACKENDS} for facts in (True, False))
    if tied(reference, [*on.values(), *without.values()]):
        return Comparison(off, {}, skipped=("tie",))
    formula = max(relative(flat(found), flat(reference)) for found in without.values())
    return Comparison(off, {b: relative(flat(found), flat(reference)) for b, found in on.items()}, formula)


def explained(case: Case, backend: str, dtype: str, facts: bool) -> Explanation:
    return explaining(case, backend, dtype, facts)(case.feeds, case.target, seed=case.seed)


def relative(a: np.ndarray, b: np.ndarray) -> float:
    """‖a - b‖ / ‖b‖; where all is 0, what is left of a."""
    return float(np.linalg.norm(a - b) / (np.linalg.norm(b) or 1.0))


def saved(case: Case, path: str) -> None:
    """The model and all that is asked of it, as PATH.onnx, PATH.npz and PATH.txt."""
    onnx.save(case.model, f"{path}.onnx")
    asked = {"seed": case.seed, "target": -1 if case.target is None else case.target, "pass_ops": case.pass_ops}
    np.savez(f"{path}.npz", **{f"feed_{name}": x for name, x in case.feeds.items()}, **asked)
    with open(f"{path}.txt", "w", encoding="utf-8") as file:
        file.write(f"{case}\n")
