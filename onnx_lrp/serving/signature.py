"""What a server has to know of a converted model: its inputs and outputs, and which of them have a batch axis."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from ..errors import ConversionError
from ..model.runtime import SessionOptions, make_session
from ..model.wellformed import METADATA
from ..text import printable

OPEN = -1  # a size that only a run knows


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
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    about: dict[str, str]

    @property
    def batched(self) -> bool:
        """Whether the first axis of every tensor counts samples, and none is left out."""
        return all(port.open and not port.optional for port in (*self.inputs, *self.outputs))


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
    return Signature(inputs, outputs, about)


def _port(arg: object, declared: onnx.ValueInfoProto, optional: bool = False) -> Port:
    kind, sizes = str(getattr(arg, "type", "")), getattr(arg, "shape", ())
    name = printable(declared.name)
    if not kind.startswith("tensor("):
        raise ConversionError(f"{name!r} is {printable(kind)}, and servers pass tensors only; export without ZipMap")
    if not sizes and not declared.type.tensor_type.HasField("shape"):
        raise ConversionError(f"{name!r} has no known rank, which servers have to be told; export it with a shape")
    return Port(declared.name, kind, tuple(n if isinstance(n, int) and n > 0 else OPEN for n in sizes), optional)
