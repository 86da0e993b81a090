"""How far two models' explanations lie apart: a model and what became of it on its way to production."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..composites import Composite
from ..errors import InputError, NumericalError
from ..explainer import Explainer
from ..explanation import Explanation
from ..inputs import check_inputs
from ..model.loading import Source
from ..targets import Rivals, Seed, Target, as_seed
from ..text import printable
from .arithmetic import arithmetic
from .matching import LayerKey, check_outputs, common_inputs, match
from .metrics import cosine, default_top, overlap, rank_correlation
from .report import Comparison, Likeness, SampleComparison

Pair = tuple[LayerKey, LayerKey]
Explanations = tuple[Explanation, Explanation]


class Comparer:
    """Explains two models alike; make it once, call it for every batch, and have the result measured.

    Layers belong together if they make tensors of one name, or else if their nodes have one (see
    :mod:`onnx_lrp.matching`), and if their relevance has one shape. Inputs belong together by position.

    Args:
        a: the model to go by: path, bytes, or ``onnx.ModelProto``.
        b: the one that should explain itself alike.
        composite: as for :class:`onnx_lrp.Explainer`.
        layers: names of nodes or tensors to compare, too; None for all convolutions and dense layers.
        top_k: how many of the largest |R| should agree; by default 5 % of a tensor, at most 100.
        options: all others of the Explainer.

    Raises:
        InputError: the models' inputs differ in number or shape, or ``top_k`` is below 1.
        TargetError: the explained outputs differ in shape, or neither model has a layer of such a name.
        OnnxLrpError: as for the Explainer.
    """

    def __init__(
        self,
        a: Source,
        b: Source,
        composite: str | Composite = "default",
        *,
        layers: Iterable[str] | None = None,
        top_k: int | None = None,
        **options: Any,
    ) -> None:
        if top_k is not None and top_k < 1:
            raise InputError(f"top_k is {top_k}; give the number of elements that should agree, at least 1")
        self.a, self.b = Explainer(a, composite, **options), Explainer(b, composite, **options)
        self.top_k = top_k
        self.inputs = common_inputs(self.a.prepared, self.b.prepared)
        check_outputs(self.a.prepared, self.b.prepared)
        self.matching = match(self.a.plan, self.b.plan, layers)

    def __call__(
        self,
        x: Any,
        target: Target = None,
        *,
        seed: Seed | None = None,
        against: Rivals = None,
        baseline: float | None = None,
    ) -> Explanations:
        """Explain a batch by both models.

        Args:
            x: as for the Explainer; a dict goes by A's names.
            target: as for the Explainer; by default A's argmax. It is the same in both models.
            seed: as for the Explainer; a margin is that to each model's own runner-up.
            against: as for the Explainer.
            baseline: as for the Explainer.

        Raises:
            InputError, TargetError: the arguments do not fit one of the models, or their outputs differ in shape.
            NumericalError, VerificationError: as for the Explainer.
        """
        feeds = check_inputs(x, self.a.prepared.inputs, self.a.prepared.source)
        start = as_seed(self.a.composite.seed_for(seed, against, baseline), against, baseline)
        ours = self.a(feeds, target, seed=start, layers=[layer.tensor for layer, _ in self.matching.pairs])
        renamed = {value.name or "": x for value, x in zip(self.b.prepared.inputs, feeds.values())}
        theirs = self.b(renamed, ours.target, seed=start, layers=[layer.tensor for _, layer in self.matching.pairs])
        check_outputs(self.a.prepared, self.b.prepared, (ours.output.shape, theirs.output.shape))
        return ours, theirs

    def report(self, explanations: Explanations, titles: Sequence[str] = ()) -> Comparison:
        """Measure what a call has returned.

        Args:
            explanations: of one batch.
            titles: what to call its samples; by default their numbers, from 0.

        Raises:
            NumericalError: relevance of a layer is not finite.
        """
        pairs, n = self.matching.pairs, len(explanations[0].target)
        kept = [pair for pair in pairs if _same_shape(pair, explanations)]
        others = [f"{pair[0].name} (of another shape)" for pair in pairs if pair not in kept]
        samples = self._samples(explanations, kept, titles or [str(i) for i in range(n)])
        unmatched = (*self.matching.unmatched, *others)
        return Comparison(_about(self.a), _about(self.b), self.a.composite.name, tuple(samples), unmatched)

    def _samples(
        self, explanations: Explanations, pairs: Sequence[Pair], titles: Sequence[str]
    ) -> Iterator[SampleComparison]:
        a, b = explanations
        n = len(a.target)
        inputs = [(printable(name), "", r, s) for (name, r), s in zip(a.inputs.items(), b.inputs.values())]
        inside = [(pair[0].name, pair[0].op, *_relevance(pair, explanations)) for pair in pairs]
        tensors = [(name, op, _rows(r, n), _rows(s, n)) for name, op, r, s in inputs + inside]
        outputs = [e.output.reshape(n, -1).astype(np.float64) for e in explanations]
        for i, target in enumerate(a.target.tolist()):
            ours, theirs = (output[i] for output in outputs)
            alike = tuple(self._likeness(name, op, r[i], s[i]) for name, op, r, s in tensors)
            yield SampleComparison(
                titles[i], target, (float(ours[target]), float(theirs[target])),
                (int(ours.argmax()), int(theirs.argmax())), float(np.abs(ours - theirs).max()),
                alike[: len(inputs)], alike[len(inputs) :],
            )  # fmt: skip

    def _likeness(self, name: str, op: str, a: np.ndarray, b: np.ndarray) -> Likeness:
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise NumericalError(f"relevance of {name!r} is not finite; use dtype='float64' or a larger epsilon")
        k = min(self.top_k or default_top(a.size), a.size)
        return Likeness(name, op, a.size, cosine(a, b), rank_correlation(a, b), overlap(a, b, k), k)


def compare(
    a: Source,
    b: Source,
    x: Any,
    composite: str | Composite = "default",
    *,
    target: Target = None,
    seed: Seed | None = None,
    against: Rivals = None,
    baseline: float | None = None,
    **options: Any,
) -> Comparison:
    """How far the explanations of two models lie apart on one batch.

    Args:
        a: the model to go by: path, bytes, or ``onnx.ModelProto``.
        b: the one that should explain itself alike, for example its float16 version.
        x: array, dict by A's input names, or list in the models' order.
        composite: a :class:`Composite`, or a string ``NAME[:key=value,...]``.
        target: what both explain; by default A's argmax, for each sample.
        seed: relevance to start with: ``"logit"``, each model's own value, or any other as for the Explainer.
        against: as for a call of the Explainer.
        baseline: as for a call of the Explainer.
        options: ``layers`` and ``top_k`` of the :class:`Comparer`, and all of the Explainer's.

    Raises:
        OnnxLrpError: as for the :class:`Comparer`.
    """
    comparer = Comparer(a, b, composite, **options)
    return comparer.report(comparer(x, target, seed=seed, against=against, baseline=baseline))


def _about(explainer: Explainer) -> str:
    """A model, what computed its explanation, and what became of its own arithmetic for that."""
    prepared, engine = explainer.prepared, explainer.engine
    return f"{prepared.source} ({engine.name}, {engine.dtype.name}{arithmetic(prepared.source_model)})"


def _relevance(pair: Pair, explanations: Explanations) -> tuple[np.ndarray, np.ndarray]:
    """Of one layer in both models; zeros where none got there."""
    a, b = (e.layers.get(layer.tensor) for e, layer in zip(explanations, pair))
    either = a if a is not None else b if b is not None else np.zeros((len(explanations[0].target), 0))
    return a if a is not None else np.zeros_like(either), b if b is not None else np.zeros_like(either)


def _same_shape(pair: Pair, explanations: Explanations) -> bool:
    a, b = _relevance(pair, explanations)
    return a.shape == b.shape


def _rows(relevance: np.ndarray, samples: int) -> np.ndarray:
    """Float64 of shape (samples, elements); relevance that has no row for each sample belongs to all of them."""
    flat = np.asarray(relevance, np.float64)
    if relevance.ndim and len(relevance) % samples == 0:
        return flat.reshape(samples, -1)
    return np.broadcast_to(flat.reshape(1, -1), (samples, flat.size))
