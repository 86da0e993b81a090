"""How a converted model is told what to explain: an optional input ``target``, or an input ``seed``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ..backends.onnx import OnnxBackend
from ..backends.symbols import Symbol

BEST = -1  # the target that stands for the largest output


@dataclass(frozen=True)
class Seeds:
    """Initial relevances, one per explained target.

    Args:
        xp: the backend.
        graph: where inputs are added.
        logits: the explained tensor.
        batched: whether its first axis counts samples.
    """

    xp: OnnxBackend
    graph: ir.Graph
    logits: Symbol
    batched: bool

    def from_target(self, name: str, count: int, one: bool) -> Iterator[Symbol]:
        """Logit × one-hot (or the one-hot itself, if ``one``) of each target.

        The input, int64, has one entry for all samples or one per sample; with several targets, one row of ``count``
        entries for all samples or one row per sample. Its default, -1, means the largest outputs; what is neither that
        nor an output's index makes the run fail.
        """
        rows = (1, count) if count > 1 else (1,)
        default = ir.Tensor(np.full(rows, BEST, np.int64), name=name)
        value = ir.val(name, const_value=default)
        value.shape = ir.Shape([None, *rows[1:]])  # a runtime would insist on the default's otherwise
        self.graph.inputs.append(value)
        self.graph.register_initializer(value)
        given = self._possible(self._reshaped(self.xp.graph.wrap(value, (1, count)), count))
        flat = self._flat()
        index = self.xp.where(given < self.xp.graph.ints([0]), self._largest(flat, count), given)
        for position in range(count):
            column = self.xp.take(index, np.array([position]), 1)
            one_hot = self.xp.one_hot(column, flat.shape[1])
            yield self.xp.reshape(one_hot if one else one_hot * flat, self.logits.shape)

    @property
    def size(self) -> int:
        """Number of outputs of a sample."""
        return int(math.prod(self.logits.shape[1:] if self.batched else self.logits.shape))

    def from_input(self, name: str) -> Symbol:
        """A whole relevance, float32, of the explained tensor's shape."""
        value = ir.val(name, ir.DataType.FLOAT, [n if isinstance(n, int) else None for n in self.logits.shape])
        self.graph.inputs.append(value)
        return self.xp.graph.wrap(value, self.logits.shape)

    def _flat(self) -> Symbol:
        return self.xp.reshape(self.logits, (self.logits.shape[0] if self.batched else 1, self.size))

    def _reshaped(self, given: Symbol, count: int) -> Symbol:
        """(samples or 1, count), whatever rank it was given in."""
        return self.xp.graph.emit("Reshape", [given, self.xp.graph.ints([-1, count])], (1, count))

    def _possible(self, given: Symbol) -> Symbol:
        """The indices, plus zeros that are looked up at places which do not exist for impossible ones."""
        emit, ints = self.xp.graph.emit, self.xp.graph.ints
        places, zero = self.size + 1, ir.Tensor(np.zeros(1, np.int64))  # the first one is that of -1
        zeros = emit("ConstantOfShape", [ints([places])], (places,), value=zero)
        place = self.xp.where(given < ints([BEST]), ints([places]), given - ints([BEST]))
        return given + emit("Gather", [zeros, place], given.shape, axis=0)

    def _largest(self, flat: Symbol, count: int) -> Symbol:
        """Indices of the largest outputs, the first one on ties: (samples, count)."""
        if count == 1:
            return self.xp.graph.emit("ArgMax", [flat], (flat.shape[0], 1), axis=1, keepdims=1)
        return self.xp.top(flat, count)
