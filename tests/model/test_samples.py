"""Which axis counts samples: declared, or found by trying."""

import numpy as np
import onnx
import onnx.parser
import pytest

import onnx_lrp as lrp
from onnx_lrp.errors import InvalidModelError
from onnx_lrp.model import samples
from onnx_lrp.model.preparation import prepare

SQUEEZED = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[{n},3] x) => (float[{m}] y)
<float[3,1] w = {{1.0, 2.0, -1.0}}, int64[1] axes = {{1}}>
{{ h = MatMul (x, w)  y = Squeeze (h, axes) }}
"""
SUMMED = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[{n},3] x) => (float[{m}] y)
<float[3,10] w = {thirty}, int64[1] axes = {{0}}>
{{ h = MatMul (x, w)  y = ReduceSum <keepdims = 0> (h, axes) }}
"""
MIXED = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[2,3] x) => (float[2,3] y)
<float[2,2] w = {{0.5, 0.5, 1.0, 2.0}}>
{{ y = MatMul (w, x) }}
"""
COUNTS = """
<ir_version: 8, opset_import: ["" : 17]>
g (int64[2,3] counts, float[2,3] x) => (float[2,3] y)
{{ c = Cast <to = 1> (counts)  y = Add (c, x) }}
"""

SCALED = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[{n},3] x) => (float[{m},3] y)
<float[3,3] w = {{1.0, 2.0, -1.0, 0.5, 0.25, 1.0, -1.0, 3.0, 1.0}}>
{{
    q, scale, zero = DynamicQuantizeLinear (x)  back = DequantizeLinear (q, scale, zero)  h = MatMul (back, w)
    r, s, z = DynamicQuantizeLinear (h)  y = DequantizeLinear (r, s, z)
}}
"""


def parsed(text: str, n: object = 2, m: object = 2) -> onnx.ModelProto:
    return onnx.parser.parse_model(text.format(n=n, m=m, thirty=numbers(30)))


def numbers(count: int) -> str:
    return "{" + ", ".join(str(i + 0.5) for i in range(count)) + "}"


def taken(model: onnx.ModelProto, target: tuple[int, ...], **inputs: tuple[int, ...]) -> tuple[bool, list[str]]:
    prepared = prepare(model)
    return prepared.batched(target, inputs), prepared.assumptions()


def test_a_fixed_batch_of_single_numbers_is_a_batch() -> None:
    batched, lines = taken(parsed(SQUEEZED), (2,), x=(2, 3))
    assert batched
    assert lines == ["each row of 'y' is a sample's: found by trying, it depends on no other row of the inputs"]


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
def test_each_sample_of_a_fixed_batch_gets_its_relevance(backend: str) -> None:
    x = np.array([[1, 1, 1], [2, 0, 1]], np.float32)
    found = lrp.Explainer(parsed(SQUEEZED), "epsilon:epsilon=1e-9", backend=backend)(x).inputs["x"]
    np.testing.assert_allclose(found, x * [1, 2, -1], rtol=1e-5)


def test_what_mixes_rows_is_one_sample() -> None:
    batched, lines = taken(parsed(MIXED), (2, 3), x=(2, 3))
    assert not batched
    assert "'y' is one sample's" in lines[0]


def test_samples_that_share_a_scale_are_several() -> None:
    assert taken(parsed(SCALED), (2, 3), x=(2, 3))[0]


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
def test_each_sample_that_shares_a_scale_gets_its_own_target(backend: str) -> None:
    """The axes have no names, so that the first one might be anything."""
    x = np.array([[1, 0, 0], [0, 0, 1]], np.float32)
    found = lrp.Explainer(parsed(SCALED, "n", "m"), "epsilon:epsilon=1e-9", backend=backend, dtype=None)(x)
    assert found.target.tolist() == [1, 1]
    assert found.inputs["x"].any(1).all()


def test_as_many_rows_as_classes_by_chance() -> None:
    """Ten points, ten classes: y is made of all points."""
    model = parsed(SUMMED, "points", 10)
    assert not taken(model, (10,), x=(10, 3))[0]
    assert taken(model, (10,), x=(4, 3)) == (False, [])


def test_one_name_leaves_no_doubt() -> None:
    assert taken(parsed(SQUEEZED, "batch", "batch"), (2,), x=(2, 3)) == (True, [])


def test_other_names_are_tried() -> None:
    assert taken(parsed(SQUEEZED, "batch", "unk__12"), (2,), x=(2, 3))[0]


def test_integers_are_tried_too() -> None:
    assert taken(parsed(COUNTS), (2, 3), counts=(2, 3), x=(2, 3))[0]


def test_what_cannot_be_tried_goes_by_its_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise InvalidModelError("no such kernel")

    monkeypatch.setattr(samples, "open_session", refused)
    assert taken(parsed(COUNTS), (2, 3), counts=(2, 3), x=(2, 3))[0]
    assert not taken(parsed(SQUEEZED), (2,), x=(2, 3))[0]


def test_check_says_what_was_taken() -> None:
    assert "each row of 'y' is a sample's" in str(lrp.check(parsed(SQUEEZED)))
    assert "each row" not in str(lrp.check(parsed(SQUEEZED, "batch", "batch")))
