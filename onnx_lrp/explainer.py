"""The public face: ``Explainer(model, ...)(x)`` gives an :class:`Explanation`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from . import backends
from .composites import Composite
from .errors import CompositeError, NumericalError, TargetError, VerificationError
from .explanation import Explanation
from .inputs import check_inputs
from .ledger import Conservation, Ledger
from .model.graph import dims, is_half
from .model.loading import Source
from .model.preparation import Prepared, prepare
from .planning import Plan, known_layers, make_plan
from .propagation import walk
from .recording import ForwardRecorder, OnnxruntimeRecorder, Recorder, Weights
from .session import Feeds, SessionOptions, make_session, run, to_float32
from .targets import Seed, Target, resolve, seed_relevance
from .text import clean


class Explainer:
    """Explains one output of one model; make it once, call it for every batch.

    Args:
        model: path, bytes, or ``onnx.ModelProto``.
        composite: a :class:`Composite`, or a string ``NAME[:key=value,...]``.
        output: name of the output to explain, the first one by default. A head at the end (Softmax, Sigmoid,
            ArgMax ...) is cut off: what is explained is the logit before it.
        backend: ``"auto"``, ``"numpy"`` or ``"torch"``.
        dtype: ``"float32"`` or ``"float64"``; float64 on NumPy and float32 on Torch by default.
        device: Torch's device, for example ``"cuda"``.
        batchnorm: what a BatchNormalization does that cannot be merged: ``"affine"`` (Epsilon on the diagonal map) or
            ``"pass"`` (relevance unchanged).
        verify: compare the canonized model's answer with the original's on the first batch.
        facts: use static facts to skip work that is provably zero; off gives the same result, more slowly.
        threads: onnxruntime's threads, 0 for its default.
        providers: onnxruntime's execution providers.

    Raises:
        ModelError: the model cannot be read, is malformed, or holds unsupported nodes.
        CompositeError, BackendError, TargetError: an argument makes no sense.
    """

    def __init__(
        self,
        model: Source,
        composite: str | Composite = "epsilon_plus",
        *,
        output: str | None = None,
        backend: str = "auto",
        dtype: str | None = None,
        device: str | None = None,
        batchnorm: Literal["affine", "pass"] = "affine",
        verify: bool = True,
        facts: bool = True,
        threads: int = 0,
        providers: Iterable[str] = ("CPUExecutionProvider",),
    ) -> None:
        if batchnorm not in ("affine", "pass"):
            raise CompositeError(f"batchnorm must be 'affine' or 'pass', not {batchnorm!r}")
        self.composite = Composite.parse(composite)
        self.backend = backends.create(backend, dtype, device)
        self.prepared: Prepared = prepare(model, output)
        self.plan: Plan = make_plan(self.prepared.verdict, self.prepared.model, self.composite, batchnorm, facts)
        self.options = SessionOptions(threads, tuple(providers))
        self._weights = Weights(self.prepared.model, self.backend)
        self._recorder = self._make_recorder(device)
        self._verified = not verify

    def _make_recorder(self, device: str | None) -> Recorder:
        """onnxruntime where it has the precision and the device, else our own forward pass."""
        p = self.prepared
        if self.backend.dtype == np.float64 or device not in (None, "cpu"):
            return ForwardRecorder(p.model, self.plan, self._weights)
        return OnnxruntimeRecorder(p.model, self.plan, self.backend, self.options, p.source)

    def __call__(
        self,
        x: Any,
        target: Target = None,
        *,
        seed: Seed = "logit",
        layers: Iterable[str] = (),
        ledger: bool = False,
    ) -> Explanation:
        """Explain a batch.

        Args:
            x: array, dict by input name, or list in the model's order; any batch size that the model takes.
            target: None (argmax per sample), an int or tuple for all samples, or one per sample; an int counts in
                the flattened output of a sample.
            seed: initial relevance of the target: ``"logit"`` (its value), ``"one"``, or an array of the output's
                shape.
            layers: names of nodes or tensors inside the network whose relevance is wanted, too.
            ledger: also account for every node.

        Raises:
            InputError, TargetError: the arguments do not fit the model.
            NumericalError: relevance is not finite.
            VerificationError: the canonized model does not answer like the original.
        """
        feeds = check_inputs(x, self.prepared.inputs, self.prepared.source)
        wanted = known_layers(self.plan, layers, self.prepared.source)
        tape = self._recorder.record(feeds, set())
        logits = self.backend.to_numpy(tape.values[self.plan.target])
        self._verify(feeds, logits)
        samples = _per_sample(logits, self.prepared)
        index = resolve(target, samples)
        start = seed_relevance(_reshaped(seed, logits, samples), index, samples).reshape(logits.shape)
        book = Ledger(self.backend) if ledger else None
        found = walk(self.plan, tape, self._weights, self.backend.asarray(start), set(wanted.values()), book)
        return self._explanation(feeds, samples, index, start, found, wanted, book)

    def _explanation(
        self,
        feeds: Feeds,
        logits: np.ndarray,
        index: np.ndarray,
        start: np.ndarray,
        found: dict[str, Any],
        wanted: dict[str, str],
        book: Ledger | None,
    ) -> Explanation:
        relevance = {name: self._result(found, name, x.shape) for name, x in feeds.items()}
        inside = {name: self.backend.to_numpy(found[t]) for name, t in wanted.items() if t in found}
        n = len(logits)
        sums = [r.reshape(n, -1).sum(1, dtype=np.float64) for r in relevance.values() if r.shape[:1] == (n,)]
        total = (
            sum(sums) if len(sums) == len(relevance) else np.array([sum(float(r.sum()) for r in relevance.values())])
        )
        account = Conservation(start.reshape(n, -1).sum(1, dtype=np.float64), np.asarray(total))
        return Explanation(relevance, logits, index, inside, account, tuple(book.entries) if book else ())

    def _result(self, found: dict[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Relevance of one input; zeros if none of it got there."""
        if name not in found:
            return np.zeros(shape, self.backend.dtype)
        result = np.array(self.backend.to_numpy(found[name])).reshape(shape)
        if not np.isfinite(result).all():
            raise NumericalError(
                f"{self.prepared.source}: relevance of input {clean(name)!r} is not finite; "
                "use dtype='float64', a larger epsilon, or smaller weights"
            )
        return result

    def _verify(self, feeds: Feeds, logits: np.ndarray) -> None:
        """The canonized model must answer like the original: a difference is an error, never a shrug.

        Raises:
            VerificationError: it does not.
        """
        if self._verified:
            return
        expected = self._original(feeds)
        scale = np.abs(expected).max(initial=0.0)
        error = np.abs(expected - logits).max(initial=0.0) if expected.shape == logits.shape else np.inf
        tolerance = 2e-2 if is_half(self.prepared.model) else 1e-3
        if not error <= tolerance * scale + 1e-6:
            raise VerificationError(
                f"{self.prepared.source}: the canonized model's answer differs from the original's by {error:.3g} "
                f"(largest logit {scale:.3g}); please report this model, or pass verify=False to go on regardless"
            )
        self._verified = True

    def _original(self, feeds: Feeds) -> np.ndarray:
        import onnx_ir as ir

        reference, source = self.prepared.reference(), self.prepared.source
        if any(v.dtype == ir.DataType.DOUBLE for v in reference.graph.inputs):
            reference = to_float32(reference)  # onnxruntime has no float64 convolution
        session = make_session(ir.to_proto(reference).SerializeToString(), self.options, source)
        return np.asarray(run(session, [reference.graph.outputs[0].name or ""], feeds, source)[0], np.float64)


def explain(model: Source, x: Any, target: Target = None, **options: Any) -> Explanation:
    """Explain one batch: ``Explainer(model, **options)(x, target)``.

    ``seed``, ``layers`` and ``ledger`` belong to the call, all other options to the :class:`Explainer`.
    """
    call = {key: options.pop(key) for key in ("seed", "layers", "ledger") if key in options}
    return Explainer(model, **options)(x, target, **call)


def _per_sample(logits: np.ndarray, prepared: Prepared) -> np.ndarray:
    """The explained tensor with samples first: as it is, or as one sample if its first axis is not the batch."""
    declared = [dims(value) or [None] for value in prepared.inputs]
    fixed = {shape[0] for shape in declared if isinstance(shape[0], int)}
    flexible = any(not isinstance(shape[0], int) for shape in declared)
    batched = logits.ndim > 0 and (flexible or (logits.ndim > 1 and logits.shape[0] in fixed))
    return logits if batched else logits[None]


def _reshaped(seed: Seed, logits: np.ndarray, samples: np.ndarray) -> Seed:
    """An array seed in the per-sample shape."""
    if isinstance(seed, str) or np.shape(seed) != logits.shape:
        return seed
    return np.asarray(seed).reshape(samples.shape)
