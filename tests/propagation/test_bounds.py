"""Bounds that follow from the inputs' type, from quantisation, or from what somebody said; and z^B by them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper
from planning import close, everywhere, parsed

import onnx_lrp as lrp
from onnx_lrp import Composite, ZBox
from onnx_lrp.model.preparation import prepare
from onnx_lrp.propagation.assignment import layers

RNG = np.random.default_rng(7)
K, L = RNG.standard_normal((4, 3, 3, 3)), RNG.standard_normal((2, 4, 1, 1))
BEHIND = "a = Conv<pads = [1, 1, 1, 1]>(h, K) r = Relu(a) p = GlobalAveragePool(r) c = Conv(p, L) y = Flatten(c)"


def net(head: str, kind: str = "float", shape: str = "N, 3, 6, 6", **weights: object):  # type: ignore[no-untyped-def]
    return parsed(f"g ({kind}[{shape}] x) => (float[N, 2] y) {{ {head} {BEHIND} }}", K=K, L=L, **weights)


def first_rule(model: object, composite: str) -> object:
    plan = lrp.Explainer(model, composite, backend="numpy").plan  # type: ignore[arg-type]
    return next(step.rule for step in plan.steps if step.op == "Conv")


MEAN = {"mean": np.array([0.5, 0.4, 0.3]).reshape(3, 1, 1), "full": [255.0]}


@pytest.mark.parametrize(
    ("head", "kind", "weights", "text", "expected"),
    [
        ("h = Identity(x)", "float", {}, "default", None),
        ("h = Identity(x)", "float", {}, "default:low=-1,high=2", (-1, 2)),
        ("h = Identity(x)", "float", {}, "default:low=-1/0/1,high=2/3/4", ([-1, 0, 1], [2, 3, 4])),
        ("h = Cast<to = 1>(x)", "uint8", {}, "default", (0, 255)),
        ("f = Cast<to = 1>(x) h = Div(f, full)", "uint8", MEAN, "default", (0, 1)),
        ("f = Cast<to = 1>(x) d = Div(f, full) h = Sub(d, mean)", "uint8", MEAN, "default",
         ([-0.5, -0.4, -0.3], [0.5, 0.6, 0.7])),
        ("d = Div(x, full) h = Sub(mean, d)", "float", MEAN, "default:low=0,high=255",
         ([-0.5, -0.6, -0.7], [0.5, 0.4, 0.3])),
        ("h = Cast<to = 1>(x)", "int8", {}, "default", (-128, 127)),
        ("h = Cast<to = 1>(x)", "uint8", {}, "default:low=0,high=9", (0, 9)),  # who says more, knows more
        ("h = MaxPool<kernel_shape = [2, 2]>(x)", "float", {}, "default:low=-1,high=2", (-1, 2)),
        ("h = Pad(x, pads, v)", "float", {"pads": [0, 0, 1, 1, 0, 0, 1, 1], "v": 3.0}, "default:low=1,high=2", (1, 3)),
        ("h = Relu(x)", "float", {}, "default:low=-1,high=2", None),
    ],
)  # fmt: skip
def test_the_first_layer_has_z_box_where_bounds_are_known(
    head: str, kind: str, weights: dict[str, object], text: str, expected: tuple[object, object] | None
) -> None:
    rule = first_rule(net(head, kind, **weights), text)
    if expected is None:
        assert rule == lrp.ZPlus()
        return
    assert isinstance(rule, ZBox)
    for found, wanted in zip((rule.low, rule.high), expected):
        np.testing.assert_allclose(np.ravel(found), wanted, atol=1e-6)


def test_quantised_inputs_have_their_type_s() -> None:
    head = "q = QuantizeLinear(x, s, z) h = DequantizeLinear(q, s, z)"
    model = net(head)
    for name, value in (("s", np.float32(0.25)), ("z", np.uint8(4))):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    rule = first_rule(model, "default")
    assert isinstance(rule, ZBox)
    assert (rule.low, rule.high) == (-1.0, 62.75)


def test_it_is_the_same_as_z_box_by_hand() -> None:
    model = net("d = Div(x, full) h = Sub(d, mean)", **MEAN)
    x = RNG.uniform(0, 255, (3, 3, 6, 6)).astype(np.float32)
    low, high = (-0.5, -0.4, -0.3), (0.5, 0.6, 0.7)
    front = (lrp.Selector(("Conv",), first=True), ZBox(low, high))
    by_hand = Composite.parse("epsilon_plus:dense_heads=true").with_entries(front)
    found = everywhere(model, x, "default:low=0,high=255")
    close(found[0].relevance, lrp.explain(model, x, composite=by_hand, backend="numpy").relevance, 1e-6)


def test_a_layer_on_a_map_of_one_pixel_is_dense() -> None:
    model = net("h = Identity(x)", shape="N, 3, H, W")
    infos = [info for info in layers(prepare(model).verdict).values() if info.op == "Conv"]
    assert [(info.place, info.kernel, info.channels, info.made, info.dense) for info in infos] == [
        ("input", (3, 3), 3, (None, None), False),
        ("head", (1, 1), 4, (1, 1), True),
    ]
    rules = [step.rule for step in lrp.Explainer(model, backend="numpy").plan.steps if step.op == "Conv"]
    assert rules == [lrp.ZPlus(), lrp.Epsilon()]
    plain = lrp.Explainer(model, "epsilon_plus", backend="numpy").plan.steps
    assert [step.rule for step in plain if step.op == "Conv"] == [lrp.ZPlus(), lrp.ZPlus()]


def test_the_only_layer_is_a_head_and_keeps_epsilon() -> None:
    model = parsed("g (float[N, 4] x) => (float[N, 2] y) { y = MatMul(x, W) }", W=RNG.standard_normal((4, 2)))
    (step,) = lrp.Explainer(model, "default:low=0,high=1", backend="numpy").plan.steps
    assert step.rule == lrp.Epsilon()
