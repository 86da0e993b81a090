"""Converted models in the standard's own evaluator, plain NumPy, answer as in onnxruntime.

Three of its operators do not do what the standard says (onnx 1.23); they are replaced by ones that do. A fourth,
BatchNormalization of opsets 9 to 13, always trains, so nets with one are only tried from opset 14 on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from small import NETS, answers, close, feeds_of, small

import onnx_lrp as lrp
from onnx_lrp.backends.base import Window
from onnx_lrp.backends.numpy import NumpyBackend


class OneHot(OpRun):
    """The depth may be a vector of one element."""

    def _run(self, indices: Any, depth: Any, values: Any, axis: int = -1) -> tuple[Any]:
        assert axis == -1
        return (np.where(indices[..., None] == np.arange(np.asarray(depth).item()), values[1], values[0]),)


class MaxUnpool(OpRun):
    """Indices refer to the shape that is given."""

    def _run(self, x: Any, indices: Any, shape: Any, **_: Any) -> tuple[Any]:
        made = np.zeros(shape, x.dtype)
        made.reshape(-1)[indices.reshape(-1)] = x.reshape(-1)
        return (made,)


class MaxPool(OpRun):
    """Indices count through the whole batch, not through each sample."""

    def _run(self, x: Any, kernel_shape: Any, strides: Any, pads: Any = None, **_: Any) -> tuple[Any, ...]:
        pads = pads or (0, 0, 0, 0)
        window = Window(tuple(kernel_shape), tuple(strides), tuple(pads[:2]), tuple(pads[2:]), (1, 1))
        best, winner = NumpyBackend("float32").max_pool(x, window)
        plane = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], 1, 1) * x.shape[2] * x.shape[3]
        return (best, winner + plane)[: len(self.onnx_node.output)]


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("composite", ["epsilon", "epsilon_plus_flat", "epsilon_gamma_box:low=-3,high=3", "layered"])
@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("name", NETS)
def test_reference_evaluator(name: str, opset: int, composite: str) -> None:
    model = small(name, opset)
    if opset < 14 and any(node.op_type == "BatchNormalization" for node in model.graph.node):
        pytest.skip("the evaluator's BatchNormalization trains")
    converted, feeds = lrp.convert(model, composite, targets=2, layers=["r"]), feeds_of(model, 2)
    made = ReferenceEvaluator(converted, new_ops=[OneHot, MaxUnpool, MaxPool]).run(None, feeds)
    for output, expected in zip(made, answers(converted, feeds).values(), strict=True):
        close(np.asarray(output), expected)
