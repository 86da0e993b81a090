"""A claim that does not hold is an error that names the tensor, on every backend, on the first call of an Explainer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
from planning import BACKENDS, parsed

from onnx_lrp import Explainer, VerificationError
from onnx_lrp.ops import Activation
from onnx_lrp.propagation import facts
from onnx_lrp.propagation.audit import BLOCK, TOLERANCE, accept, below_zero, differs, unmasked
from onnx_lrp.propagation.facts import Facts, derive
from onnx_lrp.propagation.step import Step

RNG = np.random.default_rng(1)
MODEL = parsed(
    "g (float[N, 4] x) => (float[N, 3] y) { a = MatMul(x, A) p = Relu(a) z = MatMul(p, B) s = Add(z, p) r = Relu(s) "
    "q = MatMul(r, B) l = LeakyRelu(q) y = MatMul(l, C) }",
    A=RNG.standard_normal((4, 4)), B=RNG.standard_normal((4, 4)), C=RNG.standard_normal((4, 3)),
)  # fmt: skip
X = RNG.standard_normal((5, 4)).astype(np.float32)
Lie = Callable[[Facts, dict[str, ir.Value]], Facts]


def nonnegative(found: Facts, values: dict[str, ir.Value]) -> Facts:
    return replace(found, nonnegative=found.nonnegative | {values["l"]})


def mask(found: Facts, values: dict[str, ir.Value]) -> Facts:
    """q feeds no ReLU: relevance arrives wherever it is not 0, also where r is."""
    return replace(found, masked=found.masked | {values["q"]: values["r"]})


def difference(found: Facts, values: dict[str, ir.Value]) -> Facts:
    """Of r and x, both of which every engine has at hand."""
    return replace(found, differences={values["z"]: (values["r"], values["x"])})


LIES: list[tuple[Lie, str, str]] = [
    (nonnegative, "l", "below 0"), (mask, "q", "relevance arrives"), (difference, "z", "difference")
]  # fmt: skip
ENGINES = [("numpy", "float32"), ("numpy", "float64"), ("torch", "float32"), ("torch", "float64"), ("onnx", "float32")]


def lying(lie: Lie, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans are made with a false claim from now on."""

    def false(roles: facts.Roles, rules: facts.Rules, target: ir.Value) -> Facts:
        values = {value.name or "": value for node in roles for value in (*node.inputs, *node.outputs) if value}
        return lie(derive(roles, rules, target), values)

    monkeypatch.setattr("onnx_lrp.propagation.plan.derive", false)


@pytest.mark.parametrize(("backend", "dtype"), ENGINES)
@pytest.mark.parametrize(("lie", "tensor", "what"), LIES)
def test_a_false_claim_is_an_error(
    lie: Lie, tensor: str, what: str, backend: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lying(lie, monkeypatch)
    explainer = Explainer(MODEL, backend=backend, dtype=dtype)
    for _ in range(2):  # what was refused once is not taken for verified
        with pytest.raises(VerificationError, match=what) as caught:
            explainer(X)
        assert f"tensor {tensor!r}" in str(caught.value)
        assert "facts=False" in str(caught.value)
    Explainer(MODEL, backend=backend, dtype=dtype, verify=False)(X)
    Explainer(MODEL, backend=backend, dtype=dtype, facts=False)(X)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("composite", ["epsilon_plus", "epsilon", "gamma", "alpha_beta", "epsilon_plus_flat"])
def test_true_claims_pass(composite: str, backend: str) -> None:
    explainer = Explainer(MODEL, composite, backend=backend)
    assert explainer.plan.differences
    assert any(step.masked for step in explainer.plan.steps)
    explainer(X)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("verify", [True, False])
def test_only_the_first_call_is_audited(verify: bool, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx_lrp.engines import auditing, walking

    calls: list[str] = []
    owner, name = (auditing.AuditedModel, "run") if backend == "onnx" else (walking, "false_claims")
    audit = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *given: calls.append(backend) or audit(*given))
    explainer = Explainer(MODEL, backend=backend, verify=verify)
    for count in (1, 1):
        explainer(X)
        assert len(calls) == count * verify


@pytest.mark.parametrize(("backend", "dtype"), ENGINES)
def test_a_claim_that_only_some_inputs_break_is_found_with_them(
    backend: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An audit speaks for the numbers that it saw."""
    lying(nonnegative, monkeypatch)
    text = "g (float[N, 3] x) => (float[N, 3] y) { q = MatMul(x, W) l = LeakyRelu(q) y = MatMul(l, W) }"
    model = parsed(text, W=RNG.uniform(1, 2, (3, 3)))
    x = np.ones((2, 3), np.float32)
    Explainer(model, backend=backend, dtype=dtype)(x)
    with pytest.raises(VerificationError):
        Explainer(model, backend=backend, dtype=dtype)(x * [[1], [-1]])


def test_below_zero() -> None:
    assert list(below_zero("a", 0.0)) == list(below_zero("a", -0.0)) == []
    (message,) = below_zero("a", -1e-30)
    assert "'a'" in message
    assert "-1e-30" in message


@pytest.mark.parametrize("at", [0, 7, BLOCK - 1, BLOCK, 2 * BLOCK + 3])
def test_differs_looks_at_every_element_where_the_sum_is_positive(at: int) -> None:
    other, value = np.full(2 * BLOCK + 5, -1.0), np.full(2 * BLOCK + 5, 3.0)
    total = np.maximum(value + other, 0)
    assert list(differs("v", value, total, other)) == []
    value[at] += 6 * TOLERANCE
    (message,) = differs("v", value, total, other)
    assert "'v'" in message
    total[at] = 0.0  # where the ReLU is 0 nothing is claimed
    assert list(differs("v", value, total, other)) == []


def test_differs_is_relative_to_the_largest_of_the_other_two() -> None:
    value, other = np.array([1.0, 0.5]), np.array([[1000.0, -2000.0]])
    assert list(differs("v", value.reshape(1, 2) + 1.9, value + other, other)) == []
    assert list(differs("v", value.reshape(1, 2) + 2.1, value + other, other)) != []


def test_unmasked() -> None:
    step = Step("n", "MatMul", Activation(lambda xp, operands: operands.value(0)), ("x",), ("z",), masked="a")
    a = np.array([0.0, 2.0, 0.0])
    assert list(unmasked(step, np.array([0.0, 5.0, -0.0]), a)) == []
    assert list(unmasked(step, np.zeros(0), np.zeros(0))) == []
    (message,) = unmasked(step, np.array([0.0, 5.0, -1e-9]), a)
    assert "'z'" in message


def test_what_is_accepted() -> None:
    accept([], "m.onnx")
    with pytest.raises(VerificationError, match=r"m\.onnx: .*first.*report"):
        accept(iter(["first", "second"]), "m.onnx")
