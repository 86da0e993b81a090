"""How much of a model's arithmetic runs under which rule: multiply-adds of its linear maps, from shapes alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..backends.symbols import Symbol
from ..conversion.sizes import UNFIT, ShapesOnly, measure_one, scratch
from ..errors import InvalidModelError, OnnxLrpError
from ..model.prepared import Prepared
from ..ops import Linear, Product
from ..propagation.plan import Plan
from ..propagation.step import Step
from ..propagation.tape import StepOperands, Tape, Weights


def multiply_adds(prepared: Prepared, plan: Plan) -> dict[str, int] | None:
    """Multiply-adds of one forward pass, by rule, the largest first; None if sizes other than the batch are open.

    For one sample where the model leaves their number open. A zero that pads a border counts, an addition alone (a
    bias, a merge) does not.

    Raises:
        InvalidModelError: no size is open, and they do not fit each other.
    """
    try:
        return _counted(prepared, plan)
    except InvalidModelError:
        raise
    except (OnnxLrpError, *UNFIT):  # open sizes: the model may be explained all the same
        return None


def _counted(prepared: Prepared, plan: Plan) -> dict[str, int]:
    tape, weights = measure_one(prepared, plan), ShapesOnly(prepared.model, scratch())
    work: Counter[str] = Counter()
    for step in plan.steps:
        if isinstance(step.role, Linear | Product):
            layer = step.role if isinstance(step.role, Linear) else step.role.sides[0]
            x, z = (tape.shapes[name or ""] for name in (step.inputs[layer.data], step.outputs[0]))
            kernel = _other_shape(step, layer, tape) if layer.held else _kernel(step, layer, tape, weights)
            work[str(step.rule).removesuffix("()")] += layer.map.multiply_adds(x, kernel, z)
    return dict(work.most_common())


def _kernel(step: Step, layer: Linear, tape: Tape, weights: Weights) -> Any:
    """The weight's shape; of matrices, x and z say the sizes."""
    w = StepOperands(step, tape, weights).parameters(layer).weight
    return w.shape if isinstance(w, Symbol) else ()


def _other_shape(step: Step, layer: Linear, tape: Tape) -> Any:
    """The shape of what is held; none, if that is made of the data itself."""
    others = [name for i, name in enumerate(step.inputs) if i != layer.data and name in tape.shapes]
    return tape.shapes[others[0]] if others else ()


def shares(work: dict[str, int] | None) -> str:
    """``ZPlus 93.10 %, Epsilon 6.90 %; total 1.82 G``."""
    if work is None:
        return "unknown: sizes other than the number of samples are open"
    total = sum(work.values())
    if not total:
        return "none"
    parts = [f"{rule} {100 * n / total:.2f} %" for rule, n in work.items()]
    return f"{', '.join(parts)}; total {_short(total)}"


def _short(n: int) -> str:
    for size, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return str(n)
