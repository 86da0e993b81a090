"""What holds for every explanation: it is onnxruntime's answer, the backends agree, and the account closes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from onnx_lrp import Composite, Explainer, Explanation, Zero
from onnx_lrp.ops import Activation, Route
from onnx_lrp.propagation.step import Step
from onnx_lrp.propagation.walk import walk

from .cases import Case
from .curved import BENT, QUANTIZING
from .sparse import IDS
from .yardstick import DOUBLE, SINGLE, allowance, distance, flat, is_near_half


def explaining(case: Case, backend: str, dtype: str | None = None, facts: bool = True, **options: Any) -> Explainer:
    """What a case asks for, on one thread."""
    asked = {"pass_ops": case.pass_ops, "output": case.output, "batchnorm": case.batchnorm}
    given = {"backend": backend, "dtype": dtype, "facts": facts, "threads": 1, **asked, **options}
    return Explainer(case.model, case.composite, **given)


@dataclass
class Account:
    """An observer of the walk: what each step took and gave, the largest activation, Σ|R| of a step, and |R|."""

    largest: float
    moved: float = 0.0
    peak: float = 0.0
    steps: list[tuple[Step, float, float]] = field(default_factory=list)

    def __call__(self, step: Step, arriving: list[Any], shares: list[tuple[str, Any]]) -> None:
        came = [r for r in arriving if r is not None]
        gone = [r for _, r in shares]
        self.moved = max(self.moved, *(sum(np.abs(r).sum() for r in some) for some in (came, gone)))
        self.peak = max(self.peak, *(np.abs(r).max() for r in came + gone))
        self.steps.append((step, sum(r.sum() for r in came), sum(r.sum() for r in gone)))


@np.errstate(all="ignore")  # as the library computes: what is not finite is an error in the end
def agreed(
    explainer: Explainer,
    case: Case,
    reference: Explanation,
    plain: Explanation,
    torch: Explanation,
    compiled: Explanation,
    tally: Counter[str],
) -> None:
    """All backends' answers and relevances are the same and right, without facts, too, and the account closes."""
    account = booked(explainer, case, reference)
    halves = is_near_half(explainer, case)
    if not halves:
        answered(case, [reference, torch, compiled], account.largest)
    tally.update(graphs=1, nodes=len(case.ops), nothing=not flat(reference).any())
    gradient(case, reference, account.largest, tally)
    if tied(reference, [plain, torch, compiled]):
        tally.update(ties=1)
        return
    extreme = account.largest > 1e15  # what is divided by that may leave float32's range
    tally.update(extreme=extreme, halves=halves)
    bounds = [("plain", plain, DOUBLE, 1e-9), ("torch", torch, DOUBLE, 1e-9), ("onnx", compiled, SINGLE, 1e-3)]
    for name, other, size, tight in bounds[: 2 if extreme or halves else 3]:
        off = distance(flat(other), flat(reference))
        if off > tight:
            tally.update({f"wide for {name}": 1})
            allowed = allowance(explainer, case, reference, account.peak, size)
            assert off <= allowed, (name, off, allowed)


def tied(reference: Explanation, others: list[Explanation]) -> bool:
    """Whether rounding decided which output is the largest; without a tie all have explained the same."""
    if all((other.target == reference.target).all() for other in others):
        return False
    rows = reference.output.reshape(len(reference.target), -1)
    best = np.take_along_axis(rows, reference.target[:, None], 1)
    for other in others:
        chosen = np.take_along_axis(rows, other.target[:, None], 1)
        np.testing.assert_allclose(chosen, best, rtol=1e-5, atol=1e-5 * np.abs(rows).max())
    return True


def runtime(case: Case) -> np.ndarray:
    """The explained tensor, as onnxruntime computes it in the model as it was drawn."""
    return fetched(case, [case.explained])[0]


def is_sound(case: Case) -> bool:
    """Whether every tensor has elements: where a Resize makes sizes, that is not known while drawing."""
    if not {"Resize", "Upsample"} & set(case.ops):
        return True
    try:
        return all(a.size for a in fetched(case, [n for node in case.model.graph.node for n in node.output if n]))
    except Exception as error:  # onnxruntime's own classes share no base but Exception
        return "Invalid input shape" not in str(error)


def fetched(case: Case, names: list[str]) -> list[np.ndarray]:
    """Tensors of the model as it was drawn, as onnxruntime computes them."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    in_one_precision(model)
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    if set(QUANTIZING) & set(case.ops):  # else it rounds activations to integers, to multiply them with such weights
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {i.name: case.feeds[i.name] for i in session.get_inputs()}
    return session.run(names, {n: x.astype(np.float32) if x.dtype.kind == "f" else x for n, x in feeds.items()})


def in_one_precision(model: onnx.ModelProto) -> None:
    """All floats as float32, because all are computed in one precision, even where a mutation mixes them."""
    floats = (onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)
    inside = [a.t for n in model.graph.node if n.op_type == "Constant" for a in n.attribute if a.name == "value"]
    for weight in (*model.graph.initializer, *inside):
        if weight.data_type in floats:
            a = onnx.numpy_helper.to_array(weight).astype(np.float32)
            weight.CopyFrom(onnx.numpy_helper.from_array(a, weight.name))
    for value in model.graph.input:
        if value.type.tensor_type.elem_type in floats:
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT


def answered(case: Case, explanations: list[Explanation], largest: float) -> None:
    expected = runtime(case)
    for explanation in explanations:
        logits = explanation.output.reshape(expected.shape)
        np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max() + 1e-6 * largest)


def booked(explainer: Explainer, case: Case, explanation: Explanation) -> Account:
    """The account, as a whole and node by node, closes to 1e-9 of the |R| that was about."""
    start = np.zeros(explanation.output.shape)
    rows = start.reshape(len(start), -1)
    logits = explanation.output.reshape(rows.shape)
    i = np.arange(len(rows))
    rows[i, explanation.target] = 1 if case.seed == "one" else logits[i, explanation.target]
    engine = explainer.engine
    tape = engine._recorder.record(case.feeds, set())
    account = Account(max(float(np.abs(a).max()) for a in tape.values.values()))
    walk(explainer.plan, tape, engine._weights, start.reshape(tape.values[explainer.plan.target].shape), set(), account)
    tolerance = 1e-9 * account.moved
    kept = explanation.conservation.target.sum() - explanation.conservation.inputs.sum()
    assert abs(sum(entry.absorbed for entry in explanation.ledger) - kept) <= tolerance
    assert abs(start.sum() - explanation.conservation.target.sum()) <= tolerance
    for (step, came, gone), entry in zip(account.steps, explanation.ledger, strict=True):
        assert max(abs(entry.relevance_in - came), abs(entry.relevance_out - gone)) <= tolerance
        if isinstance(step.role, Activation) or (isinstance(step.role, Route) and not _absorbs(step)):
            assert abs(came - gone) <= tolerance, step.name
    return account


def _absorbs(step: Step) -> bool:
    """Routes that have values of their own: a border, a constant beside the data."""
    operands = {"Concat": len(step.inputs), "Where": 2}  # of a Where, the first input is the mask
    return step.op in ("Pad", "Trilu", "Scatter", "ScatterElements", "ScatterND") or len(step.receivers) < operands.get(
        step.op, 1
    )


ZERO = Composite("zero", (), Zero())
STEP = 1e-6


def gradient(case: Case, reference: Explanation, largest: float, tally: Counter[str]) -> None:
    """LRP-0 is gradient × input: Σ u R is what the answer changes by as every input x grows by u x.

    The network is piecewise linear, so that differences are exact, but where a kink is crossed: then the differences to
    either side disagree. A Clip above its upper bound hands relevance on, though its gradient is 0.
    """
    if case.pass_ops or {*BENT, *IDS} & set(case.ops) or any(map(is_bounded, case.model.graph.node)):
        tally.update(bent=1)
        return
    explainer = explaining(replace(case, composite=ZERO), "numpy", verify=False)
    found = explainer(case.feeds, reference.target)
    rng = np.random.default_rng(0)
    u = {name: rng.standard_normal(x.shape) for name, x in case.feeds.items()}
    below, here, above = (
        logits(explainer, {n: x * (1 + h * u[n]) for n, x in case.feeds.items()}, reference.target)
        for h in (-STEP, 0, STEP)
    )
    expected = sum((u[n] * r).sum() for n, r in found.inputs.items())
    size = sum(np.abs(u[n] * r).sum() for n, r in found.inputs.items()) + 1e-3 * largest
    if abs(above - 2 * here + below) > 1e-7 * STEP * size:
        tally.update(kinks=1)
    else:
        tally.update(gradients=1)
        assert abs((above - below) / (2 * STEP) - expected) <= 1e-6 * size, ((above - below) / (2 * STEP), expected)


def is_bounded(node: onnx.NodeProto) -> bool:
    """Whether a Clip has an upper bound."""
    return node.op_type == "Clip" and (len(node.input) > 2 or len(node.attribute) > 1)


def logits(explainer: Explainer, feeds: dict[str, np.ndarray], target: np.ndarray) -> float:
    """The sum of what is explained of each sample, in float64."""
    values = explainer.engine._recorder.record(feeds, set()).values[explainer.plan.target]
    return float(np.take_along_axis(values.reshape(len(target), -1), target[:, None], 1).sum())
