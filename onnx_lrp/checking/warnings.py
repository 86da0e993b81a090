"""What may make relevance inexact or unstable, as far as a file shows it; never more than a suspicion."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from ..composites import Bounded
from ..model.canonizers.origins import Scaled, origin_of
from ..model.graph import array, attributes, label
from ..model.prepared import Prepared
from ..ops import Linear, Merge
from ..ops.attention import SoftmaxMap
from ..propagation.plan import Plan
from ..propagation.step import Step
from ..rules import Epsilon, Relative, Rule, ZBox

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "FusedConv", "FusedGemm", "FusedMatMul")
SINGLE = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)

# How optimizers call the weights of a layer that they merged BatchNormalization into
WEIGHTS = re.compile(
    r"onnx::Conv(Transpose)?_\d+$"  # torch's exporter by TorchScript
    r"|ConvBnFusion|MatMulBnFusion"  # onnxruntime
    r"|weights_fused_bn$"  # tf2onnx
    r"|BatchNormalization_output_\d+_weight$"  # onnxslim
    r"|(^|/)_v_\d+$"  # onnx-optimizer, onnxsim
)
RULE = "pkg.onnxscript.rewriter.rule_name"  # torch's exporter since 2.5 says what it did

WIDEST = 1e6  # channels farther apart than this cannot both be exact in float32
LARGEST_GAIN = 1e3
SMALLEST, LARGEST = 1e-18, 1e18  # beyond, a product of two underflows or overflows
SMALL_EPSILON = 1e-2
HOLDING = "cplrp"  # the profile that holds Softmax


def doubts(prepared: Prepared, plan: Plan) -> tuple[str, ...]:
    """One line for each, with a remedy."""
    lines = [*_folded(prepared.source_model), *unused_bounds(plan)]
    for step in plan.steps:
        lines += [*_weights(step), *_cancels(step)]
    return (*_absorbing(plan), *lines)


def _absorbing(plan: Plan) -> Iterator[str]:
    """What a profile does not conserve."""
    softmax = sum(isinstance(step.role, Linear) and isinstance(step.role.map, SoftmaxMap) for step in plan.reached())
    if softmax:
        count = "1 Softmax absorbs" if softmax == 1 else f"{softmax} Softmax absorb"
        yield (
            f"relevance is not conserved: {count} the constant part of the expansion (--profile {HOLDING} holds them); "
            "--ledger says how much"
        )


def unused_bounds(plan: Plan) -> Iterator[str]:
    """Bounds of the input that go with a rule which no layer takes."""
    boxes = [selector for selector, rule in plan.composite.entries if isinstance(rule, ZBox) or _is_given(rule)]
    if boxes and not any(isinstance(step.rule, ZBox) for step in plan.steps):
        yield (
            f"the bounds low and high are not used: z^B is for {boxes[0]}, and the model has no such layer; put it on "
            'another one: composite.with_entries((Selector(("Gemm", "MatMul"), first=True), ZBox(low, high)))'
        )


def _is_given(rule: Rule) -> bool:
    """Whether it is z^B for bounds that somebody gave."""
    return isinstance(rule, Bounded) and rule.given is not None


def _folded(model: ir.Model) -> Iterator[str]:
    """BatchNormalization that an exporter merged in float32."""
    found = [node for node in model.graph if node.op_type in LAYERS and _seems_folded(node)]
    if found:
        count = f"{len(found)} layer{'s' if len(found) > 1 else ''}"
        names = ", ".join(label(node) for node in found[:3]) + ", …" * (len(found) > 3)
        yield (
            f"an exporter seems to have merged BatchNormalization in float32 into {count} ({names}): relevance agrees "
            "with the training framework's to about 1e-6 only; for more, export without folding (torch: "
            "optimize=False, or dynamo=False with do_constant_folding=False), and it is merged here in float64"
        )


def _seems_folded(node: ir.Node) -> bool:
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    if weight is None or weight.const_value is None or weight.const_value.dtype not in SINGLE:
        return False
    if "BatchNorm" in node.metadata_props.get(RULE, ""):
        return True
    return node.op_type != "MatMul" and WEIGHTS.search(weight.name or "") is not None


def _weights(step: Step) -> Iterator[str]:
    """Weights that float32 cannot do justice to."""
    node = step.node
    if node is None or not isinstance(step.role, Linear) or node.op_type not in LAYERS:
        return
    position = 1 - step.role.data
    data = array(node.inputs[position])
    if data is None or data.size == 0:
        return
    who, value = f"{step.op} {step.name}", node.inputs[position]
    origin = origin_of(value) if value is not None else None
    gain = float(np.abs(origin.gain).max()) if isinstance(origin, Scaled) else 0.0
    if gain > LARGEST_GAIN:
        yield f"{who}: the BatchNormalization merged into it scales by {gain:.2g} (a variance near 0?); use float64"
    others = tuple(i for i in range(data.ndim) if i != _channel_axis(node, data.ndim))
    sizes = np.maximum(data.max(others), -data.min(others))
    alive = sizes[sizes > 0]
    if dead := int(sizes.size - alive.size):
        yield f"{who}: {dead} of {sizes.size} output channels have only zeros as weights; prune them, or train again"
    if alive.size and (alive.max() < SMALLEST or alive.max() > LARGEST or alive.max() / alive.min() > WIDEST):
        yield f"{who}: the weights of its output channels go from {alive.min():.2g} to {alive.max():.2g}; use float64"


def _channel_axis(node: ir.Node, rank: int) -> int:
    if node.op_type == "Gemm":
        return 0 if attributes(node).get("transB", 0) else rank - 1
    return {"Conv": 0, "ConvTranspose": 1}.get(node.op_type, rank - 1)


def _cancels(step: Step) -> Iterator[str]:
    """A sum that may cancel, under an ε that does not hold it: x / (x + b) has no bound."""
    if not isinstance(step.rule, Epsilon) or isinstance(step.rule.epsilon, Relative):
        return
    if step.rule.epsilon >= SMALL_EPSILON:
        return
    who, more = f"{step.op} {step.name}", "use a larger epsilon there"
    if isinstance(step.role, Merge) and len({step.role.signs[i] for i in step.role.data}) > 1:
        yield f"{who} subtracts: where its inputs nearly cancel, relevance grows without bound; {more}"
    elif isinstance(step.role, Merge) and step.role.bias:
        yield f"{who} adds a constant: where that nearly cancels the input, relevance grows without bound; {more}"
    elif step.op == "BatchNormalization":
        yield (
            f"{who} could not be merged into a layer: where its shift nearly cancels its input, relevance grows "
            f"without bound; let relevance pass it (batchnorm='pass'), or {more}"
        )
