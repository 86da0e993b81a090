"""The reverse walk: relevance adds up, is let go of, is kept and watched, and walks as a ⊙ c where it can."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
from planning import Ready, close, everywhere, parsed, without_facts

from onnx_lrp import Composite, Epsilon, Flat, Selector
from onnx_lrp.propagation.step import Step
from onnx_lrp.propagation.walk import Multiplier, Relevance, plain, propagate, walk

RNG = np.random.default_rng(0)
W, V = RNG.standard_normal((4, 4)), RNG.standard_normal((4, 4))
X = RNG.standard_normal((3, 4)).astype(np.float32)
NET = parsed(
    """g (float[N, 4] x) => (float[N, 4] y) {
        [a] a = MatMul(x, W) p = Relu(a) [b] b = MatMul(p, V) [s] s = Add(b, p) r = Relu(s)
        [t] t, u = Split<axis = 1>(r, two) [c] c = Concat<axis = 1>(u, t) [m] m = Max(c, r) [l] l = LeakyRelu(m)
        [d] d = Sub(l, r) [e] e = MatMul(d, W) y = LeakyRelu(e) }""",
    W=W, V=V, two=[2, 2],
)  # fmt: skip
COMPOSITES = ("epsilon", "epsilon:epsilon=0", "gamma", "alpha_beta", "zplus")
MOVING = ["a", "b", "s", "t", "c", "m", "d", "e", "r", "l"]


def shares_of(at: Ready, output: str, arriving: list[Relevance | None]) -> dict[str, np.ndarray]:
    """What a step hands on, as R itself."""
    step = at.step(output)
    found = propagate(step, arriving, at.operands(output), at.plan.facts)
    return {name: plain(r, at.tape) for name, r in found}


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("output", MOVING)
def test_a_multiplier_is_worth_its_product(output: str, composite: str) -> None:
    at = Ready.of(NET, X, composite)
    step = at.step(output)
    bases = [step.denominator] if len(step.outputs) == 1 else list(step.outputs)
    cs = [RNG.standard_normal(at.tape.values[base].shape) for base in bases]
    found = shares_of(at, output, [Multiplier(base, c) for base, c in zip(bases, cs)])
    expected = shares_of(at, output, [at.tape.values[base] * c for base, c in zip(bases, cs)])
    assert list(found) == list(expected) == list(step.receivers)
    for name, r in expected.items():
        close(found[name], r)


@pytest.mark.parametrize("output", MOVING)
def test_a_multiplier_of_another_tensor_is_multiplied_out(output: str) -> None:
    at = Ready.of(NET, X, "gamma")
    names = at.step(output).outputs
    at.tape.values.update({f"other {n}": RNG.standard_normal(at.tape.values[n].shape) for n in names})
    served = {n: at.tape.values[at.step(n).denominator] > 0 for n in names}  # a mask is a promise
    cs = [np.where(served[n], RNG.standard_normal(served[n].shape), 0) for n in names]
    found = shares_of(at, output, [Multiplier(f"other {n}", c) for n, c in zip(names, cs)])
    expected = shares_of(at, output, [at.tape.values[f"other {n}"] * c for n, c in zip(names, cs)])
    for name, r in expected.items():
        close(found[name], r)


def test_layers_under_epsilon_hand_on_multipliers() -> None:
    """So that nothing is multiplied by activations until the inputs."""
    forms: dict[str, list[bool]] = {}

    def watch(step: Step, arriving: list[Relevance | None]) -> None:
        forms[step.outputs[0]] = [isinstance(r, Multiplier) for r in arriving]

    text = """g (float[N, 4] x) => (float[N, 4] y) {
        a = MatMul(x, W) p = Relu(a) b = MatMul(p, V) s = Add(b, p) r = Relu(s)
        t, u = Split<axis = 1>(r, two) c = Concat<axis = 1>(u, t) y = MatMul(c, W) }"""
    at = Ready.of(parsed(text, W=W, V=V, two=[2, 2]), X)
    walk(at.plan, at.tape, at.weights, np.ones((3, 4)), set(), watch=watch)
    assert list(forms) == [step.outputs[0] for step in reversed(at.plan.steps)]
    assert forms.pop("y") == [False]
    assert all(all(found) for found in forms.values())


def booked(at: Ready, keep: set[str]) -> tuple[dict[str, np.ndarray], list[Any]]:
    """A walk, and what was observed of it."""
    pages: list[Any] = []
    found = walk(at.plan, at.tape, at.weights, np.ones((3, 4)), keep, lambda *page: pages.append(page))
    return found, pages


@pytest.mark.parametrize("facts", [True, False])
def test_each_step_is_observed_once(facts: bool) -> None:
    at = Ready.of(NET, X, "alpha_beta", facts)
    found, pages = booked(at, set())
    assert [page[0] for page in pages] == list(reversed(at.plan.steps))
    given: dict[str, Any] = {"y": np.ones((3, 4))}
    for step, arriving, shares in pages:
        for name, r in zip(step.outputs, arriving):
            close(r, given.pop(name))  # all that its readers gave it
        for name, r in shares:
            given[name] = given.get(name, 0) + r
    assert list(given) == list(found) == ["x"]
    close(found["x"], given["x"])


@pytest.mark.parametrize("facts", [True, False])
def test_what_is_kept(facts: bool) -> None:
    at = Ready.of(NET, X, "gamma", facts)
    keep = {"r", "t", "u", "s", "y"}
    found, pages = booked(at, keep)
    assert set(found) == {"x", *keep}
    for step, arriving, _ in pages:
        for name, r in zip(step.outputs, arriving):
            if name in keep:
                close(found[name], r)


def test_relevance_is_let_go_of() -> None:
    """At any step nothing is held but what is still on its way: memory does not grow with depth."""
    chain = " ".join(f"[m{i}] a{i + 1} = MatMul(a{i}, W)" for i in range(6))
    at = Ready.of(parsed(f"g (float[N, 4] a0) => (float[N, 4] a6) {{ {chain} }}", W=W), X, facts=False)
    alive: list[int] = []
    refs: list[weakref.ref[np.ndarray]] = []

    def watch(_: Step, arriving: list[Any]) -> None:
        refs.append(weakref.ref(arriving[0]))
        alive.append(sum(ref() is not None for ref in refs))

    walk(at.plan, at.tape, at.weights, np.ones((3, 4)), set(), watch=watch)
    assert alive == [1, 2, 2, 2, 2, 2]  # the test holds the seed


UNUSED = "g (float[N, 4] x) => (float[N, 2] y) { a = MatMul(x, W) t, u = Split<axis = 1>(a, two) y = Relu(t) }"


@pytest.mark.parametrize("facts", [True, False])
def test_an_output_that_nothing_reaches(facts: bool) -> None:
    at = Ready.of(parsed(UNUSED, W=W, two=[2, 2]), X, facts=facts)
    pages: list[Any] = []
    walk(at.plan, at.tape, at.weights, np.ones((3, 2)), {"u"}, lambda *page: pages.append(page))
    _, (t, u), ((name, r),) = pages[1]
    assert u is None
    assert name == "a"
    assert np.array_equal(r, np.concatenate([t, np.zeros((3, 2))], 1))


def test_an_input_that_nothing_reaches_has_no_relevance() -> None:
    model = parsed("g (float[N, 4] x, float[N, 4] z) => (float[N, 4] y) { y = MatMul(x, W) }", W=W)
    (found, *_) = everywhere(model, {"x": X, "z": X}, "epsilon")
    assert found.inputs["x"].any()
    assert not found.inputs["z"].any()


@pytest.mark.parametrize("second", [Epsilon(), Flat()])
def test_what_is_read_twice_gets_the_sum(second: Any) -> None:
    """A multiplier and a multiplier, or a multiplier and an array."""
    text = "g (float[N, 4] x) => (float[N, 4] y) { p = Relu(x) [a] a = MatMul(p, W) [b] b = MatMul(p, V) %s }"
    composite = Composite("", ((Selector(name="b", strict=False), second),))
    both = parsed(text % "y = Concat<axis = 1>(a, b)", W=W, V=V)
    seed = RNG.standard_normal((3, 8))
    parts = [
        everywhere(parsed(text % f"y = Identity({n})", W=W, V=V), X, composite, seed=part)[0].inputs["x"]
        for n, part in zip("ab", np.split(seed, 2, axis=1))
    ]
    close(everywhere(both, X, composite, seed=seed)[0].inputs["x"], sum(parts))


def test_multipliers_of_two_tensors_do_not_add_up() -> None:
    """Through an activation comes a multiplier of its output, which is not its input where that is negative."""
    text = """g (float[N, 4] x) => (float[N, 4] y) {
        a = MatMul(x, W) l = LeakyRelu<alpha = 0.5>(a) b = MatMul(l, V) c = MatMul(a, V) y = Sub(b, c) }"""
    model = parsed(text, W=W, V=V)
    found = everywhere(model, X, "epsilon", seed=np.ones((3, 4)))[0]
    close(found.inputs["x"], without_facts(model, X, "epsilon", seed=np.ones((3, 4))).inputs["x"])


@pytest.mark.parametrize("composite", COMPOSITES)
def test_all_of_it_is_the_formula_s(composite: str) -> None:
    close(everywhere(NET, X, composite)[0].inputs["x"], without_facts(NET, X, composite).inputs["x"])


def test_a_shift_of_the_input_that_makes_it_larger_passes_the_sum() -> None:
    """Below Flat it passes relevance unchanged: that of all copies of a value is its own."""
    model = parsed("g (float[N, 1] x) => (float[N, 4] y) { s = Sub(x, c) y = MatMul(s, W) }", c=[1, 2, 3, 4.0], W=W)
    composite = Composite("", ((Selector(("MatMul",)), Flat()),))
    for found in everywhere(model, X[:, :1], composite, target=0, seed="one"):
        np.testing.assert_allclose(found.inputs["x"], np.ones((3, 1)), rtol=1e-5)
