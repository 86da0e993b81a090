"""What every engine is asked and answers: a walk on a backend and the compiled model share this interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir

from ..errors import TargetError
from ..model.precision import to_float32
from ..model.prepared import Prepared
from ..model.runtime import SessionOptions, open_session, run
from ..propagation.ledger import LedgerEntry
from ..propagation.tape import Feeds
from ..targets import Contrast, Region, Seed, as_seed, largest, resolve

Targets = int | Sequence[Any]  # how many of the largest, or a list of Target


@dataclass(frozen=True)
class Question:
    """What is asked of one batch: targets (or how many of the largest), the seed, tensors inside, the ledger.

    ``audit`` asks that every fact be held against the numbers. A ``region``, if there is one, weighs the outputs; then
    the seed is a word, and there is one target, which only names the sample's element of the largest share.
    ``own`` asks for what the model makes of the explained tensor behind it, where the same run can give that.
    """

    targets: Targets
    seed: Seed = "logit"
    layers: Mapping[str, str] = field(default_factory=dict)
    ledger: bool = False
    audit: bool = False
    region: Region | None = None
    own: bool = False


@dataclass(frozen=True)
class Result:
    """One target's answer: logits (samples, ...), flat index per sample, ΣR at the start, relevance by tensor.

    ``recorded`` is the explained tensor as it came out of the run that the relevance belongs to; ``own`` what the model
    makes of it behind the head that was cut off, None if nobody asked, there is no head, or the run does not give it.
    """

    logits: np.ndarray
    index: np.ndarray
    start: np.ndarray
    relevance: dict[str, np.ndarray]
    recorded: np.ndarray
    entries: tuple[LedgerEntry, ...] = ()
    own: np.ndarray | None = None


class Engine(Protocol):
    """Explains batches of one model under one composite."""

    @property
    def name(self) -> str:
        """The backend's name."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """What it computes in."""

    def run(self, feeds: Feeds, question: Question) -> list[Result]:
        """One result per target; they share the forward pass.

        Raises:
            VerificationError: a fact does not hold, if an audit was asked for.
        """

    def expects(self, samples: int | None) -> None:
        """Batches of this many samples are the rule: they take the same way to the last bit, whatever came before.

        Args:
            samples: their number; None takes it back.
        """

    def answers(self, feeds: Feeds, result: Result) -> tuple[np.ndarray, np.ndarray]:
        """The explained tensor by the original and by the canonized model, on a batch and what a run of it gave."""


def original(prepared: Prepared, feeds: Feeds, options: SessionOptions, tensor: str | None = None) -> np.ndarray:
    """The explained tensor, or another one, as the original model computes it, by onnxruntime."""
    reference = prepared.reference(tensor)
    if any(v.dtype == ir.DataType.DOUBLE for v in reference.graph.inputs):
        reference = to_float32(reference)  # onnxruntime has no float64 convolution
    return answer(reference, feeds, options, prepared.source)


def answer(model: ir.Model, feeds: Feeds, options: SessionOptions, source: str) -> np.ndarray:
    """A model's first output, by onnxruntime."""
    session = open_session(model, options, source, session_disable_prepacking="1")  # it runs once
    return np.asarray(run(session, [model.graph.outputs[0].name or ""], feeds, source)[0])


def indices(targets: Targets, samples: np.ndarray) -> list[np.ndarray]:
    """Flat index per sample, of each target."""
    if isinstance(targets, int):
        return largest(samples, targets)
    return [resolve(target, samples) for target in targets]


def weighed(region: Region, seed: Seed, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The relevance to start with, of the shape of ``samples``, and the element of each that has the largest share.

    Raises:
        TargetError: the region does not fit, or the seed is an array or a contrast.
    """
    seed = as_seed(seed)
    if not isinstance(seed, str):
        given = seed if isinstance(seed, Contrast) else "an array"
        raise TargetError(f"a region starts with the seed 'logit' or 'one', not with {given}; explain one class")
    weights = region.weights(samples)
    start = (weights * samples if seed == "logit" else weights).astype(samples.dtype)
    return start, np.abs(weights * samples).reshape(len(samples), -1).argmax(1)


def sums(relevance: np.ndarray) -> np.ndarray:
    """ΣR per sample, in float64."""
    return np.asarray(relevance.reshape(len(relevance), -1).sum(1, dtype=np.float64))


def per_sample(logits: np.ndarray, prepared: Prepared, feeds: Feeds) -> np.ndarray:
    """The explained tensor with samples first: as it is, or as one sample if its first axis is not the batch."""
    return logits if prepared.batched(logits.shape, {name: a.shape for name, a in feeds.items()}) else logits[None]


def reshaped(seed: Seed, logits: np.ndarray, samples: np.ndarray) -> Seed:
    """An array seed in the per-sample shape."""
    if isinstance(seed, str | Contrast) or np.shape(seed) != logits.shape:
        return seed
    return np.asarray(seed).reshape(samples.shape)
