"""Fused ops of transformers: the expanded nodes answer as the runtime's own op, on every backend, in one row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnx_lrp import Explainer, UnsupportedModelError, check

MS = "com.microsoft"
N, L, WIDTH, HEADS = 2, 5, 16, 4
RNG = np.random.default_rng(0)
BACKENDS = (("numpy", "float64"), ("torch", "float32"), ("onnx", "float32"))


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def one_node(
    op: str, feeds: dict[str, np.ndarray], constants: dict[str, np.ndarray | None], domain: str = MS, outputs: int = 1,
    opset: int = 18, width: int = WIDTH, **attributes: Any,
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:  # fmt: skip
    """The op, all its inputs by name in its order, and a layer behind it."""
    names = ["" if name in constants and constants[name] is None else name for name in (*feeds, *constants)]
    order = attributes.pop("order", names)
    made = [f"z{i}" for i in range(outputs)]
    nodes = [
        helper.make_node(op, order, made, "fused", domain=domain, **attributes),
        helper.make_node("MatMul", [made[0], "w"], ["y"], "end"),
    ]
    given = {name: a for name, a in constants.items() if a is not None} | {"w": numbers(width, 3)}
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in feeds.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(a, n) for n, a in given.items()],
    )  # fmt: skip
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(MS, 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8), feeds


def x() -> dict[str, np.ndarray]:
    return {"x": numbers(N, L, WIDTH)}


def gain() -> np.ndarray:
    return 1 + 0.3 * numbers(WIDTH)


def qkv(size: int = WIDTH, width: int = WIDTH) -> dict[str, np.ndarray]:
    return {"q": numbers(N, L, width), "k": numbers(N, L, size), "v": numbers(N, L, size)}


MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], np.int32)
ANGLES = np.outer(np.arange(8), 1 / 50 ** (np.arange(2) / 2)).astype(np.float32)
WIDE = np.outer(np.arange(8), 1 / 50 ** (np.arange(8) / 8)).astype(np.float32)
Made = tuple[onnx.ModelProto, dict[str, np.ndarray]]
CASES: dict[str, Callable[[], Made]] = {
    "skip norm": lambda: one_node("SkipLayerNormalization", x() | {"s": numbers(N, L, WIDTH)},
                                  {"gain": gain(), "shift": numbers(WIDTH), "bias": numbers(WIDTH)}, epsilon=1e-5),
    "skip norm, no bias": lambda: one_node("SkipLayerNormalization", x() | {"s": numbers(N, L, WIDTH)},
                                           {"gain": gain(), "shift": numbers(WIDTH)}, epsilon=1e-5),
    "skip rms norm": lambda: one_node("SkipSimplifiedLayerNormalization", x() | {"s": numbers(N, L, WIDTH)},
                                      {"gain": gain()}, epsilon=1e-5),
    "rms norm": lambda: one_node("SimplifiedLayerNormalization", x(), {"gain": gain()}, domain="", epsilon=1e-5),
    "attention": lambda: one_node("Attention", x(), {"weight": numbers(WIDTH, 3 * WIDTH), "bias": numbers(3 * WIDTH)},
                                  num_heads=HEADS),
    "attention, mask": lambda: one_node(
        "Attention", x(), {"weight": numbers(WIDTH, 3 * WIDTH), "bias": numbers(3 * WIDTH), "mask": MASK},
        num_heads=HEADS),
    "attention, lengths": lambda: one_node(
        "Attention", x(), {"weight": numbers(WIDTH, 3 * WIDTH), "bias": numbers(3 * WIDTH),
                           "mask": np.array([5, 3], np.int32)}, num_heads=HEADS),
    "attention, causal": lambda: one_node(
        "Attention", x(), {"weight": numbers(WIDTH, 3 * WIDTH), "bias": numbers(3 * WIDTH)}, num_heads=HEADS,
        unidirectional=1, scale=0.3),
    "heads": lambda: one_node("MultiHeadAttention", qkv(), {}, num_heads=HEADS),
    "heads, bias and mask": lambda: one_node("MultiHeadAttention", qkv(), {"bias": numbers(3 * WIDTH), "mask": MASK},
                                             num_heads=HEADS),
    "heads, added": lambda: one_node(
        "MultiHeadAttention", qkv(), {"bias": None, "mask": None, "added": numbers(1, HEADS, L, L)}, num_heads=HEADS),
    "shared heads": lambda: one_node(
        "GroupQueryAttention", qkv(2 * WIDTH, 4 * WIDTH),
        {"pk": None, "pv": None, "seqlens": np.full(N, L - 1, np.int32), "total": np.array([L], np.int32)},
        num_heads=HEADS, kv_num_heads=HEADS // 2, outputs=3, width=4 * WIDTH),
    "shared heads, rotated": lambda: one_node(
        "GroupQueryAttention", qkv(2 * WIDTH, 4 * WIDTH),
        {"pk": None, "pv": None, "seqlens": np.full(N, L - 1, np.int32), "total": np.array([L], np.int32),
         "cos": np.cos(WIDE), "sin": np.sin(WIDE)}, num_heads=HEADS, kv_num_heads=HEADS // 2, do_rotary=1,
        outputs=3, width=4 * WIDTH),
    "rotation": lambda: one_node(
        "RotaryEmbedding", x(), {"places": np.tile(np.arange(L), (N, 1)), "cos": np.cos(ANGLES), "sin": np.sin(ANGLES)},
        num_heads=HEADS),
    "rotation, interleaved": lambda: one_node(
        "RotaryEmbedding", x(), {"places": np.tile(np.arange(L), (N, 1)), "cos": np.cos(ANGLES), "sin": np.sin(ANGLES)},
        num_heads=HEADS, interleaved=1),
    "embedding": lambda: one_node(
        "EmbedLayerNormalization", {"ids": RNG.integers(0, 9, (N, L)).astype(np.int32)},
        {"kinds": np.zeros((N, L), np.int32), "words": numbers(9, WIDTH), "positions": numbers(8, WIDTH),
         "segments": numbers(2, WIDTH), "gain": gain(), "shift": numbers(WIDTH)}, outputs=2, epsilon=1e-5),
    "standard attention": lambda: one_node(
        "Attention", qkv(WIDTH // 2), {}, domain="", opset=23, q_num_heads=HEADS, kv_num_heads=HEADS // 2,
        is_causal=1, softcap=3.0),
    "standard attention, mask": lambda: one_node(
        "Attention", qkv(), {"mask": np.triu(np.full((L, L), -np.inf, np.float32), 1)}, domain="", opset=23,
        q_num_heads=HEADS, kv_num_heads=HEADS),
    "standard rotation": lambda: one_node(
        "RotaryEmbedding", x(),
        {"cos": np.cos(ANGLES)[None, :L].repeat(N, 0), "sin": np.sin(ANGLES)[None, :L].repeat(N, 0)},
        domain="", opset=23, num_heads=HEADS),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_expanded_op_answers_as_the_runtime_s(name: str) -> None:
    model, feeds = CASES[name]()
    found = []
    for backend, dtype in BACKENDS:  # each compares its answer with the runtime's own op first
        explainer = Explainer(model, "attnlrp", backend=backend, dtype=dtype, profile="attnlrp")
        found.append(np.concatenate([r.ravel() for r in explainer(feeds, 4).inputs.values()]))
    scale = np.abs(found[0]).max()
    assert scale > 0
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=2e-3, atol=2e-5 * scale)


@pytest.mark.parametrize("name", CASES)
def test_it_is_one_row_of_the_report(name: str) -> None:
    model, _ = CASES[name]()
    report = check(model, "attnlrp", profile="attnlrp")
    assert [row.node for row in report.rows] == ["fused", "end"]
    assert not check(model).supported or name == "standard rotation"


def test_a_past_is_refused_by_name() -> None:
    past = np.zeros((2, N, HEADS, 3, WIDTH // HEADS), np.float32)
    model, _ = one_node(
        "Attention", x(), {"weight": numbers(WIDTH, 3 * WIDTH), "bias": numbers(3 * WIDTH), "mask": None, "past": past},
        num_heads=HEADS, outputs=2,
    )  # fmt: skip
    with pytest.raises(UnsupportedModelError, match=r"fused .*with a past"):
        Explainer(model, profile="attnlrp")


@pytest.mark.parametrize(("bits", "zeros"), [(4, False), (4, True), (8, False)])
def test_weights_of_few_bits(bits: int, zeros: bool) -> None:
    k, n, size = 40, 6, 16
    count, per = -(-k // size), size * bits // 8
    blocks = RNG.integers(0, 256, (n, count, per)).astype(np.uint8)
    scales = (0.01 + 0.1 * RNG.random(n * count)).astype(np.float32)
    packed = RNG.integers(0, 256, n * -(-count * bits // 8)).astype(np.uint8)
    model, feeds = one_node(
        "MatMulNBits", {"x": numbers(N, k)},
        {"blocks": blocks, "scales": scales, "zeros": packed if zeros else None},
        K=k, N=n, bits=bits, block_size=size, width=n,
    )  # fmt: skip
    results = [Explainer(model, "epsilon", backend=b, dtype=d)(feeds, 0).relevance for b, d in BACKENDS]
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], rtol=1e-3, atol=1e-5 * np.abs(results[0]).max())


def test_an_output_that_has_no_role_is_refused_if_it_is_read() -> None:
    model, _ = one_node("SkipLayerNormalization", x() | {"s": numbers(N, L, WIDTH)},
                        {"gain": gain(), "shift": numbers(WIDTH)}, outputs=2)  # fmt: skip
    model.graph.node[1].input[0] = "both"
    model.graph.node.insert(1, helper.make_node("Add", ["z0", "z1"], ["both"], "mean"))
    with pytest.raises(UnsupportedModelError, match="its output 1 is read, too"):
        Explainer(model, profile="attnlrp")
