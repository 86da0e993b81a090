"""Many random graphs: static facts change nothing, whatever stands in the graph. Run it with one seed per process::

python tests/properties/many_graphs.py --graphs 2000 --seed 0 --save /tmp/violations
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from graphs.agreement import FLOOR, Comparison, compared, saved
from graphs.cases import Case, cases
from graphs.checks import is_sound
from graphs.portions import GENERATE, PORTION, drawn
from hypothesis import assume

from onnx_lrp.ops import OPS


@dataclass
class Findings:
    """What was seen so far."""

    save: Path | None
    ops: Counter[str] = field(default_factory=Counter)
    tally: Counter[str] = field(default_factory=Counter)
    worst: dict[str, float] = field(default_factory=dict)

    def add(self, case: Case) -> None:
        self.ops.update(set(case.ops))
        self.tally.update(graphs=1)
        try:
            found = compared(case)
        except Exception as error:  # whatever it is, the search goes on
            self.report(case, [f"{type(error).__name__}: {error}"])
            return
        self.tally.update(found.skipped)
        self.note(found)
        if found.violations:
            self.report(case, found.violations)

    def note(self, found: Comparison) -> None:
        """Keep the worst errors."""
        errors = {"numpy float64": found.double, "float32 without facts": found.formula}
        for name, on in found.single.items():
            errors |= {f"{name} float32": on, f"{name} float32, times the formula's": on / max(found.formula, FLOOR)}
        for name, error in errors.items():
            self.worst[name] = max(self.worst.get(name, 0.0), error)

    def report(self, case: Case, violations: list[str]) -> None:
        number = self.tally["violations"]
        self.tally.update(violations=1)
        print(f"violation {number}: {'; '.join(violations)}\n  {' '.join(case.ops)}\n  {case.composite}", flush=True)
        if self.save is not None:
            self.save.mkdir(parents=True, exist_ok=True)
            saved(case, str(self.save / f"violation_{number}"))

    def summary(self) -> str:
        counts = ", ".join(f"{op} {self.ops[op]}" for op in sorted(OPS))
        errors = "\n".join(f"  {name}: {error:.2g}" for name, error in self.worst.items())
        return f"{dict(self.tally)}\n{counts}\nworst errors\n{errors}"


def search(graphs: int, number: int, save: Path | None) -> Findings:
    findings = Findings(save)

    def look(case: Case) -> None:
        assume(is_sound(case))
        findings.add(case)

    portions = -(-graphs // PORTION)
    drawn(look, portions, number * portions, GENERATE, case=cases())
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder for the cases that violate a bound")
    given = parser.parse_args()
    findings = search(given.graphs, given.seed, given.save)
    print(findings.summary())
    missing = sorted(set(OPS) - set(findings.ops))
    assert not missing, f"in no graph: {', '.join(missing)}"
    return 1 if findings.tally["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
