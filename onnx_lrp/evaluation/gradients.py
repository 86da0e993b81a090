"""The gradient of one output, of any model that can be explained and has one: by our own walk, or else by Torch's."""

from __future__ import annotations

import threading

import numpy as np

from .. import backends
from ..backends.base import Array
from ..engines.base import Result
from ..engines.building import Build
from ..engines.verifying import verify
from ..engines.walking import WalkEngine
from ..errors import NumericalError
from ..explainer import Explainer
from ..inputs import check_inputs
from ..propagation.forward import ForwardRecorder, opened
from ..propagation.tape import Tape, Weights
from ..targets import resolve, seed_relevance
from ..text import printable
from .backward import backward
from .differentiable import check_differentiable, differentiator
from .predictor import Parts, rows_of, single_input


class Gradient:
    """∂z_t/∂x for one element z_t of the explained tensor per sample: a function of inputs (n, ...) and targets (n,).

    Where all nodes are linear in pieces it is the product of their transposes, which is what LRP-0 multiplies the input
    by. Of other models (smooth activations, gates, attention) it is Torch's own differentiation of our forward pass.
    Where a piece ends, either side's slope is right; ReLU and ReLU6 have 0 at 0.

    Args:
        explainer: of a model with one input. Its backend computes, but instead of the compiled one Torch in float32 or,
            if that is not installed, NumPy in float64.

    Raises:
        InputError: the model is not differentiable, or only by Torch, which is not there.
    """

    def __init__(self, explainer: Explainer) -> None:
        self.prepared, self.plan = explainer.prepared, explainer.plan
        self.value = single_input(self.prepared)
        self.name, self.parts = self.value.name or "", Parts.of(self.value)
        check_differentiable(self.prepared, self.plan)
        choice, self._by_torch = differentiator(explainer)
        self._xp = backends.create(choice)
        self._weights = Weights(self.prepared.model, self._xp)
        self._recorder = ForwardRecorder(self.prepared.model, self.plan, self._weights, self.prepared.source)
        engine = WalkEngine(self.prepared, self.plan, self._xp, explainer.options, choice.device)
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
        tape = self._recorded(feeds)
        logits = self._xp.to_numpy(tape.values[self.plan.target])
        samples = rows_of(logits, self.prepared, feeds)
        index = resolve(targets, samples)
        self._verify(feeds, Result(samples, index, np.zeros(len(index)), {}, logits))
        seed = self._xp.asarray(seed_relevance("one", index, samples).reshape(logits.shape))
        value, gradient = (np.asarray(self._xp.to_numpy(a), np.float64) for a in self._at(tape, seed, tensor))
        if not np.isfinite(gradient).all():
            raise NumericalError(f"{self.prepared.source}: the gradient at {printable(tensor)!r} is not finite")
        return value, gradient

    def _recorded(self, feeds: dict[str, np.ndarray]) -> Tape:
        tape = opened(self.plan, feeds, self._xp)
        if self._by_torch:
            tape.values = {name: value.requires_grad_() for name, value in tape.values.items()}
        return self._recorder.complete(tape)

    def _at(self, tape: Tape, seed: Array, tensor: str) -> tuple[Array, Array]:
        value = tape.values[tensor]
        if self._by_torch:
            from ..backends.torch_gradient import autograd

            return value, autograd(tape.values[self.plan.target], seed, value)
        found = backward(self.plan, tape, self._weights, seed, tensor)
        return value, self._xp.zeros_like(value) if found is None else found

    def _verify(self, feeds: dict[str, np.ndarray], result: Result) -> None:
        with self._lock:
            if self._unverified:
                verify(self._build, feeds, result)
                self._unverified = False
