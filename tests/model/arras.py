"""Recurrent models, and LRP through them written out by hand: one loop over time, one division per layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STEPS, WIDTH, HIDDEN, SAMPLES = 5, 3, 4, 2
EPSILON = 1e-6


def weights(op: str, directions: int = 1, seed: int = 0, width: int = WIDTH) -> dict[str, np.ndarray]:
    """W, R and B as the standard lays them out."""
    rng, rows = np.random.default_rng(seed), GATES[op] * HIDDEN
    shapes = {"W": (directions, rows, width), "R": (directions, rows, HIDDEN), "B": (directions, 2 * rows)}
    return {name: rng.uniform(-0.8, 0.8, shape).astype(np.float32) for name, shape in shapes.items()}


def model(
    op: str,
    outputs: Sequence[str] = ("Y",),
    opset: int = 17,
    steps: int = STEPS,
    batch: int | str = "N",
    given: dict[str, np.ndarray] | None = None,
    **attributes: Any,
) -> onnx.ModelProto:
    """x (samples, steps, width) -> the node named cell -> its outputs, flattened and joined -> a dense layer y.

    ``given`` are constants for the node's inputs, by their names in the standard.
    """
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    layout = attributes.get("layout", 0)
    constants = {**weights(op, directions), **(given or {})}
    slots = ["x" if layout else "xt", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
    names = [slot if i == 0 or constants.get(slot) is not None else "" for i, slot in enumerate(slots)]
    while not names[-1]:
        names.pop()
    every = ("Y", "Y_h", "Y_c")[: 3 if op == "LSTM" else 2]
    last = max(every.index(name) for name in outputs)
    nodes = [] if layout else [helper.make_node("Transpose", ["x"], ["xt"], perm=[1, 0, 2])]
    made = [name if name in outputs else "" for name in every[: last + 1]]
    nodes.append(helper.make_node(op, names, made, "cell", hidden_size=HIDDEN, **attributes))
    size = 0
    for name in outputs:
        rank = 4 if name == "Y" else 3
        order = list(range(rank)) if layout else [rank - 2, *range(rank - 2), rank - 1]
        nodes.append(helper.make_node("Transpose", [name], [f"{name}_t"], perm=order))
        nodes.append(helper.make_node("Flatten", [f"{name}_t"], [f"{name}_f"]))
        size += directions * HIDDEN * (steps if name == "Y" else 1)
    nodes.append(helper.make_node("Concat", [f"{name}_f" for name in outputs], ["f"], axis=1))
    nodes.append(helper.make_node("Gemm", ["f", "V", "v"], ["y"], "head"))
    rng = np.random.default_rng(7)
    constants |= {"V": rng.standard_normal((size, 3)).astype(np.float32), "v": np.float32([0.1, -0.2, 0.3])}
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "recurrent",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, steps, WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(a, name) for name, a in constants.items() if a is not None and name in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def samples(count: int = SAMPLES, steps: int = STEPS) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((count, steps, WIDTH)).astype(np.float32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def shared(x: np.ndarray, w: np.ndarray, z: np.ndarray, r: np.ndarray) -> np.ndarray:
    """The ε-rule on z = w x + b: Bach et al. 2015, eq. 58; (samples, inputs) from (samples, outputs)."""
    s = r / (z + EPSILON * np.where(z >= 0, 1, -1))
    return x * (s @ w)


def summand(a: np.ndarray, z: np.ndarray, r: np.ndarray) -> np.ndarray:
    """The share of a in a sum z."""
    return a * r / (z + EPSILON * np.where(z >= 0, 1, -1))


def lrp_lstm(x: np.ndarray, given: dict[str, np.ndarray], arriving: np.ndarray) -> np.ndarray:
    """Relevance of x (samples, steps, width) from that of every h_t (samples, steps, hidden); Arras et al. 2017."""
    w, r, b = (given[name][0].astype(np.float64) for name in "WRB")
    bias = b[: len(b) // 2] + b[len(b) // 2 :]
    count, steps, width = x.shape
    c = {-1: np.zeros((count, HIDDEN))}
    h, z, i, f, g, o = {-1: c[-1]}, {}, {}, {}, {}, {}
    for t in range(steps):
        pre = x[:, t] @ w.T + h[t - 1] @ r.T + bias
        i[t], o[t], f[t] = (sigmoid(part) for part in np.split(pre, 4, 1)[:3])
        z[t] = np.split(pre, 4, 1)[3]
        g[t] = np.tanh(z[t])
        c[t] = f[t] * c[t - 1] + i[t] * g[t]
        h[t] = o[t] * np.tanh(c[t])
    result, r_h, r_c = np.zeros(x.shape), np.zeros((count, HIDDEN)), np.zeros((count, HIDDEN))
    signal = np.concatenate([w, r], 1)[3 * HIDDEN :]
    for t in reversed(range(steps)):
        r_cell = r_c + r_h + arriving[:, t]  # the signal of o ⊙ tanh(c) gets all
        r_g = summand(i[t] * g[t], c[t], r_cell) if t else r_cell
        r_c = summand(f[t] * c[t - 1], c[t], r_cell)
        both = shared(np.concatenate([x[:, t], h[t - 1]], 1), signal, z[t], r_g)
        result[:, t], r_h = both[:, :width], both[:, width:]
    return result


def lrp_gru(x: np.ndarray, given: dict[str, np.ndarray], arriving: np.ndarray) -> np.ndarray:
    """Likewise through a GRU whose reset gate comes before its layer; Arras et al. 2019."""
    w, r, b = (given[name][0].astype(np.float64) for name in "WRB")
    bias = b[: len(b) // 2] + b[len(b) // 2 :]
    count, steps, width = x.shape
    h = {-1: np.zeros((count, HIDDEN))}
    pre, u, reset, n = {}, {}, {}, {}
    two = 2 * HIDDEN
    for t in range(steps):
        gates = sigmoid(x[:, t] @ w[:two].T + h[t - 1] @ r[:two].T + bias[:two])
        u[t], reset[t] = gates[:, :HIDDEN], gates[:, HIDDEN:]
        pre[t] = x[:, t] @ w[two:].T + (reset[t] * h[t - 1]) @ r[two:].T + bias[two:]
        n[t] = np.tanh(pre[t])
        h[t] = (1 - u[t]) * n[t] + u[t] * h[t - 1]
    result, r_h = np.zeros(x.shape), np.zeros((count, HIDDEN))
    signal = np.concatenate([w, r], 1)[two:]
    for t in reversed(range(steps)):
        r_state = r_h + arriving[:, t]
        r_n = summand((1 - u[t]) * n[t], h[t], r_state) if t else r_state
        both = shared(np.concatenate([x[:, t], reset[t] * h[t - 1]], 1), signal, pre[t], r_n)
        result[:, t] = both[:, :width]
        r_h = both[:, width:] + summand(u[t] * h[t - 1], h[t], r_state)
    return result
