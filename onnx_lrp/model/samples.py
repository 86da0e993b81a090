"""Whether a tensor has one row per sample: said by the declared axes or, where these leave doubt, found by trying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from ..errors import InvalidModelError
from .graph import FLOATS, dims, is_fixed
from .precision import to_float32
from .runtime import SessionOptions, open_session, run

FROM_ITS_NEIGHBOURS = 1e-5  # of the largest number: what a row may owe to how the rows beside it are computed


def named_alike(inputs: Sequence[ir.Value], target: ir.Value) -> bool:
    """Whether every open first axis of the inputs, and the explained tensor's, have one name."""
    firsts = [(dims(value) or [None])[0] for value in (*inputs, target)]
    names = {first for first in firsts if not isinstance(first, int)}
    return len(names) == 1 and None not in names and not isinstance(firsts[-1], int)


def rows(inputs: Sequence[ir.Value], shapes: Mapping[str, Sequence[object]]) -> set[object]:
    """How many rows the inputs have, whose first axis is open; if none is, all of them."""
    of = {v.name or "": (dims(v) or [None])[0] for v in inputs}
    first = {name: shape[0] for name, shape in shapes.items() if len(shape)}
    return {n for name, n in first.items() if not isinstance(of[name], int)} or set(first.values())


def independent(
    reference: ir.Model, inputs: Sequence[ir.Value], shapes: Mapping[str, Sequence[int]], target: Sequence[object]
) -> bool:
    """Whether another first row of the inputs changes the first of the answer's rows, and no other.

    The model runs on numbers that are drawn; a scale that samples decide on together (in DynamicQuantizeLinear) is the
    first input's in both runs, as sharing it does not make one of them. If the model cannot run (some integers are
    indices, say, of which any but zero may be out of range), or if no row changes (behind a Clip), an answer of one
    number per row is taken for one sample, any other for a batch.

    Args:
        reference: the source, cut to the explained tensor.
        inputs: its inputs.
        shapes: of each input.
        target: the answer's shape; inputs of as many rows are changed, unless they are held fixed.
    """
    unsaid = len(target) > 1  # what is taken where the trial says nothing
    rng = np.random.default_rng(0)
    one = {v.name or "": _drawn(rng, v, shapes[v.name or ""]) for v in inputs}
    free = {v.name for v in inputs if not is_fixed(v)}
    other = {
        name: _another_first(rng, a) if name in free and a.shape[:1] == (target[0],) else a for name, a in one.items()
    }
    if any(value.dtype == ir.DataType.DOUBLE for value in inputs):
        reference = to_float32(reference)  # onnxruntime has no float64 convolution
    name = reference.graph.outputs[0].name or ""
    try:
        _freeze_scales(reference, one)
        session = open_session(reference, SessionOptions(), name)
        before, after = (np.asarray(run(session, [name], feeds, name)[0], np.float64) for feeds in (one, other))
    except InvalidModelError:
        return unsaid
    bound = FROM_ITS_NEIGHBOURS * np.abs(before[np.isfinite(before)]).max(initial=0)
    if not np.allclose(before[1:], after[1:], 0, bound, equal_nan=True):
        return False
    return unsaid or not np.allclose(before[0], after[0], 0, bound, equal_nan=True)


def _freeze_scales(reference: ir.Model, feeds: Mapping[str, np.ndarray]) -> None:
    """Quantise with the scales and zero points of this input, whatever the input."""
    shared = [node for node in reference.graph if node.op_type == "DynamicQuantizeLinear" and not node.domain]
    if not shared:
        return
    found = [value for node in shared for value in node.outputs[1:]]
    wanted, kept = [value.name or "" for value in found], list(reference.graph.outputs)
    reference.graph.outputs.extend(found)
    session = open_session(reference, SessionOptions(), wanted[0])
    numbers = [ir.Tensor(array) for array in run(session, wanted, feeds, wanted[0])]
    reference.graph.outputs[:] = kept
    for position, node in enumerate(shared):
        new = [ir.node("Constant", [], {"value": number}) for number in numbers[2 * position : 2 * position + 2]]
        scale, zero = (constant.outputs[0] for constant in new)
        fixed = ir.node("QuantizeLinear", [node.inputs[0], scale, zero])
        ir.convenience.replace_nodes_and_values(
            reference.graph, node, [node], [*new, fixed], node.outputs, [fixed.outputs[0], scale, zero]
        )


def _drawn(rng: np.random.Generator, value: ir.Value, shape: Sequence[int]) -> np.ndarray:
    """Normal floats; as integers and booleans, which may be indices, 0 or 1."""
    if value.dtype == ir.DataType.STRING:
        return np.full(shape, "", object)
    if value.dtype is None or value.dtype in FLOATS:
        return rng.normal(size=shape).astype(np.float32)
    return rng.integers(2, size=shape).astype(value.dtype.numpy())


def _another_first(rng: np.random.Generator, a: np.ndarray) -> np.ndarray:
    """Other numbers in the first row."""
    changed = a.copy()
    if a.dtype.kind == "O":
        return changed
    changed[0] = 3 * rng.normal(size=a.shape[1:]) if a.dtype.kind == "f" else 1 - a[0]
    return changed
