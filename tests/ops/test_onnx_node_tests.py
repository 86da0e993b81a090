"""The standard's own node tests: every op that has a role reproduces the standard's output in its forward pass.

The first float input stays the model's input, the others become initializers (all inputs of a merge or Concat stay
variable). A case that the library refuses is listed in ``REFUSED`` with its reason, so a newly refused one fails.
"""

from __future__ import annotations

import functools
import re
import warnings

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

from onnx_lrp import UnsupportedModelError, backends
from onnx_lrp.backends import Backend
from onnx_lrp.composites import Composite
from onnx_lrp.model.preparation import prepare
from onnx_lrp.ops import OPS
from onnx_lrp.propagation.forward import ForwardRecorder
from onnx_lrp.propagation.plan import make_plan
from onnx_lrp.propagation.tape import Weights

WANTED = {
    "Conv", "ConvTranspose", "Gemm", "MatMul", "Mul", "Div", "BatchNormalization", "AveragePool", "GlobalAveragePool",
    "ReduceMean", "ReduceSum", "Resize", "Upsample", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze",
    "Identity", "Dropout", "Cast", "Concat", "Split", "Slice", "Gather", "Pad", "Expand", "Tile", "DepthToSpace",
    "SpaceToDepth", "MaxPool", "GlobalMaxPool", "ReduceMax", "Add", "Sub", "Sum", "Mean", "Relu", "LeakyRelu", "PRelu",
    "ThresholdedRelu", "Clip", "LRN", "GatherND", "Where", "Neg", "Abs", "Pow", "ReduceMin", "TopK", "Trilu",
    "Compress", "CumSum", "GatherElements", "ScatterElements", "ScatterND", "Scatter", "GridSample", "RoiAlign",
    "Col2Im", "DFT", "STFT", "OneHot", "Equal", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear",
}  # fmt: skip
WANTED_EXPANDED = {"EyeLike", "Loop", "ReduceL1", "Scan"}  # which have no role of their own
ALL_VARIABLE = {"Add", "Sub", "Sum", "Mean", "Concat"}
QUANTIZING = {"QuantizeLinear", "DynamicQuantizeLinear"}
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16)
FEWEST = 400  # cases that reproduce; 479 with onnx 1.23

REFUSED = (  # names, and what the problem's reason says
    (r"quantizelinear_e\dm\d\w*|dequantizelinear_\w+_zero_point|\w*_float4e2m1", "floats of few bits"),
    (r"(de)?quantizelinear_\w*blocked\w*", "in blocks"),
    (r"(add|sub|mul|div)_u?int\d+(_trunc)?|maxpool_2d_uint8|reduce_max_\w*bool\w*", "not a float"),
    (r"(edge|reflect|wrap)_pad|clip_default_int8_(min|inbounds_expanded)", "not a float"),
    (r"cast(like)?(_no_saturate|_e8m0)?_\w+_to_(FLOAT8|FLOAT4|U?INT)\w+", "a type that is not a float"),
    (r"clip(_example|_inbounds|_outbounds|_splitbounds|_min_greater_than_max)?", "not ReLU-compatible"),
    (r"clip_default_(int8_)?(max|inbounds)", "not ReLU-compatible"),
    (r"batchnorm_\w+_training_mode", "in training mode"),
    (r"training_dropout\w*", "training mode"),
    (r"gemm_(transposeA|all_attributes)", "the variable operand is transposed"),
    (r"identity_(sequence|opt)", "Sequence or Optional"),
    (r"pow(_bcast_(array|scalar)|_example)?|pow_types_float32_\w+", "bends its input"),
    (r"dft_irfft(_opset19)?", "inverse transform of half a spectrum"),
    (r"roialign_mode_max", "mode=max"),
    (r"scatter_elements_with_reduction_mul|scatternd_multiply", "scatters with reduction='mul'"),
    (r"loop13_seq|loop16_seq_none", "depends on the data"),
    (r"scan_sum", "before opset 9"),
    (r"eyelike_(populate_off_main_diagonal|with_dtype)", "does not depend on the model's inputs"),
    (r"resize_\w*tf_crop_and_resize\w*", "Resize with"),
)
SKIPPED = {
    "dynamicquantizelinear": "a half, which float32 and float64 round to different integers",
    "scan9_multi_state": "its second output does not depend on the input that varies",
    "reduce_min_empty_set": "an empty input, which the public API refuses",
    "onehot_with_bfloat16_values": "not known to NumPy",
    "reduce_max_empty_set": "an empty input, which the public API refuses",
    "resize_downsample_scales_linear_align_corners": "expects a length that is no whole number; runtimes round it",
    "resize_downsample_scales_cubic_align_corners": "expects a length that is no whole number; runtimes round it",
}


def collect() -> dict[str, object]:
    with warnings.catch_warnings():  # the standard's cases overflow on purpose
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    single = [case for case in cases if len(case.model.graph.node) == 1 and not case.model.graph.node[0].domain]
    return {
        c.name.removeprefix("test_"): c for c in single if c.model.graph.node[0].op_type in WANTED | WANTED_EXPANDED
    }


CASES = collect()


def to_array(value: object) -> np.ndarray:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def one_variable(case: object) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """The model with constants for all inputs but the one that carries data, and what to feed it."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    inputs = list(model.graph.input)
    feeds = {i.name: v for i, v in zip(inputs, case.data_sets[0][0])}
    read = set(model.graph.node[0].input)
    floats = [i.name for i in inputs if i.type.tensor_type.elem_type in FLOATS and i.name in read]
    op = model.graph.node[0].op_type
    if op in QUANTIZING:
        as_floats(model)
    if op not in ALL_VARIABLE:
        first = inputs[0].name if op in ("DequantizeLinear", "OneHot", "Equal") else (floats or [inputs[0].name])[0]
        for value in inputs:
            if value.name != first:
                model.graph.initializer.append(numpy_helper.from_array(to_array(feeds.pop(value.name)), value.name))
                model.graph.input.remove(value)
    return model, feeds


def as_floats(model: onnx.ModelProto) -> None:
    """Only floats can be explained: the integers are dequantised with a scale of 1, which is exact."""
    graph = model.graph
    levels = graph.output[0]
    graph.initializer.append(numpy_helper.from_array(np.float32(1), "one"))
    graph.node.append(onnx.helper.make_node("DequantizeLinear", [levels.name, "one"], [f"{levels.name}/floats"]))
    levels.name = f"{levels.name}/floats"
    levels.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    del graph.output[1:]


def forward(model: onnx.ModelProto, output: str, feeds: dict[str, np.ndarray], xp: Backend) -> np.ndarray:
    prepared = prepare(model, output)
    plan = make_plan(prepared.verdict, prepared.model, Composite.parse("epsilon"))
    recorder = ForwardRecorder(prepared.model, plan, Weights(prepared.model, xp), prepared.source)
    numbers = {name: to_array(a) for name, a in feeds.items()}
    wide = {name: a.astype(np.float64) if a.dtype.kind not in "iub" else a for name, a in numbers.items()}
    return xp.to_numpy(recorder.record(wide, set()).values[plan.target])


def refusal(name: str) -> str | None:
    reasons = [reason for pattern, reason in REFUSED if re.fullmatch(pattern, name)]
    assert len(reasons) <= 1, f"{name} is listed twice"
    return reasons[0] if reasons else None


ROUNDED = {  # the expected output is written with four digits
    "averagepool_2d_ceil_last_window_starts_on_pad", "gridsample_bicubic", "roialign_aligned_false",
    "roialign_aligned_true",
}  # fmt: skip


@functools.cache
def reproduced(name: str, backend: str) -> bool:
    """Whether every float output is what the standard says."""
    case, xp = CASES[name], backends.create(backends.Choice(backend, "float64"))
    model, feeds = one_variable(case)
    for value, wanted in zip(model.graph.output, map(to_array, case.data_sets[0][1])):
        if value.type.tensor_type.elem_type in FLOATS:
            made = forward(model, value.name, feeds, xp)
            assert made.shape == wanted.shape, value.name
            narrow = value.type.tensor_type.elem_type in (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
            rtol, atol = (8e-3, 1e-6) if narrow else (case.rtol, 1e-4) if name in ROUNDED else (1e-5, 1e-6)
            np.testing.assert_allclose(made, wanted.astype(np.float64), rtol=rtol, atol=atol)
    return True


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("name", sorted(CASES))
def test_the_standard_s_case(name: str, backend: str) -> None:
    reason = refusal(name)
    if name in SKIPPED:
        pytest.skip(SKIPPED[name])
    if reason is None:
        assert reproduced(name, backend)
        return
    model, feeds = one_variable(CASES[name])
    with pytest.raises(UnsupportedModelError) as error:
        forward(model, model.graph.output[0].name, feeds, backends.create(backends.Choice(backend, "float64")))
    assert any(reason in problem.reason for problem in error.value.problems)
    assert all(problem.remedy for problem in error.value.problems)


def test_how_many_reproduce() -> None:
    accepted = [name for name in CASES if name not in SKIPPED and refusal(name) is None]
    done = {b: sum(reproduced(name, b) for name in accepted) for b in ("numpy", "torch")}
    print(f"\nof {len(CASES)} node tests {done} reproduce, {len(CASES) - len(accepted)} are refused or skipped")
    assert min(done.values()) >= FEWEST


def test_every_pattern_and_every_op_is_used() -> None:
    assert all(any(re.fullmatch(pattern, name) for name in CASES) for pattern, _ in REFUSED)
    assert {case.model.graph.node[0].op_type for case in CASES.values()} >= WANTED - {"Upsample"}
    assert set(OPS) >= WANTED
