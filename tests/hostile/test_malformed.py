"""What no runtime can run is refused alike by check, explain and convert: one verdict, no traceback, no file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from malformed import MALFORMED
from onnx import helper

import onnx_lrp as lrp
from onnx_lrp.cli.main import main

BY_RUN_ALONE = ("BatchNormalization with a negative variance", "BatchNormalization with NaN")  # which answer NaN
MODELS = pytest.mark.parametrize("name", MALFORMED)


def verdict(ask: Callable[[], object]) -> str:
    """The class of the error."""
    try:
        ask()
    except lrp.OnnxLrpError as error:
        return type(error).__name__
    return "supported"


def picture(model: onnx.ModelProto) -> np.ndarray:
    """Ones, as the first input declares them."""
    if not model.graph.input:
        return np.ones((2, 3), np.float32)
    kind = model.graph.input[0].type.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
    return np.ones([d.dim_value for d in kind.shape.dim], np.float32 if dtype.kind == "O" else dtype)


def checked(model: onnx.ModelProto) -> str:
    """To check, an unsupported model is no error."""
    reports: list[lrp.Report] = []
    found = verdict(lambda: reports.append(lrp.check(model)))
    return "UnsupportedModelError" if reports and not reports[0].supported else found


def test_there_are_enough_of_them() -> None:
    assert len(MALFORMED) >= 60


@MODELS
def test_no_runtime_takes_it(name: str) -> None:
    if name in BY_RUN_ALONE:
        return
    model, options = MALFORMED[name](), onnxruntime.SessionOptions()
    options.log_severity_level = 4
    with pytest.raises(Exception):  # onnxruntime's own share no base
        onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": picture(model)})


@MODELS
def test_one_verdict(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = MALFORMED[name]()
    x, found = picture(model), checked(model)
    assert found in ("UnsupportedModelError", "InvalidModelError", "LoadError")
    for backend in ("numpy", "torch", "onnx"):
        assert verdict(lambda: lrp.explain(model, x, 0, backend=backend)) == found, backend
    assert verdict(lambda: lrp.convert(model)) == found
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    code = main(["convert", str(tmp_path / "model.onnx"), str(tmp_path / "converted.onnx")])
    assert code == (2 if found == "LoadError" else 1)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert len(capsys.readouterr().err.splitlines()) == 1
