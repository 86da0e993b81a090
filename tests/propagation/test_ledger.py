"""The conservation account: entries from the output down, which sum to what the inputs did not get, and warnings."""

from __future__ import annotations

import numpy as np
import pytest
from planning import BACKENDS, Ready, everywhere, parsed

from onnx_lrp import Explainer
from onnx_lrp.propagation.ledger import AMPLIFIED, Conservation, Ledger, LedgerEntry, amplifiers, entry
from onnx_lrp.propagation.walk import walk

RNG = np.random.default_rng(0)
W = RNG.standard_normal((4, 4))
X = RNG.standard_normal((3, 4)).astype(np.float32)
NET = parsed(
    """g (float[N, 4] x) => (float[N, 4] y) { [first] a = Gemm(x, W, b) [bend] p = Relu(a) [moved] f = Flatten(p)
        [second] c = Gemm(f, W, b) [sum] s = Add(c, p) [third] y = MatMul(s, W) }""",
    W=W, b=[0.5, -1.0, 0.25, 1.0],
)  # fmt: skip
ORDER = ["third", "sum", "second", "moved", "bend", "first"]


@pytest.mark.parametrize("facts", [True, False])
@pytest.mark.parametrize("composite", ["epsilon:epsilon=0.1", "gamma", "alpha_beta"])
def test_entries_sum_to_what_the_inputs_did_not_get(composite: str, facts: bool) -> None:
    for backend in BACKENDS:
        explainer = Explainer(NET, composite, backend=backend, facts=facts)
        found = explainer(X, ledger=True)
        assert [e.node for e in found.ledger] == ORDER
        size = sum(abs(e.relevance_in) for e in found.ledger) * (1e-12 if backend == "numpy" else 1e-5)
        absorbed = found.conservation.absorbed.sum()
        assert abs(sum(e.absorbed for e in found.ledger) - absorbed) <= size
        assert abs(found.ledger[0].relevance_in - found.conservation.target.sum()) <= size
        assert abs(found.ledger[-1].relevance_out - found.conservation.inputs.sum()) <= size
        assert all(abs(e.absorbed) <= size for e in found.ledger if e.node in ("bend", "moved"))


def test_entries_say_what_they_belong_to() -> None:
    found = Explainer(NET, "gamma", backend="numpy")(X, ledger=True).ledger
    assert [(e.op, e.rule) for e in found] == [
        ("MatMul", "Gamma()"), ("Add", "Epsilon()"), ("Gemm", "Gamma()"), ("Flatten", ""), ("Relu", ""),
        ("Gemm", "Gamma()"),
    ]  # fmt: skip


def test_there_is_none_unless_it_is_asked_for() -> None:
    assert all(Explainer(NET, backend=backend)(X).ledger == () for backend in BACKENDS)


def test_the_walk_s_book_agrees_with_the_sums_of_relevance() -> None:
    at = Ready.of(NET, X, "alpha_beta")
    book = Ledger(at.weights.xp)
    found = walk(at.plan, at.tape, at.weights, np.ones((3, 4)), {"s", "c"}, book)
    second = next(e for e in book.entries if e.node == "second")
    assert second.relevance_in == pytest.approx(found["c"].sum())
    merge = next(e for e in book.entries if e.node == "sum")
    assert merge.relevance_in == pytest.approx(found["s"].sum())


def test_amplification_by_hand() -> None:
    """z = 1 - 0.75 = 0.25: relevance 1 becomes 4 and -3."""
    model = parsed("g (float[N, 2] x) => (float[N, 1] y) { [n] y = MatMul(x, W) }", W=[[1.0], [1.0]])
    for found in everywhere(model, np.array([[1.0, -0.75]], np.float32), "epsilon:epsilon=0", seed="one", ledger=True):
        (only,) = found.ledger
        assert only.amplification == pytest.approx(7, rel=1e-5)
        assert (only.relevance_in, only.relevance_out) == (1, pytest.approx(1))


def test_several_outputs_and_inputs_are_booked_together() -> None:
    text = """g (float[N, 4] x, float[N, 4] z) => (float[N, 4] y) {
        t, u = Split<axis = 1>(x, k) v = Concat<axis = 1>(u, t) y = Add(v, z) }"""
    model = parsed(text, k=[1, 3])
    for found in everywhere(model, {"x": X, "z": X}, "epsilon", ledger=True):
        assert [e.op for e in found.ledger] == ["Add", "Concat", "Split"]
        shares = [r.sum() for r in found.inputs.values()]
        assert found.ledger[0].relevance_out == pytest.approx(sum(shares), rel=1e-5)
        assert found.ledger[2].relevance_in == pytest.approx(shares[0], rel=1e-5)


def test_an_entry_of_nothing_amplifies_nothing() -> None:
    step = Ready.of(NET, X).step("y")
    assert entry(step, 0.0, 0.0, 0.0, 0.0).amplification == 1.0
    assert entry(step, 1.0, 0.5, 2.0, 8.0).amplification == 4.0
    assert entry(step, 1.0, 0.5, 2.0, 8.0).absorbed == 0.5


def test_warnings_name_what_amplifies() -> None:
    calm = LedgerEntry("calm", "Conv", "", 1.0, 1.0, AMPLIFIED)
    wild = LedgerEntry("wild", "Gemm", "", 1.0, 1.0, 2 * AMPLIFIED)
    (line,) = amplifiers([calm, wild, calm])
    assert line.startswith("Gemm wild amplifies relevance 2e+03-fold")
    assert "epsilon" in line
    assert amplifiers([]) == []


def test_conservation_has_a_row_for_each_sample() -> None:
    account = Conservation(np.array([2.0, 3.0]), np.array([1.5, 3.0]))
    assert np.array_equal(account.absorbed, [0.5, 0.0])
    first, second = str(account).splitlines()
    assert (first.split()[-1], second.split()[-1]) == ("0.5", "0")
    assert len(str(Conservation(np.array(1.0), np.array(1.0))).splitlines()) == 1
