"""Whether other processes were at work while times were taken.

It matters more to some than to others: torch's threads wait for each other by spinning. On two cores, with two threads
and a neighbour on one core, a gradient has been seen to take fifty times as long, when onnxruntime took hardly longer.
Rotation and minima do not repair that, so every table says how busy the machine was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

STAT = Path("/proc/stat")
QUIET = 0.1  # cores
GRAIN = 0.03  # seconds: the system counts in hundredths, for each core and for this process


def others() -> float | None:
    """CPU seconds of everyone else so far; None where the system does not tell."""
    if not STAT.exists():
        return None
    user, nice, system, _, _, irq, softirq, steal, *_ = map(int, STAT.read_text().split("\n")[0].split()[1:])
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK") - sum(os.times()[:2])


@dataclass
class Neighbours:
    """How many cores other processes used in each round."""

    cores: list[float] = field(default_factory=list)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """One round."""
        before, start = others(), time.perf_counter()
        yield
        after = others()
        if before is not None and after is not None:
            self.cores.append(max(after - before - GRAIN, 0.0) / (time.perf_counter() - start))

    def verdict(self) -> str:
        """A sentence for the page."""
        if not self.cores:
            return "Whether other processes were at work is not known."
        busy = sum(cores > QUIET for cores in self.cores)
        if not busy:
            return f"Quiet: other processes used at most {max(self.cores):.2f} cores in any round."
        return (
            f"**Disturbed**: in {busy} of {len(self.cores)} rounds other processes used more than {QUIET} cores (at "
            f"most {max(self.cores):.2f}). Do not quote ratios to torch, zennit or captum from this table; measure "
            "again."
        )
