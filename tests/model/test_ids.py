"""Integer ids: rows of a table, one-hot vectors, comparisons; an id has one number, the sum over what it stands for."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest

import onnx_lrp as lrp
from onnx_lrp.errors import InputError

HEAD = '<ir_version: 8, opset_import: ["" : 17]> g '
TABLE = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
FLAT = ", ".join(f"{n:.6f}" for n in TABLE.reshape(-1))
V = np.array([[1.0, -1.0], [0.5, 2.0], [-0.5, 0.25]])
TENSORS = f"float[7,3] t = {{{FLAT}}}, float[3,2] v = {{1.0, -1.0, 0.5, 2.0, -0.5, 0.25}}, int64[1] one = {{1}}"
IDS = np.array([[0, 3, 3, 6], [5, 1, 0, 2]])
ROWS = TABLE.astype(np.float64).round(6) @ V
# body -> the relevance of each id for the output 1, given what it is summed over
BODIES = {
    "e = Gather (t, ids) s = ReduceSum <keepdims = 0> (e, one) y = MatMul (s, v)": ROWS[IDS, 1],
    "e = Gather (t, ids) h = MatMul (e, v) y = ReduceSum <keepdims = 0> (h, one)": ROWS[IDS, 1],
    "k = Sub (ids, one) e = Gather (t, k) s = ReduceSum <keepdims = 0> (e, one) y = MatMul (s, v)": ROWS[IDS - 1, 1],
    "k = Cast <to = 6> (ids) e = Gather (t, k) s = ReduceSum <keepdims = 0> (e, one) y = MatMul (s, v)": ROWS[IDS, 1],
    "o = OneHot (ids, depth, values) e = MatMul (o, t) s = ReduceSum <keepdims = 0> (e, one) y = MatMul (s, v)":
        ROWS[IDS, 1],
    "u = Unsqueeze (ids, last) q = Equal (u, range) w = Cast <to = 7> (q) o = Cast <to = 1> (w) e = MatMul (o, t)"
    " s = ReduceSum <keepdims = 0> (e, one) y = MatMul (s, v)": ROWS[IDS, 1],
    "u = Unsqueeze (ids, last) q = Equal (u, range) o = Cast <to = 1> (q) e = MatMul (o, t)"
    " s = ReduceSum <keepdims = 0> (e, one) y = MatMul (s, v)": ROWS[IDS, 1],
}  # fmt: skip
MORE = "int64 depth = {7}, float[2] values = {0.0, 1.0}, int64[1] last = {-1}, int64[7] range = {0, 1, 2, 3, 4, 5, 6}"


def model(body: str, kind: str = "int64") -> onnx.ModelProto:
    return onnx.parser.parse_model(f"{HEAD} ({kind}[n,4] ids) => (float[n,2] y) <{TENSORS}, {MORE}> {{ {body} }}")


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
@pytest.mark.parametrize("body", BODIES)
def test_an_id_gets_the_sum_over_its_row(body: str, backend: str) -> None:
    found = lrp.Explainer(model(body), "epsilon:epsilon=1e-9", backend=backend)(IDS, target=1)
    assert found.inputs["ids"].shape == IDS.shape
    np.testing.assert_allclose(found.inputs["ids"], BODIES[body], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.conservation.inputs, found.conservation.target, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
def test_ids_beside_numbers(backend: str) -> None:
    body = "e = Gather (t, ids) s = ReduceSum <keepdims = 0> (e, one) a = Add (s, x) y = MatMul (a, v)"
    text = f"{HEAD} (int64[n,4] ids, float[n,3] x) => (float[n,2] y) <{TENSORS}> {{ {body} }}"
    x = np.array([[1, 2, 3], [-1, 0, 1]], np.float32)
    explainer = lrp.Explainer(onnx.parser.parse_model(text), "epsilon:epsilon=1e-9", backend=backend)
    found = explainer({"ids": IDS, "x": x}, target=1).inputs
    np.testing.assert_allclose(found["x"], x * V[:, 1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["ids"], ROWS[IDS, 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
def test_a_column_of_a_table_that_is_cast(backend: str) -> None:
    """Categories among floats, as tables have them."""
    body = "k = Cast <to = 7> (ids) e = Gather (t, k) s = ReduceSum <keepdims = 0> (e, one) y = MatMul (s, v)"
    found = lrp.Explainer(model(body, "float"), "epsilon:epsilon=1e-9", backend=backend)(
        IDS.astype(np.float32), target=1
    )
    np.testing.assert_allclose(found.inputs["ids"], ROWS[IDS, 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
def test_an_id_outside_the_table(backend: str) -> None:
    message = "input 'ids' holds the id 7, but the table of node .* has 7 rows: ids are 0 to 6"
    with pytest.raises(InputError, match=message):
        lrp.Explainer(model(next(iter(BODIES))), backend=backend)(np.clip(IDS + 4, 0, 7))


@pytest.mark.parametrize(
    "body",
    [
        "k = Cast <to = 7> (x) y = Cast <to = 1> (k)",  # a step, not an id
        "e = Gather (x, ids) y = ReduceSum (e, one)",  # which element it is, is decided by the data
    ],
)
def test_what_is_no_id_stays_refused(body: str) -> None:
    text = f"{HEAD} (float[n,4] x, int64[n,4] ids) => (float[n,k] y) <{TENSORS}> {{ {body} }}"
    with pytest.raises(lrp.UnsupportedModelError):
        lrp.Explainer(onnx.parser.parse_model(text))
