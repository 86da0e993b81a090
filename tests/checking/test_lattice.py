"""A lattice of strides is found where there is one, and nowhere else."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest

import onnx_lrp as lrp
from onnx_lrp.checking.lattice import LATTICE, excess

RNG = np.random.default_rng(2)
X = RNG.uniform(0.2, 1, (2, 3, 48, 48)).astype(np.float32)


def net(kernel: int, stride: int, pool: int = 1, layout: str = "NCHW") -> onnx.ModelProto:
    """A convolution whose weights differ, maybe a pooling, and a head."""
    pooled = (
        f"p = MaxPool<kernel_shape = [{pool}, {pool}], strides = [{pool}, {pool}]>(r)"
        if pool > 1
        else "p = Identity(r)"
    )
    shape = "N, 3, 48, 48" if layout == "NCHW" else "N, 48, 48, 3"
    first = "t = Identity(x)" if layout == "NCHW" else "t = Transpose<perm = [0, 3, 1, 2]>(x)"
    layer = f"Conv<kernel_shape = [{kernel}, {kernel}], strides = [{stride}, {stride}]>(t, K)"
    model = onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["": 17]>
        g (float[{shape}] x) => (float[N, 2] y) {{ {first} a = {layer} r = Relu(a) {pooled}
        g = GlobalAveragePool(p) f = Flatten(g) y = MatMul(f, W) }}""")
    for name, value in (("K", RNG.standard_normal((6, 3, kernel, kernel)) ** 3), ("W", RNG.uniform(0.5, 1, (6, 2)))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(value.astype(np.float32), name))
    return model


def found(model: onnx.ModelProto, composite: str, x: np.ndarray = X) -> list[str]:
    return [line for line in lrp.explain(model, x, composite=composite, backend="numpy").warnings if LATTICE in line]


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_patches_leave_their_weights(layout: str) -> None:
    model = net(4, 4, layout=layout)
    x = X if layout == "NCHW" else X.transpose(0, 2, 3, 1)
    (said,) = found(model, "gamma", x)
    assert "one pixel in 16 carries" in said
    assert "again every 4 pixels" in said
    assert "strides of Conv a, not from the picture: blur it (--smooth 2)" in said
    assert said.endswith("the flat rule, which is even there (--composite epsilon_plus_flat)")
    assert found(model, "epsilon_plus_flat", x) == []


def test_windows_that_overlap_unevenly() -> None:
    for composite in ("epsilon_plus_flat", "gamma"):
        (said,) = found(net(3, 2, pool=2), composite)
        assert "--smooth" in said
        assert "flat rule" not in said  # 3 is no multiple of 2: it would not be even


def test_no_strides_no_lattice() -> None:
    assert found(net(3, 1), "gamma") == []


def test_a_small_map_is_not_judged() -> None:
    plane = np.zeros((22, 48))
    plane[::2, ::2] = 1
    assert excess(plane, (2, 2)) == 0
    assert excess(np.zeros((48, 48)), (2, 2)) == 0


def test_the_excess_is_the_share_over_an_even_one() -> None:
    plane = np.ones((50, 49))
    assert excess(plane, (2, 2)) == pytest.approx(1)
    plane[1:48:2, 0:48:2] = 3
    share = 3 / (3 + 3)
    assert excess(plane[:48], (2, 2)) == pytest.approx(4 * share)
    assert excess(plane[:48], (2, 1)) == pytest.approx(2 * (2 / 3), rel=0.02)
