"""What a server has to know of a converted model: its inputs and outputs, and which of them have a batch axis."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import onnx

from ..errors import ConversionError, InvalidModelError
from ..model.runtime import TYPES, SessionOptions, make_session, run
from ..model.wellformed import METADATA
from ..text import printable

OPEN = -1  # a size that only a run knows
OTHERS = 100.0  # how much larger another sample's numbers are, where it is tried whether samples share a scale


@dataclass(frozen=True)
class Port:
    """An input or output.

    Args:
        name: of the tensor.
        kind: its type as onnxruntime writes it, ``tensor(float)``.
        shape: its sizes, -1 for an open one.
        optional: a run may leave it out.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    optional: bool = False

    @property
    def open(self) -> bool:
        """Whether the first axis may have any length."""
        return self.shape[:1] == (OPEN,)

    def sample(self, samples: int = 1) -> tuple[int, ...]:
        """A shape without open axes."""
        return tuple(samples if size == OPEN else size for size in self.shape)


@dataclass(frozen=True)
class Signature:
    """All inputs and outputs, in the model's order.

    Args:
        inputs: those that a run gives or may give.
        outputs: the source's own, then relevance.
        about: what a converted model's metadata say, without the prefix.
        session: the model in onnxruntime.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    about: dict[str, str]
    session: Any = field(repr=False, compare=False)

    @cached_property
    def controls(self) -> frozenset[str]:
        """The inputs that say what to explain, by an index for which -1 is the default."""
        asked = {"target": self.about.get("seed") != "input", "against": self.about.get("against") == "input"}
        # a source's own input may be called so, too; ours is the later one, with a longer name
        named = {port.name.rpartition("lrp_")[2]: port.name for port in self.inputs if port.kind == "tensor(int64)"}
        return frozenset(named[word] for word, wanted in asked.items() if wanted and word in named)

    @property
    def open(self) -> bool:
        """Whether the first axis of every tensor may have any length."""
        return all(port.open for port in (*self.inputs, *self.outputs))

    @cached_property
    def batched(self) -> bool:
        """Whether the first axis of every tensor counts samples, none is left out, and none changes another's answer.

        An open axis may count something else, boxes for example, and an output may be made of all samples. So the model
        is run: two samples must make two rows, and the first must not depend on the second.
        """
        if not self.open or any(port.optional or port.kind not in TYPES for port in self.inputs):
            return False
        rng = np.random.default_rng(0)
        one, other = ({port.name: self._sample(port, scale, rng) for port in self.inputs} for scale in (1.0, OTHERS))
        try:
            alone, beside = self._rows(one, one), self._rows(one, other)
        except InvalidModelError:  # so it would fail where it is served
            return False
        return all(len(a) == len(b) == 2 and _same(a[0], b[0]) for a, b in zip(alone, beside))

    def _sample(self, port: Port, scale: float, rng: np.random.Generator) -> np.ndarray:
        """Of what is no float the zeros: others may be no index of anything."""
        kind = np.dtype(TYPES[port.kind])
        if kind.kind == "f":
            return (scale * rng.normal(size=port.sample())).astype(kind)
        return np.full(port.sample(), "" if kind.kind == "O" else -1 if port.name in self.controls else 0, kind)

    def _rows(self, *samples: dict[str, np.ndarray]) -> list[np.ndarray]:
        feeds = {port.name: np.concatenate([sample[port.name] for sample in samples]) for port in self.inputs}
        return run(self.session, [port.name for port in self.outputs], feeds, "the converted model")


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def signature_of(model: onnx.ModelProto) -> Signature:
    """The signature as onnxruntime sees it, which is what servers built on it compare with.

    Args:
        model: a converted model.

    Raises:
        InvalidModelError: onnxruntime refuses the model.
        ConversionError: an input or output is no tensor of known rank.
    """
    session = make_session(model.SerializeToString(), SessionOptions(threads=1, optimized=False), "the converted model")
    values = {value.name: value for value in (*model.graph.input, *model.graph.output)}
    given, spare = session.get_inputs(), session.get_overridable_initializers()
    spare = [arg for arg in spare if arg.name in values]
    ports = {arg.name: _port(arg, values[arg.name], arg in spare) for arg in (*given, *spare)}
    outputs = tuple(_port(arg, values[arg.name]) for arg in session.get_outputs())
    inputs = tuple(ports[value.name] for value in model.graph.input if value.name in ports)
    about = {
        key.partition(".")[2]: prop.value for prop in model.metadata_props if (key := prop.key).startswith(METADATA)
    }
    return Signature(inputs, outputs, about, session)


def _port(arg: object, declared: onnx.ValueInfoProto, optional: bool = False) -> Port:
    kind, sizes = str(getattr(arg, "type", "")), getattr(arg, "shape", ())
    name = printable(declared.name)
    if not kind.startswith("tensor("):
        raise ConversionError(f"{name!r} is {printable(kind)}, and servers pass tensors only; export without ZipMap")
    if not sizes and not declared.type.tensor_type.HasField("shape"):
        raise ConversionError(f"{name!r} has no known rank, which servers have to be told; export it with a shape")
    return Port(declared.name, kind, tuple(n if isinstance(n, int) and n > 0 else OPEN for n in sizes), optional)
