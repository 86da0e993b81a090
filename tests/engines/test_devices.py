"""Torch on devices: ``cpu:0`` always, CUDA where there is one; ``pytest --torch-device NAME`` asks for another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from onnx_lrp import BackendError, Explainer
from onnx_lrp.backends.base import Window
from onnx_lrp.backends.numpy import NumpyBackend
from onnx_lrp.backends.torch import TorchBackend

MODEL = Path(__file__).resolve().parents[2] / "models" / "mnist_resnet.onnx"
RNG = np.random.default_rng(0)
X = RNG.random((2, 1, 28, 28)).astype(np.float32)
COMPOSITES = ("epsilon", "epsilon_plus", "epsilon_alpha2_beta1")


@pytest.fixture(params=["cpu:0", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if name == "cuda":
        name = request.config.getoption("--torch-device") or name
        if name == "cuda" and not torch.cuda.is_available():
            pytest.skip("no CUDA here")
    return name


def relevance(composite: str, backend: str, dtype: str, device: str | None = None) -> np.ndarray:
    explainer = Explainer(MODEL, composite, backend=backend, dtype=dtype, device=device)
    return np.asarray(explainer(X, 3).relevance, np.float64)


def off(found: np.ndarray, right: np.ndarray) -> float:
    return float(np.abs(found - right).max() / np.abs(right).max())


@pytest.mark.parametrize("composite", COMPOSITES)
def test_a_device_finds_what_numpy_finds(composite: str, device: str) -> None:
    right = relevance(composite, "numpy", "float64")
    assert off(relevance(composite, "torch", "float64", device), right) < 1e-9
    single = off(relevance(composite, "numpy", "float32"), right)
    assert off(relevance(composite, "torch", "float32", device), right) < max(1e-4, 10 * single)


def test_products_keep_float32_where_the_process_allows_tf32(device: str) -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        here, exact = TorchBackend("float32", device), NumpyBackend("float64")
        a, b = (RNG.standard_normal((64, 64)).astype(np.float32) for _ in range(2))
        product = here.to_numpy(here.matmul(here.asarray(a), here.asarray(b)))
        assert off(product, exact.matmul(exact.asarray(a), exact.asarray(b))) < 1e-5
        x, w = RNG.standard_normal((2, 32, 16, 16)), RNG.standard_normal((32, 32, 3, 3))
        window = Window((3, 3), (1, 1), (1, 1), (1, 1), (1, 1))
        for name, rest in (("conv", ()), ("conv_transpose", ((16, 16),))):
            found = here.to_numpy(getattr(here, name)(here.asarray(x), here.asarray(w), window, *rest))
            assert off(found, getattr(exact, name)(x, w, window, *rest)) < 1e-5, name
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("index", [-1, 3])
def test_an_index_out_of_range_never_reaches_the_device(index: int, device: str) -> None:
    xp = TorchBackend("float32", device)
    a = xp.asarray(np.ones((1, 3), np.float32))
    for call in (lambda i: xp.take(a, i, 1), lambda i: xp.put(a[:, :1], i, 1, 3)):
        with pytest.raises(IndexError, match="out of range for an axis of 3"):
            call(np.array([index]))
    assert xp.to_numpy(xp.largest(a)) == 1  # the device still answers


@pytest.mark.parametrize("error", TorchBackend.out_of_memory)
@pytest.mark.parametrize("function", ["conv", "conv_transpose"])
def test_memory_that_runs_out_is_one_line(
    function: str, error: type[Exception], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise error("out of memory\nand a page of figures")

    explainer = Explainer(MODEL, "epsilon", backend="torch", dtype="float64", device=device, verify=False)
    monkeypatch.setattr(TorchBackend, function, full)
    with pytest.raises(BackendError, match=r"mnist_resnet.onnx: .* fewer samples at a time") as caught:
        explainer(X, 3)
    assert "\n" not in str(caught.value)
