"""A golden of a network of :mod:`network`: exported by a framework, explained by the four steps in that framework."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .lrp import Framework, composites, explain
from .network import Array, Task, merged
from .record import Golden, Reference


def make(name: str, tool: str, task: Task, framework: Framework, export: Callable[[Task, Golden], Array]) -> None:
    """Export, explain, and save; the framework's own float32 logits must be near those of the explanation."""
    golden = begin(name, task, framework)
    found = export(task, golden)
    error = np.abs(found - golden.logits).max() / np.abs(golden.logits).max()
    assert error < 1e-5, f"{name}: the exported model and the explained one differ by {error:.2g}"
    add_native(golden, tool, task, framework)
    golden.save()


def begin(name: str, task: Task, framework: Framework) -> Golden:
    """A golden without models and references yet."""
    logits, _ = explain(framework, task, merged(task.network), composites(task.low, task.high)[0])
    return Golden(f"{name}-{task.name}", task.description, task.inputs, logits, task.target)


def add_native(golden: Golden, tool: str, task: Task, framework: Framework) -> None:
    """Explain by every composite."""
    for composite in composites(task.low, task.high):
        _, relevance = explain(framework, task, merged(task.network), composite)
        golden.add(Reference(f"LRP by {tool}", composite.name), relevance)
