"""Random valid graphs: NumPy = Torch = ONNX = onnxruntime's own answer, and all relevance is accounted for.

Where rounding is magnified, a bound of its own is taken (:mod:`graphs.yardstick`); such graphs are counted, and few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from graphs.cases import Case, cases
from graphs.checks import agreed, explaining, is_sound
from graphs.portions import GENERATE, PORTION, drawn
from hypothesis import assume

from onnx_lrp.backends.numpy import NumpyBackend
from onnx_lrp.backends.torch import TorchBackend
from onnx_lrp.errors import VerificationError
from onnx_lrp.ops import OPS
from onnx_lrp.ops.pooling import SumMap
from onnx_lrp.ops.routes import ReshapeMap
from onnx_lrp.propagation import walk as propagation

GRAPHS = 500
BESIDE = ("ArgMax", "LogSoftmax", "Softmax", "Shape", "Constant")  # heads, and what is computed


def test_all_backends_agree_and_the_account_closes() -> None:
    tally: Counter[str] = Counter()

    def check(case: Case) -> None:
        one(case, tally)
        tally.update(f"op {name}" for name in set(case.ops))

    drawn(check, -(-GRAPHS // PORTION), case=cases())
    assert tally["graphs"] >= GRAPHS
    assert tally["nodes"] >= 6 * GRAPHS
    assert tally["gradients"] >= 0.5 * GRAPHS
    assert tally["bent"] <= 0.5 * GRAPHS
    assert tally["nothing"] <= 0.15 * GRAPHS  # of a ReLU that is 0, nothing comes back
    assert not tally["extreme"]
    assert tally["ties"] <= 0.02 * GRAPHS
    assert tally["wide for torch"] <= 0.01 * GRAPHS
    assert tally["wide for onnx"] <= 0.03 * GRAPHS
    assert tally["halves"] <= 0.05 * GRAPHS
    assert [name for name in (*OPS, *BESIDE) if f"op {name}" not in tally and "::" not in name] == []


def scaled(function: Callable[..., Any]) -> Callable[..., Any]:
    """One thousandth too much."""

    def wrong(*arguments: Any, **options: Any) -> Any:
        right = function(*arguments, **options)
        return [1.001 * r for r in right] if isinstance(right, list) else 1.001 * right

    return wrong


@pytest.mark.parametrize(
    ("owner", "name", "wrong"),
    [
        pytest.param(NumpyBackend, "matmul", scaled, id="a product on one backend"),
        pytest.param(TorchBackend, "conv_transpose", scaled, id="an adjoint on one backend"),
        pytest.param(ReshapeMap, "adjoint", scaled, id="a route on all backends"),
        pytest.param(SumMap, "transpose", scaled, id="a layer on all backends"),
        pytest.param(propagation, "_added", lambda _: lambda a, b, tape: a, id="a branch that is lost"),
    ],
)
def test_an_error_is_caught(owner: Any, name: str, wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, name, wrong(getattr(owner, name)))

    def check(case: Case) -> None:
        one(case, Counter())

    with pytest.raises((AssertionError, VerificationError)):
        drawn(check, 20, how=GENERATE, case=cases())


def one(case: Case, tally: Counter[str]) -> None:
    assume(is_sound(case))
    explainer = explaining(case, "numpy")
    reference = explainer(case.feeds, case.target, seed=case.seed, ledger=True)
    others = [("numpy", None, False), ("torch", "float64", True), ("onnx", None, True)]
    found = [explaining(case, *choice)(case.feeds, case.target, seed=case.seed) for choice in others]
    agreed(explainer, case, reference, *found, tally)
