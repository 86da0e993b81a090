"""Explanations out of what an engine answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from ..engines.base import Result, original
from ..engines.building import Build
from ..errors import NumericalError
from ..explanation import Context, Explanation
from ..explanation.context import nothing
from ..model.runtime import SessionOptions
from ..pictures.preprocessing import Preprocessing
from ..propagation.ledger import Conservation
from ..propagation.tape import Feeds
from ..targets import Contrast, Seed
from ..text import printable


def context_of(
    built: Build, feeds: dict[str, np.ndarray], seed: Seed, options: SessionOptions, labels: tuple[str, ...],
    settings: Callable[[], dict[str, Any]], preprocessing: Preprocessing | None, own: np.ndarray | None,
) -> Context:  # fmt: skip
    """Where the explanations of a batch come from; the model's own answer, if not given, when somebody reads it."""
    prepared, plan = built.prepared, built.plan
    ask: Callable[[], np.ndarray | None] = nothing
    if own is not None:
        ask = partial({"": own}.get, "")  # which can be pickled
    elif prepared.probability is not None:
        ask = partial(original, prepared, feeds, options, prepared.probability)
    return Context(
        prepared.source, prepared.sha256, prepared.output, plan.composite.name, str(plan.composite),
        tuple((step.name, step.op, str(step.rule)) for step in plan.steps if step.rule is not None),
        str(prepared.profile), str(seed) if isinstance(seed, str | Contrast) else "array", built.engine.name,
        built.engine.dtype.name, labels, feeds, settings, ask, preprocessing,
    )  # fmt: skip


def explanation_of(
    built: Build, feeds: Feeds, result: Result, wanted: Mapping[str, str], context: Context
) -> Explanation:  # fmt: skip
    """The explanation that a result is.

    Args:
        built: what computed it.
        feeds: of what.
        result: the engine's answer.
        wanted: tensors inside by the name they were asked for.
        context: where it comes from.

    Raises:
        NumericalError: relevance is not finite.
    """
    found, n = result.relevance, len(result.logits)
    relevance = {name: _of_input(built, found, name, x.shape) for name, x in feeds.items()}
    inside = {name: found[tensor] for name, tensor in wanted.items() if tensor in found}
    account = _account(result, [relevance[name] for name in built.plan.inputs], n)
    return Explanation(relevance, result.logits, result.index, inside, account, result.entries, context=context)


def _account(result: Result, shared: list[np.ndarray], n: int) -> Conservation:
    """What the target had, and what the inputs got of it."""
    parts = [r.reshape(n, -1).sum(1, dtype=np.float64) for r in shared if r.shape[:1] == (n,)]
    sizes = [np.abs(r.reshape(n, -1)).sum(1, dtype=np.float64) for r in shared if r.shape[:1] == (n,)]
    start = np.asarray(result.start)
    if len(parts) < len(shared):  # some input has no axis of samples in front
        start, parts = start.sum(keepdims=True), [np.array([float(r.sum())]) for r in shared]
        sizes = [np.array([float(np.abs(r).sum())]) for r in shared]
    return Conservation(start, np.asarray(sum(parts)), np.asarray(sum(sizes)))


def _of_input(built: Build, found: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Relevance of one input; zeros if none of it got there."""
    if name not in found:
        return np.zeros(shape, built.engine.dtype)
    result = found[name].reshape(shape)
    if not np.isfinite(result).all():
        raise NumericalError(
            f"{built.prepared.source}: relevance of input {printable(name)!r} is not finite; "
            "use dtype='float64', a larger epsilon, or smaller weights"
        )
    return result
