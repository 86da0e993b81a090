"""captum's LRP as a second, independent oracle for the epsilon rule, also on a BatchNormalization that is not merged.

Both compute the same formula in double precision, so they agree to rounding: 1e-12 leaves three digits for it. captum's
gradient hooks mix up relevances where a shortcut is the identity, so residual nets without such blocks only.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import onnx_lrp as lrp

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("captum")

import reference  # noqa: E402
from nets import SMALL, build, samples  # noqa: E402

TOLERANCE = 1e-12
TARGETS = np.array([0, 3, 1])
NETS = ("vgg", "vgg_bn", "bottlenecks", "squeezenet", "dense", "preactivation")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with reference.one_thread():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exported")


@cache
def exported(name: str, folder: Path) -> Path:
    return reference.export(build(SMALL[name]), SMALL[name], folder / f"{name}.onnx", dynamo=False, opset=17)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("epsilon", [1e-9, 1e-2])
@pytest.mark.parametrize("name", NETS)
def test_epsilon(name: str, epsilon: float, backend: str, folder: Path) -> None:
    x = samples(SMALL[name], len(TARGETS), seed=2)
    expected = reference.captum_epsilon(reference.captum_form(build(SMALL[name])), x, TARGETS, epsilon)
    composite = f"epsilon:epsilon={epsilon},stabilizer={epsilon}"
    explainer = lrp.Explainer(exported(name, folder), composite, backend=backend, dtype="float64", batchnorm="affine")
    assert reference.distance(explainer(x.numpy(), TARGETS).relevance, expected) < TOLERANCE
