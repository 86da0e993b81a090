"""How a converted model is told what to explain: optional inputs ``target`` and ``against``, or an input ``seed``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import onnx_ir as ir

from ..backends.onnx import OnnxBackend
from ..backends.symbols import Symbol, SymbolicShape
from ..errors import TargetError
from ..targets import Contrast, as_seed

BEST = -1  # the target that stands for the largest output
SeedKind = Literal["logit", "one", "odds", "margin", "probability", "input"]
CompiledSeed = Literal["logit", "one", "input"] | Contrast


def compiled_seed(seed: Any, against: Any, baseline: float | None) -> tuple[CompiledSeed, int]:
    """What to compile in, and how many classes ``against`` come as an input instead.

    Raises:
        TargetError: an unknown word, an array, or what does not go together.
    """
    if not isinstance(seed, str | Contrast) or (isinstance(seed, str) and seed not in (*get_args(SeedKind), "softmax")):
        raise TargetError(f"unknown seed {seed!r:.80}; choose one of {', '.join(get_args(SeedKind))}")
    if isinstance(against, str) and against != "input":
        raise TargetError(f"against is the index of a class, a list of them, or 'input', not {against!r:.80}")
    if seed == "input" and against is None and baseline is None:
        return "input", 0
    fed = isinstance(against, str)
    found: Any = as_seed(seed, 0 if fed else against, baseline)
    return (replace(found, classes=()) if fed else found), int(fed)


def about_seed(seed: CompiledSeed, fed: int) -> dict[str, str]:
    """What a converted model's metadata say of it."""
    if not isinstance(seed, Contrast):
        return {"seed": seed}
    about = {"seed": seed.word}
    if seed.kind == "against":
        about["against"] = "input" if fed else ",".join(map(str, seed.classes))
    if seed.kind == "baseline":
        about["baseline"] = repr(seed.baseline)
    return about


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

    def from_target(self, given: Symbol, start: Callable[[Symbol], Symbol]) -> Iterator[Symbol]:
        """What the walk starts with for each target: ``start`` of its one-hot rows (samples, outputs).

        -1 among the indices, (samples or 1, targets), means the largest outputs.
        """
        count = given.shape[1]
        index = self.xp.where(given < self.xp.graph.ints([0]), self._largest(self.flat, count), given)
        for position in range(count):
            one_hot = self.xp.one_hot(self.xp.take(index, np.array([position]), 1), self.flat.shape[1])
            yield self.xp.reshape(start(one_hot), self.logits.shape)

    def indices(self, name: str, count: int, optional: bool = True) -> Symbol:
        """An input of int64, as (samples or 1, count); ``optional``: it has a default.

        It has one entry for all samples or one per sample; if the count is above 1, one row for all samples or one row
        per sample. The default is -1; what is neither that nor an output's index makes the run fail.
        """
        rows = (1, count) if count > 1 else (1,)
        default = ir.Tensor(np.full(rows, BEST, np.int64), name=name)
        value = ir.val(name, const_value=default) if optional else ir.val(name, ir.DataType.INT64)
        value.shape = ir.Shape([None, *rows[1:]])  # a runtime would insist on the default's otherwise
        self.graph.inputs.append(value)
        if optional:
            self.graph.register_initializer(value)
        return self._possible(self._reshaped(self.xp.graph.wrap(value, (1, count)), count))

    def number(self, name: str) -> Symbol:
        """An input of float32, one number for all samples or one per sample, as (samples or 1, 1)."""
        value = ir.val(name, ir.DataType.FLOAT, [None])
        self.graph.inputs.append(value)
        return self._reshaped(self.xp.graph.wrap(value, (1,)), 1)

    @property
    def shape(self) -> SymbolicShape:
        """Of a sample's output."""
        return self.logits.shape[1:] if self.batched else self.logits.shape

    @property
    def size(self) -> int:
        """Number of outputs of a sample."""
        return int(math.prod(self.shape))

    def from_input(self, name: str) -> Symbol:
        """A whole relevance, float32, of the explained tensor's shape."""
        value = ir.val(name, ir.DataType.FLOAT, [n if isinstance(n, int) else None for n in self.logits.shape])
        self.graph.inputs.append(value)
        return self.xp.graph.wrap(value, self.logits.shape)

    @property
    def flat(self) -> Symbol:
        """The explained tensor, (samples, outputs)."""
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
