"""Whole networks: conservation, gradient × input, the ledger, and the same answer from every way to compute it.

Networks are random but seeded; their weights are scaled so that activations stay near 1.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnx_lrp import AlphaBeta, Composite, Epsilon, Explainer, Flat, Gamma, Rule, Selector, WSquare, ZBox, Zero, ZPlus
from onnx_lrp.composites import PRESETS, WEIGHTED

BOX = "epsilon_gamma_box:low=-4,high=4"
COMPOSITES = [BOX if name == "epsilon_gamma_box" else name for name in PRESETS] + ["layered:low=-4,high=4"]


class Net:
    """A graph under construction; every method adds nodes and gives the name of the last one's output."""

    def __init__(self, seed: int, bias: bool, activation: str = "Relu") -> None:
        self.rng, self.bias, self.activation = np.random.default_rng(seed), bias, activation
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}
        self.channels: dict[str, int] = {}

    def op(self, kind: str, *inputs: str, channels: int | None = None, **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], f"{kind}{len(self.nodes)}", **attributes))
        self.channels[name] = self.channels[inputs[0]] if channels is None else channels
        return name

    def weight(self, *shape: int, fan_in: int) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = (self.rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)
        return name

    def act(self, a: str) -> str:
        return self.op(self.activation, a)

    def conv(self, a: str, out: int, kernel: int = 3, w: str | None = None, **attributes: object) -> str:
        n = self.channels[a]
        w = w or self.weight(out, n, kernel, kernel, fan_in=n * kernel**2)
        bias = [self.weight(out, fan_in=20)] if self.bias else []
        pads = [kernel // 2] * 4
        return self.op("Conv", a, w, *bias, channels=out, pads=pads, **attributes)

    def dense(self, a: str, n: int, out: int) -> str:
        bias = [self.weight(out, fan_in=20)] if self.bias else []
        return self.op("Gemm", a, self.weight(out, n, fan_in=n), *bias, channels=out, transB=1)

    def matmul(self, a: str, n: int, out: int) -> str:
        h = self.op("MatMul", a, self.weight(n, out, fan_in=n), channels=out)
        return self.op("Add", h, self.weight(out, fan_in=20)) if self.bias else h

    def model(self, output: str, inputs: dict[str, tuple[int, ...]]) -> onnx.ModelProto:
        given = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", *shape]) for n, shape in inputs.items()]
        made = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", 4])]
        constants = [numpy_helper.from_array(a, n) for n, a in self.weights.items()]
        graph = helper.make_graph(self.nodes, "net", given, made, constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def head(net: Net, a: str) -> str:
    return net.dense(net.op("Flatten", net.op("GlobalAveragePool", a)), net.channels[a], 4)


def chain(net: Net) -> str:
    a = net.op("MaxPool", net.act(net.conv("x", 4)), kernel_shape=[2, 2], strides=[2, 2])
    a = net.op("AveragePool", net.act(net.conv(a, 6)), kernel_shape=[2, 2], strides=[1, 1])
    return net.dense(net.op("Flatten", a), 6 * 2 * 2, 4)


def residual(net: Net) -> str:
    a = net.act(net.conv("x", 4))
    b = net.conv(net.act(net.conv(a, 4, strides=[2, 2])), 4)
    return head(net, net.act(net.op("Add", b, net.conv(a, 4, 1, strides=[2, 2]))))


def concat(net: Net) -> str:
    a = net.act(net.conv("x", 3))
    b = net.op("Concat", net.act(net.conv(a, 2)), net.act(net.conv(a, 3, 1)), a, channels=8, axis=1)
    return head(net, net.act(net.conv(b, 4)))


def shared(net: Net) -> str:
    a, w = net.act(net.conv("x", 4)), net.weight(4, 4, 3, 3, fan_in=36)
    for _ in range(3):
        a = net.act(net.conv(a, 4, w=w))
    return head(net, a)


def diamond(net: Net) -> str:
    a = net.act(net.conv("x", 4))
    left, right = net.act(net.conv(a, 4)), net.act(net.conv(a, 4))
    both = net.op("Sum", net.op("Sub", left, net.op("Mean", left, right)), right, a)
    return head(net, net.op("Add", net.act(both), both))


def transposed(net: Net) -> str:
    a = net.op("Transpose", net.act(net.conv("x", 4)), perm=[0, 2, 3, 1])
    a = net.act(net.matmul(a, 4, 5))
    a = net.op("ReduceMean", a, channels=5, axes=[1, 2], keepdims=0)
    return net.matmul(a, 5, 4)


def wild(net: Net) -> str:
    """Any of these steps after any other; every tensor has four channels of 6 x 6."""
    made = [net.act(net.conv("x", 4))]
    pool = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    for _ in range(7):
        a, b = (made[i] for i in net.rng.integers(0, len(made), 2))
        steps = [
            lambda a, b: net.act(net.conv(a, 4)),
            lambda a, b: net.act(net.conv(net.op("Concat", a, b, channels=8, axis=1), 4, 1)),
            lambda a, b: net.act(net.op("Add", net.conv(a, 4), b)),
            lambda a, b: net.act(net.op("Sub", net.conv(a, 4), net.conv(b, 4))),
            lambda a, b: net.op("MaxPool", a, **pool),
            lambda a, b: net.op("AveragePool", net.op("Sum", a, b), **pool),
        ]
        made.append(steps[net.rng.integers(0, len(steps))](a, b))
    return head(net, net.op("Sum", *made[-3:]))


def motley(net: Net) -> str:
    """Steps that are not all linear through zero: norms, clips, thresholds, one tensor behind two ReLUs."""
    for name, value in (("zero", 0.0), ("six", 1.5), ("scales", [1, 1, 2, 2])):
        net.weights[name] = np.array(value, np.float32)
    halves = {"kernel_shape": [2, 2], "strides": [2, 2]}
    a = net.act(net.conv("x", 4))
    for step in net.rng.permutation(8):  # every one of them, in any order
        c = net.conv(a, 4)
        statistics = [net.weight(4, fan_in=2) for _ in range(4)]
        net.weights[statistics[3]] **= 2
        steps = [
            lambda c, s: net.op("Relu", net.conv(net.op("BatchNormalization", net.op("Relu", c), *s), 4)),
            lambda c, s: net.op("Relu", net.conv(net.op("Sub", net.op("Relu", c), net.act(net.conv(c, 4))), 4)),
            lambda c, s: net.op("Add", net.op("Relu", c), net.conv(net.op("Relu", c), 4)),
            lambda c, s: net.op("Add", net.op("Relu", c), c),
            lambda c, s: net.op("ThresholdedRelu", net.op("Clip", c, "zero", "six"), alpha=0.2),
            lambda c, s: net.op("PRelu", net.op("Mul", c, "six"), net.weight(4, 1, 1, fan_in=2)),
            lambda c, s: net.op("Relu", net.op("MaxPool", net.op("Resize", c, "", "scales"), **halves)),
            lambda c, s: net.op("Relu", net.op("Add", net.op("MatMul", c, net.weight(6, 6, fan_in=6)), c)),
        ]
        a = steps[step](c, statistics)
    return head(net, a)


NETS = {f.__name__: f for f in (chain, residual, concat, shared, diamond, transposed, wild)}
SEEDED = {f"{name}-{seed}": (name, seed) for name in ("wild", "motley") for seed in (1, 3)}
by_net = pytest.mark.parametrize("name", NETS)
by_any_net = pytest.mark.parametrize("name", [*NETS, *SEEDED])


def model_of(name: str, bias: bool, activation: str = "Relu") -> onnx.ModelProto:
    name, seed = SEEDED.get(name, (name, 0))
    net = Net(seed, bias, activation)
    net.channels["x"] = 2
    return net.model((motley if name == "motley" else NETS[name])(net), {"x": (2, 6, 6)})


def batch(n: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 2, 6, 6))


def relevance(model: onnx.ModelProto, x: np.ndarray, composite: str | Composite, **options: object) -> np.ndarray:
    """Relevance of the target 1, on NumPy unless told otherwise."""
    settings = {"backend": "numpy", "dtype": "float64", **options}
    return Explainer(model, composite, **settings)(x, 1).relevance


def everywhere(rule: Rule, first: Rule | None = None) -> Composite:
    entries = [(Selector(WEIGHTED, first=True), first)] if first else []
    return Composite("", (*entries, (Selector(WEIGHTED), rule)), Zero())


def close(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-10) -> None:
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


@by_net
@pytest.mark.parametrize(
    "first", [None, ZBox(-5.0, 5.0, epsilon=0.0), WSquare(epsilon=0.0), Flat(epsilon=0.0)], ids=str
)
@pytest.mark.parametrize("rule", [Epsilon(1e-13), Zero(), Gamma(epsilon=0.0), ZPlus(epsilon=0.0)], ids=str)
def test_without_biases_no_relevance_is_lost(name: str, rule: Rule, first: Rule | None) -> None:
    explanation = Explainer(model_of(name, bias=False), everywhere(rule, first), backend="numpy")(batch(3), 1)
    size = np.abs(explanation.relevance).sum((1, 2, 3))
    assert (np.abs(explanation.conservation.target) > 1e-3).all()
    assert (np.abs(explanation.conservation.absorbed) <= 1e-10 * size).all()
    np.testing.assert_allclose(explanation.conservation.inputs, explanation.relevance.sum((1, 2, 3)), rtol=1e-12)


def test_alpha_beta_conserves_where_every_output_has_both_signs() -> None:
    model = model_of("chain", bias=False, activation="LeakyRelu")
    for rule in (AlphaBeta(epsilon=0.0), AlphaBeta(3.0, 2.0, epsilon=0.0)):
        account = Explainer(model, everywhere(rule), backend="numpy")(batch(3), 1).conservation
        np.testing.assert_allclose(account.inputs, account.target, rtol=1e-10)


def test_biases_absorb_unless_they_are_ignored() -> None:
    model = model_of("chain", bias=True)
    absorbing = Explainer(model, everywhere(Zero()), backend="numpy")(batch(3), 1).conservation
    ignoring = Explainer(model, everywhere(Zero(bias="ignore")), backend="numpy")(batch(3), 1).conservation
    assert (np.abs(absorbing.absorbed) > 1e-3).all()
    np.testing.assert_allclose(ignoring.inputs, ignoring.target, rtol=1e-9)


@by_net
@pytest.mark.parametrize("activation", ["Relu", "LeakyRelu"])
def test_epsilon_to_zero_is_gradient_times_input(name: str, activation: str) -> None:
    explain = Explainer(model_of(name, bias=True, activation=activation), Composite("", (), Zero()), backend="numpy")
    x, h = batch(1), 1e-6
    steps = h * np.eye(x.size).reshape(-1, *x.shape[1:])
    up, down = explain(x + steps, 1).output[:, 1], explain(x - steps, 1).output[:, 1]
    gradient = ((up - down) / (2 * h)).reshape(x.shape)
    close(explain(x, 1).relevance, gradient * x, 1e-7)
    nearly = replace(explain.composite, default=Epsilon(1e-11))
    close(relevance(model_of(name, True, activation), x, nearly), gradient * x, 1e-7)


@by_any_net
@pytest.mark.parametrize("composite", COMPOSITES)
def test_every_way_to_compute_gives_the_same(name: str, composite: str) -> None:
    model, x = model_of(name, bias=True), batch(2).astype(np.float32)
    reference = relevance(model, x, composite)
    assert np.abs(reference).max() > 0
    close(relevance(model, x, composite, backend="torch"), reference)
    close(relevance(model, x, composite, facts=False), reference)
    close(relevance(model, x, composite, facts=False, backend="torch"), reference)
    for facts in (True, False):
        single = relevance(model, x, composite, facts=facts, backend="torch", dtype="float32", threads=1)
        assert single.dtype == np.float32
        assert np.linalg.norm(single - reference) <= 1e-4 * np.linalg.norm(reference)


def sprinkled(rule: Rule, below: Rule) -> Composite:
    """A rule on every third layer, where relevance of inputs that are 0 takes facts to their limits."""
    every_third = Selector(WEIGHTED, where=lambda layer: layer.order % 3 == 1)
    return Composite("", ((every_third, rule), (Selector(WEIGHTED), below)), Epsilon())


@by_any_net
@pytest.mark.parametrize("below", [Gamma(), AlphaBeta(), Epsilon()], ids=str)
@pytest.mark.parametrize("rule", [Flat(), WSquare(), ZBox(-1.0, 2.0), ZPlus()], ids=str)
def test_facts_hold_under_any_mixture_of_rules(name: str, rule: Rule, below: Rule) -> None:
    model, x = model_of(name, bias=True), batch(2)
    reference = relevance(model, x, sprinkled(rule, below), facts=False)
    close(relevance(model, x, sprinkled(rule, below)), reference, 1e-9)
    close(relevance(model, x, sprinkled(rule, below), backend="torch"), reference, 1e-9)


@by_any_net
@pytest.mark.parametrize("composite", COMPOSITES)
def test_the_ledger_adds_up(name: str, composite: str) -> None:
    explain = Explainer(model_of(name, bias=True), composite, backend="numpy")
    explanation = explain(batch(2), 1, ledger=True)
    booked = sum(entry.absorbed for entry in explanation.ledger)
    account = explanation.conservation
    size = max(abs(entry.relevance_in) for entry in explanation.ledger)
    assert abs(booked - account.absorbed.sum()) <= 1e-9 * size
    np.testing.assert_allclose(account.absorbed, account.target - account.inputs)
    assert explanation.ledger[0].relevance_in == pytest.approx(explanation.output[:, 1].sum(), rel=1e-12)
    assert len(explanation.ledger) == len(explain.plan.steps)


@by_any_net
def test_a_batch_is_its_samples(name: str) -> None:
    x, target = batch(3), [2, 0, 3]
    explain = Explainer(model_of(name, bias=True), BOX, backend="numpy")
    together = explain(x, target)
    for i in range(3):
        alone = explain(x[i : i + 1], target[i])
        close(alone.relevance[0], together.relevance[i], 1e-12)
        assert alone.conservation.target == pytest.approx(together.conservation.target[i], rel=1e-12)
    assert explain(x).target.tolist() == together.output.argmax(1).tolist()


def test_relevance_of_layers() -> None:
    model, x = model_of("chain", bias=False), batch(2)
    explain = Explainer(model, everywhere(Zero()), backend="numpy")
    names = [name for node in model.graph.node for name in node.output]
    explanation = explain(x, 1, layers=names)
    assert set(explanation.layers) == set(names)
    for r in explanation.layers.values():
        np.testing.assert_allclose(r.reshape(2, -1).sum(1), explanation.conservation.target, rtol=1e-10)


@by_any_net
def test_relevance_of_a_layer_is_that_of_the_upper_part_s_input(name: str) -> None:
    """Where everything passes through one tensor, the network can be explained in two halves."""
    model, x = model_of(name, bias=True), batch(2)
    middle = next(node.output[0] for node in model.graph.node if node.op_type == "Relu")
    typed = onnx.shape_inference.infer_shapes(model)
    lower = onnx.utils.Extractor(typed).extract_model(["x"], [middle])
    upper = onnx.utils.Extractor(typed).extract_model([middle], [model.graph.output[0].name])
    whole = Explainer(model, "zplus", backend="numpy")(x, 1, layers=[middle])
    activation = Explainer(lower, "zplus", backend="numpy")(x, 0).output
    top = Explainer(upper, "zplus", backend="numpy")(activation, 1)
    close(top.relevance, whole.layers[middle])
    bottom = Explainer(lower, "zplus", backend="numpy")(x, 0, seed=whole.layers[middle])
    close(bottom.relevance, whole.relevance)


def two_inputs() -> onnx.ModelProto:
    net = Net(3, bias=False)
    net.channels |= {"x": 2, "v": 5}
    image = net.op("Flatten", net.op("GlobalAveragePool", net.act(net.conv("x", 4))))
    vector = net.act(net.dense("v", 5, 4))
    both = net.op("Concat", net.op("Add", image, vector), vector, channels=8, axis=1)
    return net.model(net.dense(both, 8, 4), {"x": (2, 6, 6), "v": (5,)})


def test_relevance_of_several_inputs() -> None:
    x, v = batch(3), np.random.default_rng(4).standard_normal((3, 5))
    explain = Explainer(two_inputs(), everywhere(Zero()), backend="numpy")
    explanation = explain({"v": v, "x": x}, 1)
    assert set(explanation.relevance) == {"x", "v"}
    assert {n: r.shape for n, r in explanation.inputs.items()} == {"x": x.shape, "v": v.shape}
    total = sum(r.reshape(3, -1).sum(1) for r in explanation.inputs.values())
    np.testing.assert_allclose(total, explanation.output[:, 1], rtol=1e-10)
    np.testing.assert_allclose(explanation.conservation.inputs, total, rtol=1e-12)
    for n, r in explain([x, v], 1).inputs.items():
        np.testing.assert_array_equal(r, explanation.inputs[n])


@pytest.mark.parametrize("composite", COMPOSITES)
def test_relevance_is_linear_in_the_seed(composite: str) -> None:
    explain, x = Explainer(model_of("residual", bias=True), composite, backend="numpy"), batch(2)
    single = [explain(x, k, seed="one") for k in range(4)]
    logits = single[0].output
    for k, explanation in enumerate(single):
        np.testing.assert_array_equal(explanation.conservation.target, [1.0, 1.0])
        close(explanation.relevance * logits[:, k, None, None, None], explain(x, k).relevance)
    seed = np.random.default_rng(6).standard_normal(logits.shape)
    mixed = sum(e.relevance * seed[:, k, None, None, None] for k, e in enumerate(single))
    explanation = explain(x, seed=seed)
    close(explanation.relevance, mixed)
    np.testing.assert_allclose(explanation.conservation.target, seed.sum(1), rtol=1e-12)
