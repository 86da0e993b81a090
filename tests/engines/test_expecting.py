"""A number of samples that was said up front is compiled in, whatever came before."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest

import onnx_lrp as lrp
from onnx_lrp.engines.sessions import SessionCache
from onnx_lrp.errors import InputError

MODEL = Path(__file__).resolve().parents[2] / "models" / "mnist_resnet.onnx"
X = np.random.default_rng(0).uniform(0, 1, (8, 1, 28, 28)).astype(np.float32)


def made(expected: int | None = None) -> lrp.Explainer:
    explainer = lrp.Explainer(MODEL, backend="onnx", verify=False, threads=1)
    explainer.expects(expected)
    return explainer


def compiled_in(explainer: lrp.Explainer) -> list[Any]:
    """The numbers of samples of the sessions that there are, None for one that takes any."""
    return [size for _, _, size, _ in explainer.engine._sessions._made]  # type: ignore[attr-defined]


def test_without_a_word_it_is_the_first_that_is_met() -> None:
    explainer = made()
    for n in (3, 8, 3):
        explainer(X[:n])
    assert compiled_in(explainer) == [3, None]


@pytest.mark.parametrize("before", [(), (1,), (3, 8, 3)], ids=str)
def test_what_came_before_does_not_matter(before: tuple[int, ...]) -> None:
    explainer = made(8)
    for n in before:
        explainer(X[:n])
    found, expected = explainer(X), made(8)(X)
    assert 8 in compiled_in(explainer)
    assert set(compiled_in(explainer)) <= {8, None}
    np.testing.assert_array_equal(found.inputs["input"], expected.inputs["input"])
    np.testing.assert_array_equal(found.output, expected.output)


def test_said_late() -> None:
    explainer = made()
    explainer(X[:3])
    explainer.expects(8)
    explainer(X)
    explainer(X[:3])
    assert compiled_in(explainer) == [3, 8, None]
    explainer.expects(None)
    explainer(X[:3])
    assert compiled_in(explainer) == [3, 8, None]


def test_of_parts_that_of_the_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SessionCache, "preferred", lambda self, tape: 5)
    explainer = made(8)
    explainer(X[:3])
    explainer(X)
    assert compiled_in(explainer) == [None, 4]


@pytest.mark.parametrize("way", [lambda a: a, lambda a: pickle.loads(pickle.dumps(a))], ids=["here", "pickled"])
def test_it_travels(way: Callable[[lrp.Explainer], lrp.Explainer]) -> None:
    explainer = way(made(8))
    explainer(X[:3])
    assert compiled_in(explainer) == [None]


def test_a_state_from_before_has_none() -> None:
    state = made(8).__getstate__()
    del state["expected"]
    explainer = lrp.Explainer.__new__(lrp.Explainer)
    explainer.__setstate__(state)
    explainer(X[:3])
    assert compiled_in(explainer) == [3]


def test_a_model_whose_sizes_come_with_the_data() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17]> g (float[n, t, 3] x) => (float[n, 3] y)
        <float[1, 3] start = {0.0, 0.0, 0.0}> {
            y, rows = Scan <num_scan_inputs = 1, scan_input_axes = [1],
                body = body (float[n, 3] h, float[n, 3] r) => (float[n, 3] k, float[n, 3] o)
                    { z = Add (h, r)  k = Relu (z)  o = Identity (k) }> (start, x)
        }""")
    explainer = lrp.Explainer(model, "epsilon", backend="onnx", threads=1)
    explainer(np.ones((1, 4, 3), np.float32))
    assert compiled_in(explainer) == [1]
    explainer.expects(4)
    explainer(np.ones((1, 4, 3), np.float32))
    assert compiled_in(explainer) == [1, None]
    explainer(np.ones((1, 5, 3), np.float32))  # sizes that are met later
    assert compiled_in(explainer) == [None]


def test_the_walk_does_not_mind() -> None:
    explainer = lrp.Explainer(MODEL, backend="numpy", threads=1)
    expected = explainer(X)
    explainer.expects(3)
    np.testing.assert_array_equal(explainer(X).inputs["input"], expected.inputs["input"])


@pytest.mark.parametrize("samples", [0, -1, 2.0, "8"])
def test_what_is_no_number_of_samples(samples: Any) -> None:
    with pytest.raises(InputError, match="whole number of samples"):
        made(samples)
