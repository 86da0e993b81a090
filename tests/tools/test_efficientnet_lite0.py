"""The converter of EfficientNet-Lite0 against torch, on a net of its form with few channels and random weights."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

TOOLS = Path(__file__).resolve().parents[2] / "tools"
# expansion or none, kernel, stride, whether there is a shortcut: one line for each of the sixteen blocks
BLOCKS = [
    *((0, 3, 1, False),),
    *((6, 3, 2, False), (6, 3, 1, True)),
    *((6, 5, 2, False), (6, 5, 1, True)),
    *((6, 3, 2, False), (6, 3, 1, True), (6, 3, 1, True)),
    *((6, 5, 1, False), (6, 5, 1, True), (6, 5, 1, True)),
    *((6, 5, 2, False), (6, 5, 1, True), (6, 5, 1, True), (6, 5, 1, True)),
    *((6, 3, 1, False),),
]


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import efficientnet_lite0

    return efficientnet_lite0


def random_weights() -> dict[str, torch.Tensor]:
    generator, found = torch.Generator().manual_seed(0), {}

    def conv(name: str, norm: str, outputs: int, inputs: int, kernel: int) -> None:
        found[f"{name}.weight"] = torch.randn(outputs, inputs, kernel, kernel, generator=generator) / kernel
        for part in ("weight", "running_var"):
            found[f"{norm}.{part}"] = torch.rand(outputs, generator=generator) + 0.5
        for part in ("bias", "running_mean"):
            found[f"{norm}.{part}"] = torch.randn(outputs, generator=generator)
        found[f"{norm}.num_batches_tracked"] = torch.tensor(3)

    conv("_conv_stem", "_bn0", 4, 3, 3)
    for number, (expansion, kernel, _, _) in enumerate(BLOCKS):
        name, wide = f"_blocks.{number}", 2 * expansion or 4
        if expansion:
            conv(f"{name}._expand_conv", f"{name}._bn0", wide, 2, 1)
        conv(f"{name}._depthwise_conv", f"{name}._bn1", wide, 1, kernel)
        conv(f"{name}._project_conv", f"{name}._bn2", 2, wide, 1)
    conv("_conv_head", "_bn1", 8, 2, 1)
    found |= {
        "_fc.weight": torch.randn(1000, 8, generator=generator),
        "_fc.bias": torch.randn(1000, generator=generator),
    }
    return found


def same(x: torch.Tensor, weights: dict[str, torch.Tensor], name: str, norm: str, stride: int = 1) -> torch.Tensor:
    """TensorFlow's SAME: as many outputs as steps fit; of an odd number of padded lines the last one is at the end."""
    weight = weights[f"{name}.weight"]
    pads = []
    for size in (x.shape[3], x.shape[2]):
        total = max((-(-size // stride) - 1) * stride + weight.shape[2] - size, 0)
        pads += [total // 2, total - total // 2]
    groups = x.shape[1] // weight.shape[1]
    x = F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)
    parts = (weights[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, *parts, eps=1e-3)


def forward(x: torch.Tensor, w: dict[str, torch.Tensor]) -> torch.Tensor:
    x = F.relu6(same(x, w, "_conv_stem", "_bn0", 2))
    for number, (expansion, _, stride, shortcut) in enumerate(BLOCKS):
        name, before = f"_blocks.{number}", x
        if expansion:
            x = F.relu6(same(x, w, f"{name}._expand_conv", f"{name}._bn0"))
        x = F.relu6(same(x, w, f"{name}._depthwise_conv", f"{name}._bn1", stride))
        x = same(x, w, f"{name}._project_conv", f"{name}._bn2")
        x = x + before if shortcut else x
    return F.linear(F.relu6(same(x, w, "_conv_head", "_bn1")).mean((2, 3)), w["_fc.weight"], w["_fc.bias"])


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    return random_weights()


def saved(weights: dict[str, torch.Tensor]) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(weights, file)
    file.seek(0)
    return file


@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
def test_it_computes_what_torch_does(tool, weights, size):
    session = ort.InferenceSession(tool.convert(saved(weights)).SerializeToString(), providers=["CPUExecutionProvider"])
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    (found,) = session.run(None, {"input": x.numpy()})
    expected = forward(x, weights).numpy()
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_other_weights_are_refused(tool, weights):
    with pytest.raises(tool.ConversionError, match=r"no weight _fc\.weight"):
        tool.convert(saved({name: a for name, a in weights.items() if name != "_fc.weight"}))
    with pytest.raises(tool.ConversionError, match="strange is no weight of EfficientNet-Lite0"):
        tool.convert(saved({**weights, "strange": torch.zeros(1)}))
