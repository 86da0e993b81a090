"""Random nets of gates, norms and attention: all backends give what autograd gives of the detached net.

Also what must hold of tokens whatever the net: an order of tokens is an order of relevance, padding changes nothing.
"""

from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tests/, for held

import held
from held import RULES, Attention, Mlp, Norm

from onnx_lrp import Explainer
from onnx_lrp.ops import Held

NETS, WIDTH, LENGTH = 40, 8, 5


class Gated(nn.Module):
    """A signal times a gate that is made of another layer: the gate is held."""

    def __init__(self) -> None:
        super().__init__()
        self.signal, self.gate = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.signal(x) * RULES.hold(torch.sigmoid(self.gate(x)))


class Excited(nn.Module):
    """Channels scaled by what the mean over tokens says."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Linear(WIDTH, 2), nn.Linear(2, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        inner = RULES.bent(torch.relu, self.squeeze(x.mean(1, keepdim=True)))
        return x * RULES.hold(functional.hardsigmoid(self.excite(inner)))


class Multiplied(nn.Module):
    """Two layers, of which each gets half."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return RULES.half(self.a(x) * self.b(x))


class Unit(nn.Module):
    """x / ‖x‖."""

    def forward(self, x: Tensor) -> Tensor:
        return x / RULES.hold(x.norm(dim=-1, keepdim=True) + 0.1)


class Squared(nn.Module):
    """relu(x)²."""

    def forward(self, x: Tensor) -> Tensor:
        return RULES.bent(lambda y: torch.relu(y) ** 2, x)


class Masked(nn.Module):
    """Attention that sees nothing behind."""

    def __init__(self) -> None:
        super().__init__()
        self.see = Attention(WIDTH)
        self.register_buffer("mask", torch.full((LENGTH, LENGTH), float("-inf")).triu(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.see(x, self.mask)


class Random(nn.Module):
    """Blocks, some of them beside a residual connection, and a layer at the end."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__()
        self.first = nn.Linear(3, WIDTH)
        kinds = [
            lambda: Norm(WIDTH), lambda: Norm(WIDTH, op=False), lambda: Norm(WIDTH, op=False, centred=False), Gated,
            Excited, Multiplied, Unit, Squared, Masked, lambda: Attention(WIDTH), lambda: Attention(WIDTH, 4, 2),
            lambda: Mlp(WIDTH), lambda: Mlp(WIDTH, functional.silu), lambda: Mlp(WIDTH, functional.hardswish),
            lambda: Mlp(WIDTH, functional.mish), lambda: Mlp(WIDTH, torch.tanh),
        ]  # fmt: skip
        self.blocks = nn.ModuleList(kinds[i]() for i in rng.integers(0, len(kinds), rng.integers(2, 7)))
        self.beside = rng.random(len(self.blocks)) < 0.5
        self.norm, self.end = Norm(WIDTH), nn.Linear(WIDTH, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block, beside in zip(self.blocks, self.beside):
            x = x + block(x) if beside else block(x)
        return self.end(self.norm(x)[:, -1])


def exported(net: nn.Module, x: Tensor, dynamic: bool = False) -> bytes:
    file = io.BytesIO()
    axes = {"x": {0: "n", 1: "l"}} if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's deprecation
        torch.onnx.export(
            net, (x,), file, input_names=["x"], opset_version=18, dynamo=False, dynamic_axes=axes
        )  # fmt: skip
    return file.getvalue()


def distance(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize("seed", range(NETS))
def test_backends_give_what_autograd_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    net, x = Random(rng).eval(), torch.randn(2, LENGTH, 3)
    profile = ("attnlrp", "cplrp")[seed % 2]
    wanted, chosen = held.relevance(net, x, profile)
    model = exported(net, x)
    for backend, dtype, bound in (("numpy", "float64", 2e-7), ("torch", "float64", 2e-7), ("onnx", "float32", 2e-3)):
        tiny = "attnlrp:epsilon=1e-13" if dtype == "float64" else "attnlrp:epsilon=1e-10"
        explainer = Explainer(model, tiny, backend=backend, dtype=dtype, profile=profile)
        explanation = explainer(x.numpy(), chosen, ledger=True)
        assert distance(explanation.relevance, wanted) <= bound, backend
        lost = sum(entry.absorbed for entry in explanation.ledger) - explanation.conservation.absorbed.sum()
        scale = sum(abs(entry.absorbed) for entry in explanation.ledger) + np.abs(explanation.conservation.target).sum()
        assert abs(lost) <= (1e-9 if dtype == "float64" else 1e-4) * scale
        assert not {s.name for s in explainer.plan.reached() if isinstance(s.role, Held)}


def test_an_order_of_tokens_is_an_order_of_relevance() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(Attention(WIDTH), Norm(WIDTH), Mlp(WIDTH))
    net = nn.Sequential(layers, Mean(), nn.Linear(WIDTH, 3)).eval()
    x = torch.randn(1, LENGTH, WIDTH)
    order = [3, 0, 4, 1, 2]
    explainer = Explainer(exported(net, x), "attnlrp", backend="numpy", profile="attnlrp")
    one, other = explainer(x.numpy(), 0).relevance, explainer(x[:, order].numpy(), 0).relevance
    np.testing.assert_allclose(other, one[:, order], rtol=1e-9, atol=1e-12)


class Mean(nn.Module):
    """Over the tokens."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


class Padded(nn.Module):
    """Token ids with a mask, as a sentence encoder has it."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.see, self.norm = nn.Embedding(9, WIDTH), Attention(WIDTH), Norm(WIDTH)
        self.end = nn.Linear(WIDTH, 3)

    def forward(self, ids: Tensor, attention_mask: Tensor) -> Tensor:
        bias = (1.0 - attention_mask.float())[:, None, None, :] * torch.finfo(torch.float32).min
        x = self.norm(self.words(ids) + self.see(self.words(ids), bias))
        kept = attention_mask.float()[..., None]
        return self.end((x * kept).sum(1) / kept.sum(1))


@pytest.mark.parametrize("setting", [("numpy", "float64"), ("torch", "float32"), ("onnx", "float32")])
def test_padding_changes_nothing(setting: tuple[str, str]) -> None:
    torch.manual_seed(0)
    net, file = Padded().eval(), io.BytesIO()
    ids, mask = torch.tensor([[1, 5, 2, 0, 0], [3, 4, 8, 6, 7]]), torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, (ids, mask), file, input_names=["ids", "attention_mask"], opset_version=17, dynamo=False,
            dynamic_axes={"ids": {0: "n", 1: "l"}, "attention_mask": {0: "n", 1: "l"}},
        )  # fmt: skip
    backend, dtype = setting
    explainer = Explainer(file.getvalue(), "attnlrp", backend=backend, dtype=dtype, profile="attnlrp")
    padded = explainer({"ids": ids.numpy(), "attention_mask": mask.numpy()}, 1).inputs
    short = explainer({"ids": ids[:1, :3].numpy(), "attention_mask": mask[:1, :3].numpy()}, 1).inputs
    assert not padded["attention_mask"].any()
    assert not padded["ids"][0, 3:].any()
    bound = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(padded["ids"][:1, :3], short["ids"], rtol=bound, atol=bound * np.abs(short["ids"]).max())
