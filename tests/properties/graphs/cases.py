"""Whole cases: a model, an input, a composite, a question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from onnx_lrp import AlphaBeta, Composite, Epsilon, Explainer, Flat, Gamma, Rule, Selector, WSquare, ZBox, Zero, ZPlus
from onnx_lrp.composites import DIAGONAL, PRESETS, WEIGHTED
from onnx_lrp.errors import UnsupportedModelError
from onnx_lrp.ops.smooth import TRUSTABLE

from .curved import FAVOURITES, NEWEST, favourite, opsets
from .joints import activation, answer, any_step, first_step, join
from .sketch import LARGEST, Draw, Sketch

BOUND = 4.0  # of every input
BOX = f"low=-{BOUND:g},high={BOUND:g}"
RULES: list[Rule] = [
    Epsilon(0.1), Epsilon(bias="ignore"), Zero(), Gamma(1.0), Gamma(epsilon=0.1, bias="ignore"), AlphaBeta(1.5, 0.5),
    AlphaBeta(3.0, 2.0, epsilon=0.1), ZPlus(bias="ignore"), WSquare(), WSquare(square_bias=True), Flat(),
]  # fmt: skip
OPSETS = range(9, NEWEST + 1)  # the first is the last that has an Upsample
HEADS = ["Softmax", "LogSoftmax", "Sigmoid", "ArgMax"]


@dataclass(frozen=True)
class Case:
    """A model and what to ask of it; ``explained`` is the tensor before the head."""

    model: onnx.ModelProto
    feeds: dict[str, np.ndarray]
    composite: str | Composite
    explained: str
    seed: str
    target: int | None
    pass_ops: tuple[str, ...] = ()
    output: str | None = None
    batchnorm: str = "affine"

    @property
    def ops(self) -> list[str]:
        return [node.op_type for node in self.model.graph.node]

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def __str__(self) -> str:
        shapes = {n: a.shape for n, a in self.feeds.items()}
        asked = f"{shapes} {self.seed} {self.target} {self.pass_ops}"
        return f"{onnx.printer.to_text(self.model)}\n{self.composite}\n{asked}"


def composites(draw: Draw) -> str | Composite:
    """A preset, one rule everywhere, or any rule anywhere."""
    kind = draw(st.sampled_from(["preset", "preset", "rule", "mixed"]))
    if kind == "preset":
        name = draw(st.sampled_from(sorted(PRESETS)))
        box = name == "epsilon_gamma_box" or (name in ("layered", "default") and draw(st.booleans()))
        others = draw(st.sampled_from(["", "", "", "bias=ignore"]))
        return ":".join(filter(None, (name, ",".join(filter(None, (BOX if box else "", others))))))
    if kind == "rule":
        rule = draw(st.sampled_from(RULES))
        return Composite("rule", ((Selector(WEIGHTED + DIAGONAL, strict=False), rule),))
    first = (Selector(WEIGHTED, first=True, strict=False), ZBox(-BOUND, BOUND))
    entries = [(Selector((op,), strict=False), draw(st.sampled_from(RULES))) for op in (*WEIGHTED, *DIAGONAL)]
    merges = [(Selector((op,), strict=False), Gamma(0.5)) for op in ("Add", "Sub", "Sum") if draw(st.booleans())]
    return Composite("mixed", (first, *entries, *merges), draw(st.sampled_from([Epsilon(), Epsilon(0.1), Zero()])))


@st.composite
def cases(draw: Draw) -> Case:
    kind = draw(st.sampled_from(FAVOURITES)) if draw(st.integers(0, 99)) >= 65 else None
    opset = draw(st.sampled_from([*OPSETS, *[OPSETS[0]] * 4] if kind is None else opsets(kind)))
    s = Sketch(draw, opset, draw(st.integers(1, 3)), draw(st.booleans()))
    s.curved = kind is not None
    for _ in range(s.pick([1, 1, 1, 2])):
        s.input(
            *s.pick(
                [(4, 6), (2, 5, 5), (3, 6, 4), (1, 4, 6), (4, 4, 4), (8,), (5,), (2, 3, 3, 3), (2, 3, 4), (4, 5, 2), ()]
            )
        )
    if kind is not None and s.chance(70):
        s.attempt(favourite, s.pick(s.fresh), kind)
    elif s.chance(60):
        s.attempt(first_step, s.pick(s.fresh))
    for _ in range(s.whole(2, 7)):
        x = s.pick(s.fresh if s.chance(80) else s.made)
        y = next((y for _ in range(4) if (y := s.attempt(any_step, x)) is not None), None)
        if y is not None and s.chance(30):
            s.attempt(activation, y)
    return finished(s)


def finished(s: Sketch) -> Case:
    """Join what nothing reads yet, put a head on it, and make a model."""
    s.limit = LARGEST * 100
    loose = s.fresh if s.chance(80) else [s.pick(s.fresh)]
    x = join(s, loose) if len(loose) > 1 else loose[0]
    explained = answer(s, x if x not in s.inputs else join(s, [x, x]))
    feeds = {name: inputs(s, s.shapes[name]) for name in s.inputs}
    target = s.pick([None, 0, int(np.prod(s.shapes[explained][1:])) - 1])
    outputs = [explained]
    if s.rank(explained) == 2 and s.chance(15):
        outputs = [s.op(s.pick(HEADS), explained)]
        if s.chance():
            outputs.append(explained)
    drawn = model(s, outputs)
    seed = s.pick(["logit", "logit", "one"])
    trusted = vouched(drawn) if s.curved else ()
    if s.curved and len(outputs) == 1:  # a Sigmoid that is scaled, at the end, is a head, too
        explained = Explainer(drawn, backend="numpy", pass_ops=trusted).prepared.output
    return Case(drawn, feeds, composites(s.draw), explained, seed, target, trusted)


def vouched(drawn: onnx.ModelProto) -> tuple[str, ...]:
    """The activations that the model is refused for unless the user vouches for them."""
    try:
        Explainer(drawn, backend="numpy")
    except UnsupportedModelError as error:
        return tuple(sorted({problem.op for problem in error.problems} & set(TRUSTABLE)))
    return ()


def inputs(s: Sketch, shape: tuple[int, ...]) -> np.ndarray:
    x = s.rng.standard_normal(shape).clip(-BOUND, BOUND)
    return (np.abs(x) if s.chance(30) else x).astype(np.float32)


def model(s: Sketch, outputs: list[str]) -> onnx.ModelProto:
    """Constants as initializers or Constant nodes, the batch open or fixed, shapes of outputs declared or not."""
    read = {name for node in s.nodes for name in node.input}
    inside = {name for name in s.constants if name in read and s.chance(15)}
    makers = [helper.make_node("Constant", [], [n], value=numpy_helper.from_array(s.constants[n])) for n in inside]
    kept = [numpy_helper.from_array(a, n) for n, a in s.constants.items() if n in read - inside]
    batch: Any = s.samples if s.fixed else s.pick(["N", None])
    given = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [batch, *s.shapes[n][1:]]) for n in s.inputs]
    whole = {name for node in s.nodes if node.op_type == "ArgMax" for name in node.output}
    kinds = [TensorProto.INT64 if name in whole else TensorProto.FLOAT for name in outputs]
    made = [helper.make_tensor_value_info(n, kind, [None] * s.rank(n)) for n, kind in zip(outputs, kinds)]
    graph = helper.make_graph([*makers, *s.nodes], "drawn", given, made, kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", s.opset)], ir_version=8)
