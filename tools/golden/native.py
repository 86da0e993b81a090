"""A golden of a network of :mod:`network`: exported by a framework, explained by the four steps in that framework."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .lrp import Framework, composites, explain
from .network import Array, Task, merged
from .record import Golden, Reference

Exporter = Callable[[Task, Golden], Array]


def make(name: str, tool: str, task: Task, framework: Framework, export: Exporter) -> Golden:
    """Explain and export; the exported module's own float32 logits must be near those of the explanation."""
    network = merged(task.network)
    found = {c.name: explain(framework, task, network, c) for c in composites(task.low, task.high)}
    logits = found["epsilon"][0]
    golden = Golden(f"{name}-{task.name}", task.description, task.inputs, logits, task.target)
    for composite, (_, relevance) in found.items():
        golden.add(Reference(f"LRP by {tool}", composite), relevance)
    error = np.abs(export(task, golden) - logits).max() / np.abs(logits).max()
    assert error < 1e-5, f"{name}: the exported model and the explained one differ by {error:.2g}"
    return golden
