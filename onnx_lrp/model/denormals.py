"""The first session of a process decides whether its thread takes the smallest numbers for zero: not the caller's."""

from __future__ import annotations

import threading
from functools import cache

import onnx
from onnx import TensorProto, helper


@cache
def spare_this_thread() -> None:
    """Have the first session made by a thread that ends; onnxruntime's own threads go by each session's options."""
    thread = threading.Thread(target=_make_a_session)
    thread.start()
    thread.join()


def _make_a_session() -> None:
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    settings.intra_op_num_threads = 1
    ort.InferenceSession(_smallest_model().SerializeToString(), settings, providers=["CPUExecutionProvider"])


def _smallest_model() -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "graph", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
