"""From what an input holds to what the model is fed: the types and ranks of its arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

pytest.importorskip("pyarrow")
from tinynets import net

import onnx_lrp as lrp
from onnx_lrp.batch.items import Item, Payload
from onnx_lrp.batch.loading import Loader, Prepped
from onnx_lrp.batch.sources.opening import source_of
from onnx_lrp.errors import InputError
from onnx_lrp.explanation.fingerprint import array_sha256
from onnx_lrp.pictures.preprocessing import Preprocessing


@pytest.fixture(autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loader(model: onnx.ModelProto) -> Loader:
    return Loader(lrp.Explainer(model, threads=1).prepared.inputs, Preprocessing(), "net.onnx")


def of_type(kind: int) -> onnx.ModelProto:
    """Two numbers of this type, cast where they are no float32, and one answer of three."""
    weights = np.arange(6, dtype=np.float32).reshape(2, 3) - 2
    model = net(
        [("Cast", ["x"], "f", {"to": 1}), ("MatMul", ["f", "w"], "y", {})], {"x": ("n", 2)}, ("n", 3), w=weights
    )
    model.graph.input[0].type.tensor_type.elem_type = kind
    return model


def doubles() -> onnx.ModelProto:
    """Two classes, which float32 cannot tell apart."""
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"])], "doubles",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, ["n", 2])],
        [onnx.numpy_helper.from_array(np.array([[1.0, 0.5], [1e-3, 2e-3]]), "w"),
         onnx.numpy_helper.from_array(np.array([-16777216.0, -8388608.0]), "b")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def first_row(given: str, some: Loader) -> Prepped:
    """As a run feeds it."""
    source = source_of(given)
    item = next(iter(source.items()))
    answer = next(iter(source.read([item])))
    assert isinstance(answer, Payload)
    return some.load(item, answer)


def tables(cells: list[Any]) -> list[str]:
    """One row as CSV and as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    Path("t.csv").write_text("a,b\n" + ",".join(map(str, cells)) + "\n")
    pq.write_table(pa.table({name: np.array([cell]) for name, cell in zip("ab", cells)}), "t.parquet")
    return ["t.csv", "t.parquet"]


@pytest.mark.parametrize(
    ("kind", "cells", "dtype"),
    [
        (TensorProto.FLOAT, [0.1, 16777217], np.float32),
        (TensorProto.FLOAT16, [0.1, 3], np.float32),
        (TensorProto.DOUBLE, [0.1, 16777217], np.float64),
        (TensorProto.INT64, [2**53 + 1, -3.0], np.int64),
        (TensorProto.UINT64, [2**64 - 1, 0], np.uint64),
        (TensorProto.INT32, [7, 2.0], np.int32),
        (TensorProto.UINT8, [255, 0], np.uint8),
        (TensorProto.BOOL, [1, 0.0], np.bool_),
    ],
)
def test_a_row_of_a_table_gets_the_type_of_the_input(kind: int, cells: list[Any], dtype: type) -> None:
    some = loader(of_type(kind))
    for name in tables(cells):
        sample = first_row(name, some)
        expected = np.array([int(cell) if np.dtype(dtype).kind in "iu" else cell for cell in cells], dtype)
        assert sample.feeds["x"].dtype == dtype
        np.testing.assert_array_equal(sample.feeds["x"][0], expected)
        assert sample.sha256 == array_sha256(expected)


@pytest.mark.parametrize(
    ("kind", "cells", "said"),
    [
        (TensorProto.INT64, [1, 2.5], "takes int64, number 2 of the row is 2.5; give whole numbers from -9223"),
        (TensorProto.INT64, [2**63, 1], "number 1 of the row is 9223372036854775808;"),
        (TensorProto.INT32, [1, float("inf")], "number 2 of the row is inf;"),
        (TensorProto.UINT8, [-1, 0], "number 1 of the row is -1"),
        (TensorProto.BOOL, [1, 2], "takes bool, number 2 of the row is 2"),
    ],
)
def test_what_does_not_fit_the_type_is_said(kind: int, cells: list[Any], said: str) -> None:
    some = loader(of_type(kind))
    for name in tables(cells):
        with pytest.raises(InputError, match="the input 'x'") as caught:
            first_row(name, some)
        assert said in str(caught.value)


def test_arrays_keep_the_type_that_they_have() -> None:
    row = np.array([0.1, 2])
    sample = loader(of_type(TensorProto.FLOAT)).load(Item("x"), Payload({"": row}))
    assert (sample.feeds["x"].dtype, sample.sha256) == (np.float64, array_sha256(row))


def test_a_table_is_answered_as_an_array_of_the_same_numbers() -> None:
    pytest.importorskip("zarr")
    runs = [lrp.explain_all(doubles(), name, f"out_{name}", dtype="float64", precision="float32")
            for name in (_saved([[16777217.0, 1e-3]]), *tables([16777217.0, 1e-3]))]  # fmt: skip
    assert [run[0].prediction for run in runs] == [0, 0, 0]
    assert len({run.index["sha256"][0].as_py() for run in runs}) == 1
    for run in runs[1:]:
        np.testing.assert_array_equal(run[0].map, runs[0][0].map)


def _saved(rows: list[list[float]]) -> str:
    np.save("x.npy", np.array(rows))
    return "x.npy"
