"""Say which operands a profile takes as constants. Nothing is rewritten, and nothing that has a role is touched.

An operand is held per position: x may be held in x · σ(x) at one place, and live at the other. What reaches the
explained tensor through held operands alone is held as a whole, and needs no role.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from ...ops import Unsupported, profiled_role_of
from ..dependence import Dependence, dependence_of, dependences
from ..graph import FIXED, HELD, OF_TOKENS, REFUSAL, array, attributes
from ..profile import Profile
from ..site import NodeSite

CARRYING = ("Cast", "Expand", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze", "Flatten", "Slice", "Split",
          "Gather", "Tile", "Concat", "Resize", "Upsample")  # fmt: skip
POSITIVE = ("Sigmoid", "HardSigmoid", "Softplus", "Exp")
GATING = (*POSITIVE, "Tanh", "Erf", "Softsign")
NORMS = ("Reciprocal", "Sqrt", "ReduceL2", "ReduceL1", "ReduceSumSquare", "ReduceLogSumExp")
AVERAGES = ("ReduceMean", "ReduceSum", "ReduceMax", "GlobalAveragePool", "Clip", "Max", "Neg", "Abs")
DECIDING = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "And", "Or", "Xor", "Not", "ArgMax", "ArgMin",
            "Sign", "Floor", "Ceil", "Round", "IsNaN", "IsInf")  # fmt: skip
INDEXED = ("Gather", "GatherElements", "GatherND")
ABOUT_TOKENS = ("attention_mask", "token_type_ids", "position_ids", "input_mask", "segment_ids", "pixel_mask",
                "encoder_attention_mask", "bbox_mask")  # fmt: skip
FARTHEST = 200  # nodes that are looked back at to see what an operand is made of


def hold(model: ir.Model, profile: Profile, opset: int) -> list[str]:
    """Mark the operands that are held, in the order of execution. Returns notes."""
    if not profile:
        return []
    kinds, count = _given(model.graph), Counter[str]()
    for node in model.graph:
        kind = dependence_of(node, kinds)
        kinds.update(dict.fromkeys(node.outputs, kind))
        if kind is not Dependence.VARIABLE or _has_role(node, kinds, opset):
            continue
        found = _held(node, NodeSite(node, kinds, opset).variable, profile)
        if found:
            node.meta[HELD] = found
            kinds.update(dict.fromkeys(node.outputs, dependence_of(node, kinds)))
            count[_what(node, found)] += 1
    _refuse_second_outputs(model.graph)
    return [f"profile {profile}: {_times(what, n)} held" for what, n in sorted(count.items())]


def hold_token_masks(graph: ir.Graph, profile: Profile) -> None:
    """Masks and segments that language models are fed beside the tokens are constants of the question."""
    free = [value for value in graph.inputs if value.const_value is None and FIXED not in value.meta]
    about = [value for value in free if profile and value.name in ABOUT_TOKENS]
    if len(about) < len(free):
        for value in about:
            value.meta[FIXED] = OF_TOKENS


def _given(graph: ir.Graph) -> dict[ir.Value, Dependence]:
    """What is known before any node."""
    made = {value for node in graph for value in node.outputs}
    return {value: kind for value, kind in dependences(graph).items() if value not in made}


def _has_role(node: ir.Node, kinds: dict[ir.Value, Dependence], opset: int) -> bool:
    """Whether it has one without holding anything that is live: strictly, or as an activation of the profile's."""
    if REFUSAL in node.meta:
        return True  # nothing can be done for it here
    if node.op_type in ("Mul", "MatMul") and len(NodeSite(node, kinds, opset).variable) == 2:
        return NodeSite(node, kinds, opset).hint == "gate"
    try:
        profiled_role_of(NodeSite(node, kinds, opset, profile=True), attributes(node))
    except Unsupported:
        return False
    return True


def _held(node: ir.Node, variable: tuple[int, ...], profile: Profile) -> tuple[int, ...]:
    """The operands that are taken as constants."""
    op, inputs = node.op_type, node.inputs
    if op in DECIDING or (op == "Cast" and not _is_float(inputs[0])):
        return variable
    if op in ("Where", *INDEXED):
        return tuple(i for i in variable if i == (0 if op == "Where" else 1))
    if op == "Div":
        return tuple(i for i in variable if i == 1)
    weighing = [i for i in variable if _is_made_by(inputs[i], ("Softmax",))] if profile.softmax == "held" else []
    if op in ("Mul", "MatMul") and len(weighing) == 1:
        return tuple(weighing)
    if op == "Mul":
        return _one_of([i for i in variable if _is_factor(inputs[i])]) or _gate(node, variable, profile)
    return ()


def _one_of(positions: list[int]) -> tuple[int, ...]:
    """It, if it is one."""
    return tuple(positions) if len(positions) == 1 else ()


def _gate(node: ir.Node, variable: tuple[int, ...], profile: Profile) -> tuple[int, ...]:
    """The gate of a gate and a signal; of two, the one that is positive: of σ and tanh, σ."""
    if profile.gates == "half":
        return ()
    gates = [i for i in variable if _is_made_by(node.inputs[i], GATING, shifted=True)]
    return _one_of(gates) or _one_of([i for i in gates if _is_made_by(node.inputs[i], POSITIVE, shifted=True)])


def _is_float(value: ir.Value | None) -> bool:
    return value is None or value.dtype is None or value.dtype.is_floating_point()


def _is_made_by(value: ir.Value | None, ops: Iterable[str], shifted: bool = False) -> bool:
    """Whether it comes of one of these ops, moved, and maybe shifted or scaled by constants."""
    for _ in range(FARTHEST):
        node = value.producer() if value is not None else None
        if node is None or node.op_type in ops:
            return node is not None
        live = [v for v in node.inputs if v is not None and array(v) is None]
        if node.op_type in CARRYING:
            value = node.inputs[0]
        elif node.op_type == "Where" and sum(array(v) is None for v in node.inputs[1:]) == 1:
            value = node.inputs[1] if array(node.inputs[1]) is None else node.inputs[2]
        elif shifted and node.op_type in ("Add", "Sub", "Mul", "Div") and len(live) == 1:
            (value,) = live
        else:
            return False
    return False


def _is_factor(value: ir.Value | None, depth: int = 0) -> bool:
    """Whether it is made of norms, and of nothing but norms: 1/x, x^-p, ‖x‖, their sums, products and means."""
    node = value.producer() if value is not None else None
    if node is None or depth > FARTHEST:
        return False
    op, live = node.op_type, [v for v in node.inputs if v is not None and array(v) is None]
    if op in NORMS or (op == "Div" and array(node.inputs[0]) is not None):
        return True
    if op == "Pow":
        exponent = array(node.inputs[1])
        return exponent is not None and bool((np.asarray(exponent) < 0).all())
    if op in ("Add", "Sub", "Mul", "Div"):
        return bool(live) and all(_is_factor(v, depth + 1) for v in live)
    return op in (*CARRYING, *AVERAGES) and _is_factor(node.inputs[0], depth + 1)


def _refuse_second_outputs(graph: ir.Graph) -> None:
    """The mean and deviation that a LayerNormalization may give are no tensors that relevance can come from."""
    for node in graph:
        if node.op_type == "LayerNormalization" and any(value.uses() for value in node.outputs[1:]):
            node.meta[REFUSAL] = Unsupported("its mean or deviation is read, too", "export it as elementary nodes")


def _what(node: ir.Node, positions: tuple[int, ...]) -> str:
    if node.op_type == "Div":
        return "denominator"
    if node.op_type == "Mul":
        return "norm" if _is_factor(node.inputs[positions[0]]) else "gate"
    return {"MatMul": "attention weight", "Where": "condition", "Cast": "truth value"}.get(
        node.op_type, "index" if node.op_type in INDEXED else "decision"
    )


def _times(what: str, n: int) -> str:
    plural = {"index": "indices"}.get(what, f"{what}s")
    return f"1 {what} is" if n == 1 else f"{n} {plural} are"
