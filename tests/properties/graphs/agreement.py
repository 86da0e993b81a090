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
WORSE = 10.0  # in float32, times the error without facts
FLOOR = 1e-6  # an error that is none in float32


@dataclass(frozen=True)
class Comparison:
    """Errors with facts and without, against float64 without facts; ``skipped`` says why one was not compared."""

    double: float
    single: dict[str, tuple[float, float]]
    skipped: tuple[str, ...] = ()

    @property
    def violations(self) -> list[str]:
        found = [f"numpy float64: {self.double:.2g}"] if not self.double <= TIGHT else []
        for name, (on, off) in self.single.items():
            if not on <= max(FLOOR, WORSE * off):
                found.append(f"{name} float32: {on:.2g}, without facts {off:.2g}")
        return found


def compared(case: Case) -> Comparison:
    """All explanations of the target that float64 takes without facts."""
    reference = explained(case, "numpy", "float64", False)
    double = explained(case, "numpy", "float64", True)
    if tied(reference, [double]):
        return Comparison(0.0, {}, ("tie",))
    off = distance(flat(double), flat(reference))
    if is_near_half(explaining(case, "numpy"), case):
        return Comparison(off, {}, ("half",))
    single, skipped = {}, []
    for backend in ("numpy", "onnx"):
        pair = [explained(case, backend, "float32", facts) for facts in (True, False)]
        if tied(reference, pair):
            skipped.append("tie")
        else:
            single[backend] = tuple(relative(flat(found), flat(reference)) for found in pair)
    return Comparison(off, single, tuple(skipped))


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
