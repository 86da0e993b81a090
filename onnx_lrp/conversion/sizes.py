"""The shape of every tensor before anything runs: the forward pass on symbols, for one sample and for two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ..backends.onnx import OnnxBackend
from ..backends.symbols import BatchSize, Graph, Size, Symbol, SymbolicShape
from ..errors import ConversionError, InputError, InvalidModelError, OnnxLrpError
from ..model.dependence import made_of_fixed
from ..model.graph import dims
from ..model.prepared import Prepared
from ..model.sizing import Shapes, fits
from ..propagation.forward import ForwardRecorder
from ..propagation.plan import Plan
from ..propagation.tape import Tape, Weights
from ..text import printable
from .derived import Derived

MADE_FOR = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 50, 64, 100, 128, 256)  # what a model may be made for, inside
UNFIT = (ValueError, TypeError, IndexError)  # what computing with sizes raises where they do not fit, or are unknown


def measure(prepared: Prepared, plan: Plan, shapes: Shapes) -> Tape:
    """Sizes of all tensors, and the values that depend on sizes only, as a tape without values.

    Args:
        prepared: the model.
        plan: its plan.
        shapes: sizes of open axes by input name; None leaves the first axis open.

    Raises:
        InputError: the given shapes do not fit the model's.
        InvalidModelError: the model's own shapes do not fit each other, for any number of samples.
        ConversionError: an axis other than the first is open, or shapes do not fit each other.
    """
    declared = _all_declared(prepared, shapes)
    one = _smallest(prepared, plan, declared)
    if all(isinstance(n, int) for shape in declared.values() for n in shape):
        return one
    try:
        two = _forward(prepared, plan, declared, 2)
    except UNFIT:  # inside, the model has a fixed number of samples
        return one
    sizes = {name: _merged(shape, two.shapes[name], prepared.source) for name, shape in one.shapes.items()}
    derived = Derived(one.derived, two.derived, prepared.source)
    repeated = {name: of.shape for name, of in derived.repeated.items()}
    return _measured(sizes | repeated, derived, one.made_of, prepared.source)


def measure_one(prepared: Prepared, plan: Plan) -> Tape:
    """The same for one sample, where the model leaves their number open.

    Raises:
        InvalidModelError, ConversionError: as for :func:`measure`.
    """
    return _smallest(prepared, plan, _all_declared(prepared, {}))


def _smallest(prepared: Prepared, plan: Plan, declared: Mapping[str, list[int | None]]) -> Tape:
    """Sizes for one sample. Where they do not fit, those of another number may; else the model is malformed."""
    try:
        return _forward(prepared, plan, declared, 1)
    except UNFIT as error:
        reason = f"{prepared.source}: {printable(str(error), 200)}"
    chosen = any(_chooses(value, declared[value.name or ""]) for value in prepared.inputs)
    if chosen or any(_fits(prepared, plan, declared, n) for n in MADE_FOR):
        raise ConversionError(f"{reason}: shapes do not fit; fix the number of samples (--shape NAME=1,...)")
    raise InvalidModelError(reason)


def _chooses(value: ir.Value, sizes: Sequence[int | None]) -> bool:
    """Whether a size is one of the user's, not the model's."""
    own = dims(value)
    return own is None or any(isinstance(n, int) and not isinstance(d, int) for d, n in zip(own, sizes))


def _fits(prepared: Prepared, plan: Plan, declared: Mapping[str, list[int | None]], samples: int) -> bool:
    try:
        _forward(prepared, plan, declared, samples)
    except (*UNFIT, OnnxLrpError):
        return False
    return True


def _all_declared(prepared: Prepared, shapes: Shapes) -> dict[str, list[int | None]]:
    return {value.name or "": _declared(value, shapes, prepared.source) for value in prepared.inputs}


def _declared(value: ir.Value, shapes: Shapes, source: str) -> list[int | None]:
    """Sizes of an input; None for an open first axis."""
    name = value.name or ""
    given, own = shapes.get(name), dims(value)
    if own is None and given is None:
        raise ConversionError(
            f"{source}: input {printable(name)!r} declares no shape; give it (--shape NAME=1,3,224,224)"
        )
    sizes: list[Any] = list(given) if given is not None else list(own or ())
    if own is not None and not fits(own, sizes):
        raise InputError(
            f"{source}: input {printable(name)!r} declares the shape {own}; {list(given or ())} does not fit"
        )
    sizes = [n if isinstance(n, int) else None for n in sizes]
    if None in sizes[1:]:
        shown = ", ".join("?" if n is None else str(n) for n in sizes)
        raise ConversionError(
            f"{source}: input {printable(name)!r} of shape ({shown}) has open axes beside the first; "
            f"fix them (--shape {printable(name)}=N,3,224,224, with N for an open first axis)"
        )
    return sizes


def _forward(prepared: Prepared, plan: Plan, declared: Mapping[str, list[int | None]], samples: int) -> Tape:
    """One symbolic forward pass.

    Raises:
        ValueError, TypeError, IndexError: sizes do not fit each other.
    """
    xp, source = scratch(), prepared.source
    shapes = {name: [samples if n is None else n for n in shape] for name, shape in declared.items()}
    values = {name: xp.graph.wrap(ir.val(name), shapes[name]) for name in plan.inputs}
    made_of = made_of_fixed(prepared.model.graph) if plan.fixed else {}
    fixed = {v.name or "": _some(v, shapes[v.name or ""]) for v in prepared.inputs if v.name in plan.fixed}
    recorder = ForwardRecorder(prepared.model, plan, ShapesOnly(prepared.model, xp), source)
    tape = recorder.run(Tape(values, {}, fixed, made_of, source))
    sizes = {name: value.shape for name, value in tape.values.items()}
    sizes |= {name: tape.derived.pop(name).shape for name in made_of if name in tape.derived}  # its values mean nothing
    return _measured(sizes, tape.derived, made_of, source)


def _measured(
    sizes: dict[str, SymbolicShape], derived: dict[str, np.ndarray], made_of: Mapping[str, str], source: str
) -> Tape:
    """A tape without values, but that of what is made of fixed inputs, which has a shape."""
    xp = scratch()
    weights = {name: xp.graph.wrap(ir.val(name), sizes[name]) for name in made_of if name in sizes}
    return Tape(weights, sizes, derived, made_of, source)


def _some(value: ir.Value, shape: Sequence[int]) -> np.ndarray:
    """A fixed input of this shape, for the shapes of what is made of it: ones, or zeros, which may be indices."""
    dtype = np.dtype(np.float32) if value.dtype is None else value.dtype.numpy()
    return np.full(shape, 1 if dtype.kind == "f" else 0, dtype)


class Scratch(Graph):
    """Symbols that have a shape and nothing else: no node is ever made."""

    def __init__(self) -> None:
        super().__init__(ir.Graph([], [], nodes=[], opset_imports={"": 18}), 18, ir.val("samples"))

    def constant(self, array: np.ndarray) -> Symbol:
        """Its shape."""
        return Symbol(self, self.samples, array.shape)

    def emit_all(
        self, op: str, inputs: Sequence[Symbol | None], shapes: Sequence[Sequence[Size]], **attributes: Any
    ) -> tuple[Symbol, ...]:
        """Its results' shapes."""
        return tuple(Symbol(self, self.samples, shape) for shape in shapes)


def scratch() -> OnnxBackend:
    """A backend of shapes alone."""
    return OnnxBackend(Scratch())


class ShapesOnly(Weights):
    """Weights as symbols, of which only the shape is read."""

    def on_backend(self, name: str) -> Any:
        """A symbol of the weight's shape."""
        value = self._values[name]
        assert value.const_value is not None, name
        return self.xp.graph.wrap(ir.val(name), value.const_value.shape.numpy())  # type: ignore[attr-defined]


def _merged(one: SymbolicShape, two: SymbolicShape, source: str) -> SymbolicShape:
    """What grows with the samples is a multiple of them."""
    return tuple(_size(a, b, source) for a, b in zip(one, two))


def _size(a: Size, b: Size, source: str) -> Size:
    if a != b and b != 2 * a:
        raise ConversionError(
            f"{source}: an axis has {a} elements for one sample and {b} for two; fix the number (--shape NAME=1,...)"
        )
    return a if a == b else BatchSize(a)
