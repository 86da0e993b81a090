"""How many processors there are for us; nothing is imported that a broken installation might lack."""

from __future__ import annotations

import os


def available_cpus() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
