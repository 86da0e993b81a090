"""Whether a model has a gradient, and who can compute it."""

from __future__ import annotations

from ..backends import Choice, choices
from ..engines.walking import WalkEngine
from ..errors import InputError
from ..explainer import Explainer
from ..model.prepared import Prepared
from ..ops import Route
from ..propagation.plan import Plan
from .backward import without_slope
from .predictor import is_float, single_input

ROUNDERS = ("QuantizeLinear", "DynamicQuantizeLinear", "Round", "Floor", "Ceil", "Sign")


def check_differentiable(prepared: Prepared, plan: Plan) -> None:
    """Refuse a model whose gradient is 0 or undefined almost everywhere.

    Raises:
        InputError: its input is integers, or a node rounds or looks numbers up.
    """
    reason = _obstacle(prepared, plan)
    if reason is not None:
        raise InputError(f"{prepared.source}: the model has no gradient: {reason}; occlusion and random need none")


def differentiator(explainer: Explainer) -> tuple[Choice, bool]:
    """What computes the gradient, and whether that is Torch's own differentiation instead of our walk.

    Raises:
        InputError: it would have to be Torch, which is not installed.
    """
    engine, choice = explainer.engine, choices()[-1]
    if isinstance(engine, WalkEngine):
        device = getattr(engine.xp, "device", None)
        choice = Choice(engine.name, engine.dtype.name, None if device is None else str(device))
    beyond = next(without_slope(explainer.plan), None)
    if beyond is None or choice.name == "torch":
        return choice, beyond is not None
    torch = choices(dtype="float64")[0]
    if torch.name != "torch":
        raise InputError(
            f"{explainer.prepared.source}: node {beyond.name} ({beyond.op}) is not linear in pieces, and only Torch "
            "differentiates that; install it with: pip install 'onnx_lrp[torch]'"
        )
    return torch, True


def _obstacle(prepared: Prepared, plan: Plan) -> str | None:
    """Why there is no gradient."""
    value = single_input(prepared)
    if not is_float(value):
        return f"its input is {value.dtype.name.lower() if value.dtype is not None else 'of unknown type'}"
    for step in plan.steps:
        if step.op in ROUNDERS:
            return f"node {step.name} ({step.op}) rounds"
    for step in plan.reached():
        if isinstance(step.role, Route) and not step.role.copies:
            return f"node {step.name} ({step.op}) looks numbers up"
    return None
