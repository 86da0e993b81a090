"""Random valid graphs, broken at random: one typed error in one line, or a result that is right. Nothing in between."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from graphs.cases import Case, cases
from graphs.checks import agreed, explaining, runtime
from graphs.mutations import STRUCTURAL, mutated
from graphs.portions import PORTION, drawn
from hypothesis import strategies as st

from onnx_lrp import Explainer, Explanation
from onnx_lrp.errors import OnnxLrpError
from onnx_lrp.model.runtime import TYPES

MUTANTS = 500
CHOICES = (
    ("numpy", "float64", True),
    ("numpy", "float64", False),
    ("torch", "float64", True),
    ("onnx", "float32", True),
)
Outcome = Explanation | OnnxLrpError


def test_a_broken_graph_is_refused_or_explained_rightly() -> None:
    tally: Counter[str] = Counter()

    def check(case: Case, data: st.DataObject) -> None:
        kind, broken = mutated(case.model, data.draw)
        tally.update({kind: 1})
        judge(case, broken, tally)

    drawn(check, -(-MUTANTS // PORTION), case=cases(), data=st.data())
    assert tally["refused"] > 0.3 * MUTANTS
    assert tally["large"] < 0.02 * MUTANTS
    assert tally["unrunnable"] < 0.01 * MUTANTS
    assert tally["explained"] > 0.1 * MUTANTS
    assert len({mutation.__name__ for mutation in STRUCTURAL} - set(tally)) <= 3


def judge(case: Case, broken: bytes, tally: Counter[str]) -> None:
    try:
        model = onnx.load_from_string(broken)
    except DecodeError:
        with pytest.raises(OnnxLrpError) as caught:
            Explainer(broken)
        one_line(caught.value)
        tally.update(refused=1, unreadable=1)
        return
    if is_large(model):
        tally.update(large=1)
        return
    feeds = {v.name: fed(v, case.feeds) for v in model.graph.input}
    stored = {weight.name for weight in model.graph.initializer}
    other = replace(case, model=model, feeds={name: x for name, x in feeds.items() if name not in stored})
    outcomes = [outcome(other, *choice) for choice in CHOICES]
    errors = [error for error in outcomes if isinstance(error, OnnxLrpError)]
    for error in errors:
        one_line(error)
    if isinstance(outcomes[0], OnnxLrpError):
        assert type(outcomes[0]) is type(outcomes[1]) is type(outcomes[2])
    tally.update(refused=bool(errors), explained=not errors)
    if not errors:
        explainer = explaining(other, "numpy")
        asked = replace(other, explained=explainer.prepared.target)
        if is_refused_by_runtime(asked):
            tally.update({"unrunnable": 1})
            return
        agreed(explainer, asked, *outcomes, tally)


def is_refused_by_runtime(case: Case) -> bool:
    """Whether onnxruntime does not load the file as a whole, for what is wrong on no way to the explained tensor."""
    try:
        runtime(case)
    except Exception as error:  # onnxruntime's own classes share no base but Exception
        return "Type Error" in str(error)
    return False


def is_large(model: onnx.ModelProto) -> bool:
    """Whether it may be a right model of tensors of gigabytes: allowed, but not in a test."""
    inside = [a.t for n in model.graph.node if n.op_type == "Constant" for a in n.attribute if a.name == "value"]
    whole = [w for w in (*model.graph.initializer, *inside) if w.data_type == onnx.TensorProto.INT64]
    values = [abs(n) for w in whole if len(w.raw_data) % 8 == 0 for n in np.frombuffer(w.raw_data, np.int64).tolist()]
    return any(10**5 < n < 2**30 for n in values)


def outcome(case: Case, backend: str, dtype: str, facts: bool) -> Outcome:
    """What a user gets; any exception but ours, and any warning, fails the test."""
    try:
        explainer = explaining(case, backend, dtype, facts)
        return explainer(case.feeds, case.target, seed=case.seed, ledger=backend == "numpy")
    except OnnxLrpError as error:
        return error


def one_line(error: OnnxLrpError) -> None:
    message = str(error)
    assert message
    assert message.isprintable()
    assert "\n" not in message


def fed(value: onnx.ValueInfoProto, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """The input that was drawn if it fits what is declared now, else one that does."""
    tensor = value.type.tensor_type
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
    x = feeds.get(value.name)
    name = onnx.helper.tensor_dtype_to_string(tensor.elem_type) if tensor.elem_type in range(1, 14) else ""
    dtype = TYPES.get(f"tensor({name.removeprefix('TensorProto.').lower()})", np.float32)
    fits = x is not None and x.ndim == len(sizes) and all(n in (None, m) for n, m in zip(sizes, x.shape))
    if x is None or not fits:
        shape = [2 if n is None else min(max(n, 0), 64) for n in sizes]
        x = np.random.default_rng(0).standard_normal(shape)
    return x.astype(dtype)
