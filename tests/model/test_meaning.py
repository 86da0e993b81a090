"""Refusals say what the network's owner wrote, not only what the exporter made of it."""

import onnx.parser
import pytest

import onnx_lrp as lrp
from onnx_lrp.errors import Problem, UnsupportedModelError, grouped

TEXT = """
<ir_version: 8, opset_import: ["" : 17]> g (float[2,4,6] x, float[2,4,6] z) => (float[2,4,6] y)
<float tiny = {0.001}, float two = {2.0}, float half = {0.5}, float most = {3.0}, float[2] g = {1.0, 1.0},
 float[2] o = {0.0, 0.0}, int64[3] apart = {0, 2, -1}, int64[3] back = {0, 4, 6}, int64[1] axis = {1}>
{ %s }
"""
MEAN = "m = ReduceMean <axes = [1]> (x)  c = Sub (x, m)  "
SQUARES = "q = Mul (c, c)  v = ReduceMean <axes = [1]> (q)  e = Add (v, tiny)  "
WORDS = {
    "a GroupNorm": "a = Reshape (x, apart)  n = InstanceNormalization (a, g, o)  y = Reshape (n, back)",
    "divided by a standard deviation": MEAN + SQUARES + "s = Sqrt (e)  y = Div (c, s)",
    "a standard deviation": MEAN + SQUARES + "s = Pow (e, half)  y = Expand (s, back)",
    "divided by a root mean square": "q = Pow (x, two)  v = ReduceMean <axes = [1]> (q)  s = Sqrt (v)"
    "  r = Reciprocal (s)  y = Mul (x, r)",
    "a root mean square": "q = Mul (x, x)  v = ReduceMean <axes = [1]> (q)  s = Sqrt (v)  y = Expand (s, back)",
    "divided by its length": "s = ReduceL2 <axes = [1]> (x)  e = Clip (s, tiny)  b = Expand (e, back)  y = Div (x, b)",
    "a length, as in a cosine similarity": "q = Pow (x, two)  a = ReduceSum (q, axis)  p = Pow (z, two)"
    "  b = ReduceSum (p, axis)  t = Mul (a, b)  s = Sqrt (t)  y = Expand (s, back)",
}


def reasons(body: str) -> list[str]:
    return [problem.reason for problem in lrp.check(onnx.parser.parse_model(TEXT % body)).problems]


@pytest.mark.parametrize("words", WORDS)
def test_what_was_meant(words: str) -> None:
    found = reasons(WORDS[words])
    assert any(f"({words}" in reason for reason in found), found


@pytest.mark.parametrize(
    "body", ["y = Sqrt (x)", "q = Mul (x, z)  s = Sqrt (q)  y = Div (x, s)", "y = Div (x, z)", "y = Mul (x, z)"]
)
def test_nothing_is_read_into_what_is_none_of_these(body: str) -> None:
    assert not any("(" in reason for reason in reasons(body))


def test_refusals_are_grouped_and_those_that_an_option_heals_come_last() -> None:
    healed = Problem("g", "Gelu", "is smooth", "--pass-op Gelu")
    refused = [Problem(name, "Softmax", "normalises", "no way") for name in ("a", "b", "c")]
    alone = Problem("d", "Softmax", "another reason", "no way")
    together = grouped([healed, refused[0], alone, *refused[1:]])
    assert [str(problem) for problem in together] == [
        "a and 2 more (Softmax): normalises; no way",
        "d (Softmax): another reason; no way",
        "g (Gelu): is smooth; --pass-op Gelu",
    ]
    error = UnsupportedModelError("m.onnx", [healed, *refused])
    assert str(error).startswith("m.onnx: unsupported model, 4 nodes without a role: a and 2 more (Softmax)")
    assert len(error.problems) == 4
