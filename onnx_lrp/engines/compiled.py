"""Explanations by onnxruntime: the model is compiled once, and batches are streamed through its session."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from ..backends.symbols import BatchSize, SymbolicShape
from ..conversion.convert import ConversionSpec
from ..conversion.sizes import measure
from ..errors import ConversionError, InvalidModelError
from ..model.loadable import require_loadable
from ..model.prepared import Prepared
from ..model.runtime import SessionOptions, run
from ..propagation.audit import accept, unmasked
from ..propagation.ledger import LedgerEntry, entry
from ..propagation.plan import Plan
from ..propagation.step import Step
from ..propagation.tape import Feeds, Tape
from ..targets import Contrast, Seed, as_seed, largest, resolve, seed_relevance
from .auditing import AuditedModel
from .base import Question, Result, Targets, indices, original, per_sample, reshaped, sums, weighed
from .sessions import SessionCache, is_open

MOST_SHAPES = 32  # of inputs, for which sizes and sessions are kept
MOST_TARGETS = 8  # at once: the compiled model grows with each
LOGITS = ""  # stands for the explained tensor among the outputs: no tensor is called so
Indices = list[np.ndarray | None] | None
Controls = tuple[np.ndarray | None, np.ndarray | None]  # for the inputs ``control`` and ``rival``; None: its default


class CompiledEngine:
    """The converted model on onnxruntime, in float32.

    Batches are streamed in parts: large enough to pay for reading the weights, small enough for the caches.
    """

    name = "onnx"
    dtype: np.dtype[Any] = np.dtype(np.float32)

    def __init__(self, prepared: Prepared, plan: Plan, options: SessionOptions) -> None:
        self.prepared, self.plan, self.options = prepared, plan, options
        self._open = all(is_open(value) for value in prepared.explaining)
        self._tapes: dict[str, Tape | None] = {}
        self._sessions = SessionCache(prepared, plan, options)
        self._expected: int | None = None
        self._lock = threading.Lock()

    def expects(self, samples: int | None) -> None:
        """This number of samples (or that of the parts that such a batch is cut into) is compiled in.

        Else it is the first that is met. Sessions that are there already are kept.
        """
        self._expected = samples

    def answers(self, feeds: Feeds, result: Result) -> tuple[np.ndarray, np.ndarray]:
        """The original's is in the compiled model; the canonized one runs on its own, and there the facts are audited.

        Raises:
            VerificationError: a fact does not hold.
            InvalidModelError: no runtime would take the original.
        """
        require_loadable(self.prepared.reference(), [self.prepared.target], self.prepared.source)  # types and all
        unproven = {s.outputs[0]: s for s in self.plan.steps if s.outputs[0] in self._sessions.unproven}
        audited = AuditedModel(self.prepared, self.plan, [step.denominator for step in unproven.values()])
        logits, false, activations = audited.run(feeds, self.options)
        accept(false, self.prepared.source)
        if unproven:
            again = self.run(feeds, Question([result.index], layers={name: name for name in unproven}))[0]
            reached = [(s, again.relevance[n], activations[s.denominator]) for n, s in unproven.items()]
            accept(chain.from_iterable(unmasked(*claim) for claim in reached), self.prepared.source)
        return result.recorded, logits

    def run(self, feeds: Feeds, question: Question) -> list[Result]:
        """All targets together; a ledger or an array as seed belongs to one target."""
        if question.region is not None:  # which has to see the output first
            samples = per_sample(original(self.prepared, feeds, self.options), self.prepared, feeds)
            seed, index = weighed(question.region, question.seed, samples.astype(np.float32))
            question = replace(question, region=None, seed=seed, targets=[index])
        question = replace(question, seed=as_seed(question.seed))
        tape = self._measured(feeds)
        blank = self._blank(tape, feeds)
        samples = per_sample(blank, self.prepared, feeds)
        given: Indices
        if isinstance(question.targets, int):
            question, given = replace(question, targets=len(largest(samples, question.targets))), None
        else:
            given = [t if t is None else resolve(t, samples) for t in question.targets]
        count = _count(question)
        alone = question.ledger or _is_array(question.seed) or _any_open(given) or count > MOST_TARGETS
        if count > 1 and alone:
            return self._one_by_one(feeds, question, given)
        wanted, controls = self._question(question, count, given, blank, samples)
        try:
            streamed = self._stream(feeds, tape, wanted, controls, question.own)
        except InvalidModelError:
            self._check_apart(feeds, question.seed, question.targets)
            raise
        return self._results(feeds, streamed, wanted, given, reshaped(question.seed, blank, samples))

    def _check_apart(self, feeds: Feeds, seed: Seed, targets: Targets) -> None:
        """Raise if that is why a run failed: a class against itself, where only the run knew the target.

        Raises:
            TargetError: it is.
        """
        if isinstance(seed, Contrast):
            samples = per_sample(original(self.prepared, feeds, self.options), self.prepared, feeds)
            for index in indices(targets, samples):
                seed.check_apart(index)

    def _one_by_one(self, feeds: Feeds, question: Question, given: Indices) -> list[Result]:
        if given is None:
            logits = self.run(feeds, Question([None]))[0].logits
            given = list(largest(logits, _count(question)))
        return [self.run(feeds, replace(question, targets=[index]))[0] for index in given]

    def _question(
        self, question: Question, count: int, given: Indices, blank: np.ndarray, samples: np.ndarray
    ) -> tuple[ConversionSpec, Controls]:
        """What to compile, and the values of its inputs."""
        seed = reshaped(question.seed, blank, samples)
        spec = partial(ConversionSpec, targets=count, layers=dict(question.layers), logits=True, ledger=question.ledger)
        columns = [index for index in given or () if index is not None]
        target = None if not columns else columns[0] if count == 1 else np.stack(columns, axis=1)
        if isinstance(seed, Contrast):
            seed.check(samples.shape[1:])
            for index in columns:
                seed.check_apart(index)
            rival = _rival(seed, len(samples))
            if rival is None:
                return spec(seed), (target, None)
            return spec(Contrast(seed.kind), fed=rival[:1].size), (target, rival)
        start = seed_relevance(seed, np.zeros(len(samples), np.int64), samples)
        if isinstance(seed, str):
            return spec("logit" if seed == "logit" else "one"), (target, None)
        return spec("input"), (start.reshape(blank.shape), None)

    def _measured(self, feeds: Feeds) -> Tape:
        """Sizes for inputs of this shape: for any number of samples, or else for just as many."""
        exact = {v.name or "": list(feeds[v.name or ""].shape) for v in self.prepared.inputs}
        shapes = {
            v.name or "": [None if i == 0 and is_open(v) else n for i, n in enumerate(exact[v.name or ""])]
            for v in self.prepared.inputs
        }
        with self._lock:
            known = str(shapes) in self._tapes
            tape = self._tapes.pop(str(shapes)) if known else self._of_any_number(shapes) if self._open else None
            self._tapes[str(shapes)] = tape  # behind all others: used last
            if tape is None:
                tape = self._tapes.pop(str(exact), None) or measure(self.prepared, self.plan, exact)
                self._tapes[str(exact)] = tape
            for oldest in list(self._tapes)[:-MOST_SHAPES]:
                self._sessions.forget(self._tapes.pop(oldest))
            return tape

    def _of_any_number(self, shapes: Mapping[str, Sequence[int | None]]) -> Tape | None:
        """Sizes that leave the number of samples open; None if something in the model depends on it."""
        try:
            tape = measure(self.prepared, self.plan, shapes)
        except ConversionError:
            return None
        return tape if self._streams(tape) else None

    def _blank(self, tape: Tape, feeds: Feeds) -> np.ndarray:
        """Zeros in the shape that the answer will have: targets and seeds are checked against it before anything runs.

        Of ten classes and three samples it is (3, 10), though the tape only knows (batch, 10).
        """
        samples = len(feeds[self.plan.inputs[0]]) if self._open else 1
        shape: SymbolicShape = tape.shapes[self.plan.target]
        return np.zeros([n.times * samples if isinstance(n, BatchSize) else n for n in shape], np.float32)

    def _streams(self, tape: Tape) -> bool:
        """Whether every input and the explained tensor have one row for each sample."""
        return all(tape.shapes[name][:1] == (BatchSize(),) for name in (*self.plan.inputs, self.plan.target))

    def preferred(self, feeds: Feeds) -> int:
        """How many samples of these sizes make a call worth its while."""
        return self._sessions.preferred(self._measured(feeds))

    def _stream(self, feeds: Feeds, tape: Tape, wanted: ConversionSpec, controls: Controls, own: bool) -> _Streamed:
        """The answers to all parts of a batch, together."""
        found: list[dict[str, np.ndarray]] = []
        pages, behind = [], []
        expected = None if self._expected is None else self._part_of(self._expected, tape)
        for part in self._parts(feeds, tape, wanted):
            some = dict(feeds)
            if part is not None:  # a fixed input may be one for all samples
                some |= {name: a[part] for name, a in feeds.items() if tape.shapes[name][:1] == (BatchSize(),)}
            count = None if part is None else part.stop - part.start
            program = self._sessions.get(tape, wanted, count, expected, own)
            compiled = program.compiled
            for name, rows in zip((compiled.control, compiled.rival), controls):
                if rows is not None:
                    some[name] = rows if part is None else rows[part]
            names = {**compiled.relevance, LOGITS: compiled.logits}
            fetched = [*names.values(), compiled.ledger, program.own]
            results = iter(run(program.session, [name for name in fetched if name], some, self.prepared.source))
            found.append(dict(zip(names, results)))
            pages += [next(results)] if compiled.ledger else []
            behind += [next(results)] if program.own else []
        outputs = {
            name: np.concatenate([f[name] for f in found]) if len(found) > 1 else found[0][name] for name in found[0]
        }
        entries = _entries(program.compiled.steps, np.sum(pages, axis=0)) if pages else ()
        return _Streamed(outputs, entries, _together(behind, [len(f[LOGITS]) for f in found]))

    def _parts(self, feeds: Feeds, tape: Tape, wanted: ConversionSpec) -> list[slice | None]:
        """Stretches of the batch, as equal as can be; None is all of it at once, as where samples share a scale."""
        inside = [tape.shapes[tensor][:1] == (BatchSize(),) for tensor in wanted.layers.values()]
        if self.prepared.scales_together() or not self._streams(tape) or not all(inside):
            return [None]
        samples = len(feeds[self.plan.inputs[0]])
        size = self._part_of(samples, tape)
        return [slice(first, min(first + size, samples)) for first in range(0, samples, size)]

    def _part_of(self, samples: int, tape: Tape) -> int:
        """How many samples the first part has of a batch."""
        return -(-samples // -(-samples // self._sessions.preferred(tape)))

    def _results(
        self,
        feeds: Feeds,
        streamed: _Streamed,
        wanted: ConversionSpec,
        given: Indices,
        seed: Seed,
    ) -> list[Result]:
        """One for each target."""
        outputs, recorded = streamed.outputs, streamed.outputs[LOGITS]
        logits = per_sample(recorded, self.prepared, feeds)
        chosen = (
            largest(logits, wanted.targets)
            if given is None
            else [resolve(None, logits) if t is None else t for t in given]
        )
        results = []
        for rank, index in enumerate(chosen):
            relevance = {wanted.layers.get(n, n): r if wanted.targets == 1 else r[:, rank] for n, r in outputs.items()}
            start = sums(seed_relevance(seed, index, logits))
            results.append(Result(logits, index, start, relevance, recorded, streamed.entries, streamed.own))
        return results


@dataclass(frozen=True)
class _Streamed:
    """What a batch is answered with: outputs by name of a tensor, the ledger, and what is behind the head."""

    outputs: dict[str, np.ndarray]
    entries: tuple[LedgerEntry, ...]
    own: np.ndarray | None


def _together(parts: Sequence[np.ndarray], counts: Sequence[int]) -> np.ndarray | None:
    """The parts of a batch as one; None if there are none, or they are no rows of samples."""
    if len(parts) < 2:
        return parts[0] if parts else None
    return np.concatenate(parts) if [a.shape[:1] for a in parts] == [(count,) for count in counts] else None


def _count(question: Question) -> int:
    return question.targets if isinstance(question.targets, int) else len(question.targets)


def _is_array(seed: Seed) -> bool:
    return not isinstance(seed, str | Contrast)


def _rival(seed: Contrast, samples: int) -> np.ndarray | None:
    """What a run is fed of a contrast, a row per sample, so that one session answers for all classes or baselines."""
    if seed.kind == "against":
        rows = np.tile(np.array(seed.classes, np.int64), (samples, 1))
        return rows if len(seed.classes) > 1 else rows[:, 0]
    return np.full(samples, seed.baseline, np.float32) if seed.kind == "baseline" else None


def _any_open(given: Indices) -> bool:
    return given is not None and any(index is None for index in given)


def _entries(steps: Sequence[Step], page: np.ndarray) -> tuple[LedgerEntry, ...]:
    """The rows of a ledger."""
    rows = np.asarray(page, np.float64).reshape(-1, 4).tolist()
    return tuple(entry(step, *row) for step, row in zip(steps, rows))
