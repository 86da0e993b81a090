"""The gradient of one output, of any model that can be explained and has one: by our own walk, or else by Torch's."""

from __future__ import annotations

import threading
from itertools import chain

import numpy as np

from .. import backends
from ..backends.base import Array, Backend
from ..engines.base import Result
from ..engines.building import Build
from ..engines.verifying import verify
from ..engines.walking import WalkEngine
from ..errors import InputError, NumericalError
from ..explainer import Explainer
from ..inputs import check_inputs
from ..ops import Route
from ..propagation.forward import ForwardRecorder, opened
from ..propagation.tape import Tape, Weights
from ..targets import resolve, seed_relevance
from ..text import printable
from .backward import backward, without_slope
from .predictor import Parts, is_float, rows_of, single_input

ROUNDING = ("QuantizeLinear", "DynamicQuantizeLinear", "Round", "Floor", "Ceil", "Sign")


class Gradient:
    """∂z_t/∂x for one element z_t of the explained tensor per sample: a function of inputs (n, ...) and targets (n,).

    Where all nodes are linear in pieces it is the product of their transposes, which is what LRP-0 multiplies the input
    by. Of other models (smooth activations, gates, attention) it is Torch's own differentiation of our forward pass.
    Where a piece ends, either side's slope is right; ReLU and ReLU6 have 0 at 0.

    Args:
        explainer: of a model with one input. Its backend computes, but the compiled one, which is float32 in Torch here,
            or without Torch float64 in NumPy.

    Raises:
        InputError: the model is not differentiable, or only by Torch, which is not there.
    """

    def __init__(self, explainer: Explainer) -> None:
        self.prepared, self.plan = explainer.prepared, explainer.plan
        self.value = single_input(self.prepared)
        self.name = self.value.name or ""
        self.parts = Parts.of(self.value)
        self._xp, choice, device = _backend(explainer)
        self._check()
        self._weights = Weights(self.prepared.model, self._xp)
        self._recorder = ForwardRecorder(self.prepared.model, self.plan, self._weights, self.prepared.source)
        engine = WalkEngine(self.prepared, self.plan, self._xp, explainer.options, device)
        self._build = Build(self.prepared, self.plan, engine, choice)
        self._unverified, self._lock = True, threading.Lock()

    def __call__(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """The gradient at the input, float64 of its shape.

        Raises:
            InputError, TargetError: inputs or targets do not fit the model.
            VerificationError: the canonized model does not answer like the original one.
            NumericalError: the gradient is not finite.
        """
        return self.parts.run(lambda x, t: self.part(x, t, self.name)[1], np.asarray(inputs), np.asarray(targets))

    def part(self, inputs: np.ndarray, targets: np.ndarray, tensor: str) -> tuple[np.ndarray, np.ndarray]:
        """One part of a batch: a tensor's value, and the gradient there, float64 both."""
        feeds = check_inputs(inputs, [self.value], self.prepared.source)
        tape = opened(self.plan, feeds, self._xp)
        if self._by_torch:
            tape.values = {name: value.requires_grad_() for name, value in tape.values.items()}
        tape = self._recorder.complete(tape)
        logits = self._xp.to_numpy(tape.values[self.plan.target])
        samples = rows_of(logits, self.prepared, feeds)
        index = resolve(targets, samples)
        self._verify(feeds, samples, index, logits)
        seed = self._xp.asarray(seed_relevance("one", index, samples).reshape(logits.shape))
        value, gradient = (np.asarray(self._xp.to_numpy(a), np.float64) for a in self._at(tape, seed, tensor))
        if not np.isfinite(gradient).all():
            raise NumericalError(f"{self.prepared.source}: the gradient at {printable(tensor)!r} is not finite")
        return value, gradient

    def _at(self, tape: Tape, seed: Array, tensor: str) -> tuple[Array, Array]:
        value = tape.values[tensor]
        if self._by_torch:
            from ..backends.torch_gradient import autograd

            return value, autograd(tape.values[self.plan.target], seed, value)
        found = backward(self.plan, tape, self._weights, seed, tensor)
        return value, self._xp.zeros_like(value) if found is None else found

    def _verify(self, feeds: dict[str, np.ndarray], samples: np.ndarray, index: np.ndarray, logits: np.ndarray) -> None:
        with self._lock:
            if self._unverified:
                verify(self._build, feeds, Result(samples, index, np.zeros(len(index)), {}, logits))
                self._unverified = False

    def _check(self) -> None:
        """Refuse what has no gradient, and choose who differentiates."""
        if not is_float(self.value):
            kind = self.value.dtype.name.lower() if self.value.dtype is not None else ""
            raise self._refused(f"its input is {kind}")
        for step in self.plan.steps:
            if step.op in ROUNDING:
                raise self._refused(f"node {step.name} ({step.op}) rounds")
        for step in self.plan.reached():
            if isinstance(step.role, Route) and not step.role.copies:
                raise self._refused(f"node {step.name} ({step.op}) looks numbers up")
        left = next(chain(without_slope(self.plan)), None)
        self._by_torch = left is not None and self._xp.name == "torch"
        if left is not None and not self._by_torch:
            raise InputError(
                f"{self.prepared.source}: node {left.name} ({left.op}) is not linear in pieces, so only Torch can "
                "differentiate the model; install it with: pip install 'onnx_lrp[torch]', and use backend='auto' or 'torch'"
            )

    def _refused(self, reason: str) -> InputError:
        return InputError(
            f"{self.prepared.source}: the model is not differentiable: {reason}; "
            "compare with occlusion or random, which need no gradient"
        )


def _backend(explainer: Explainer) -> tuple[Backend, backends.Choice, str | None]:
    """What computes: the explainer's own backend, or the best one that walks."""
    engine = explainer.engine
    if isinstance(engine, WalkEngine):
        choice = backends.Choice(engine.name, engine.dtype.name, getattr(engine.xp, "device", None))
        return engine.xp, choice, choice.device and str(choice.device)
    choice = backends.choices()[-1]
    return backends.create(choice), choice, None
