"""Networks with gates, norms and attention, and their relevance by autograd alone: gradient × input of a copy in which
what a profile holds is detached (Arras et al. 2025 show that this is AttnLRP for ε → 0).

Every net computes through :class:`Rules`. With none in force it is the plain net, which is exported; with a profile's,
its gradients are multipliers of relevance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

Unary = Callable[[Tensor], Tensor]


class Rules:
    """What a profile does to gradients; ``profile`` is None for the plain net."""

    profile: str | None = None

    def hold(self, x: Tensor) -> Tensor:
        """A constant."""
        return x if self.profile is None else x.detach()

    def half(self, z: Tensor) -> Tensor:
        """A product, half of whose relevance goes to either side."""
        return z if self.profile is None else 0.5 * z + 0.5 * z.detach()

    def bent(self, function: Unary, x: Tensor) -> Tensor:
        """An activation that relevance passes: y = x · (y / x), the quotient held."""
        if self.profile is None:
            return function(x)
        y = function(x).detach()
        return x * torch.where(x == 0, 0.0, y / torch.where(x == 0, 1.0, x)).detach()

    def seen(self, scores: Tensor, values: Tensor) -> Tensor:
        """softmax(scores) values."""
        weights = scores.softmax(-1)
        return self.hold(weights) @ values if self.profile == "cplrp" else self.half(weights @ values)


RULES = Rules()


class Norm(nn.Module):
    """(x - mean) / deviation · gain + shift over the last axis, or without mean and shift; as an op or in pieces."""

    def __init__(self, width: int, op: bool = True, centred: bool = True) -> None:
        super().__init__()
        self.gain = nn.Parameter(1 + 0.3 * torch.randn(width))
        self.shift = nn.Parameter(0.2 * torch.randn(width))
        self.op, self.centred = op, centred

    def forward(self, x: Tensor) -> Tensor:
        if RULES.profile is None and self.op and self.centred:
            return functional.layer_norm(x, self.gain.shape, self.gain, self.shift)
        if RULES.profile is None and self.op:
            return functional.rms_norm(x, self.gain.shape, self.gain, 1e-5)
        d = x - x.mean(-1, keepdim=True) if self.centred else x
        normed = d * RULES.hold(torch.rsqrt(d.pow(2).mean(-1, keepdim=True) + 1e-5)) * self.gain
        return normed + self.shift if self.centred else normed


class Attention(nn.Module):
    """Several heads; maybe rotary positions, fewer heads of keys, and a mask of -inf above the diagonal."""

    def __init__(self, width: int, heads: int = 2, shared: int = 0, causal: int = 0, op: bool = False) -> None:
        super().__init__()
        self.heads, self.shared, self.op, self.size = heads, shared or heads, op, width // heads
        self.q, self.o = nn.Linear(width, width), nn.Linear(width, width)
        self.k, self.v = (nn.Linear(width, self.shared * self.size) for _ in range(2))
        self.causal = causal
        self.register_buffer("mask", torch.full((causal, causal), float("-inf")).triu(1))
        angles = torch.outer(torch.arange(causal).float(), 1 / 50 ** (torch.arange(0, self.size, 2) / self.size))
        self.register_buffer("cos", torch.cat([angles.cos()] * 2, -1))
        self.register_buffer("sin", torch.cat([angles.sin()] * 2, -1))

    def turned(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, -1)
        return x * self.cos + torch.cat([-b, a], -1) * self.sin

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        n, length, width = x.shape
        q, k, v = (f(x).view(n, length, -1, self.size).transpose(1, 2) for f in (self.q, self.k, self.v))
        if self.causal:
            q, k, bias = self.turned(q), self.turned(k), self.mask
        k, v = (t.repeat_interleave(self.heads // self.shared, 1) for t in (k, v))
        if RULES.profile is None and self.op:
            seen = functional.scaled_dot_product_attention(q, k, v, bias)
        else:
            scores = RULES.half(q @ k.transpose(-1, -2)) / math.sqrt(self.size)
            seen = RULES.seen(scores if bias is None else scores + bias, v)
        return self.o(seen.transpose(1, 2).reshape(n, length, width))


class Mlp(nn.Module):
    def __init__(self, width: int, activation: Unary = functional.gelu) -> None:
        super().__init__()
        self.inner, self.outer, self.activation = nn.Linear(width, 2 * width), nn.Linear(2 * width, width), activation

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(RULES.bent(self.activation, self.inner(x)))


class Bert(nn.Module):
    """Norms behind the sums, positions that are learned, a first token that is read."""

    def __init__(self, op: bool = True, width: int = 16, length: int = 6) -> None:
        super().__init__()
        self.places = nn.Parameter(0.5 * torch.randn(length, width))
        self.seeing = nn.ModuleList(Attention(width, op=op) for _ in range(2))
        self.mixing = nn.ModuleList(Mlp(width) for _ in range(2))
        self.norms = nn.ModuleList(Norm(width, op) for _ in range(4))
        self.end = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.places
        for i, (see, mix) in enumerate(zip(self.seeing, self.mixing)):
            x = self.norms[2 * i](x + see(x))
            x = self.norms[2 * i + 1](x + mix(x))
        return self.end(x[:, 0])


class Gpt(nn.Module):
    """Token ids, RMSNorm, rotary positions, grouped queries, SwiGLU, and a mask of -inf."""

    def __init__(self, op: bool = False, width: int = 16, length: int = 6, words: int = 11) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.seeing = nn.ModuleList(Attention(width, 4, 2, length, op) for _ in range(2))
        self.norms = nn.ModuleList(Norm(width, op, centred=False) for _ in range(5))
        self.gates, self.ups = (nn.ModuleList(nn.Linear(width, 24, bias=False) for _ in range(2)) for _ in range(2))
        self.downs = nn.ModuleList(nn.Linear(24, width, bias=False) for _ in range(2))
        self.end = nn.Linear(width, words, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.behind(self.words(ids))

    def behind(self, x: Tensor) -> Tensor:
        for i, see in enumerate(self.seeing):
            x = x + see(self.norms[2 * i](x))
            y = self.norms[2 * i + 1](x)
            x = x + self.downs[i](RULES.half(RULES.bent(functional.silu, self.gates[i](y)) * self.ups[i](y)))
        return self.end(self.norms[4](x))[:, -1]


class Vit(nn.Module):
    """Patches, a class token, norms before the layers."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token, self.places = nn.Parameter(torch.randn(1, 1, width)), nn.Parameter(0.5 * torch.randn(1, 5, width))
        self.see, self.mix, self.end = Attention(width, op=True), Mlp(width), nn.Linear(width, 5)
        self.norms = nn.ModuleList(Norm(width) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        x = x + self.see(self.norms[0](x))
        x = x + self.mix(self.norms[1](x))
        return self.end(self.norms[2](x)[:, 0])


class Swin(nn.Module):
    """Windows that are shifted, with biases by relative position."""

    def __init__(self, width: int = 8, window: int = 2) -> None:
        super().__init__()
        self.window, self.patches = window, nn.Conv2d(3, width, 2, 2)
        self.see, self.mix, self.end = Attention(width), Mlp(width), nn.Linear(width, 5)
        self.bias = nn.Parameter(torch.randn(2, window**2, window**2))
        self.norms = nn.ModuleList(Norm(width) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).permute(0, 2, 3, 1)
        n, h, w, c = x.shape
        s = self.window
        y = torch.roll(self.norms[0](x), (-1, -1), (1, 2)).view(n, h // s, s, w // s, s, c)
        y = self.see(y.permute(0, 1, 3, 2, 4, 5).reshape(-1, s * s, c), self.bias)
        y = y.view(n, h // s, w // s, s, s, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        x = x + torch.roll(y, (1, 1), (1, 2))
        x = x + self.mix(self.norms[1](x))
        return self.end(self.norms[2](x).mean((1, 2)))


class MbConv(nn.Module):
    """EfficientNet's block, or MobileNetV3's: an inverted bottleneck with squeeze and excitation."""

    def __init__(self, hard: bool = False, width: int = 6) -> None:
        super().__init__()
        self.activation, self.gate = (
            (functional.hardswish, functional.hardsigmoid) if hard else (functional.silu, torch.sigmoid)
        )
        self.stem, self.widen = nn.Conv2d(3, width, 3, 2, 1), nn.Conv2d(width, 12, 1)
        self.depthwise, self.squeeze = nn.Conv2d(12, 12, 3, 1, 1, groups=12), nn.Conv2d(12, 3, 1)
        self.excite, self.narrow, self.end = nn.Conv2d(3, 12, 1), nn.Conv2d(12, width, 1), nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = RULES.bent(self.activation, self.stem(x))
        y = RULES.bent(self.activation, self.depthwise(RULES.bent(self.activation, self.widen(x))))
        gate = self.excite(RULES.bent(self.activation, self.squeeze(y.mean((2, 3), keepdim=True))))
        return self.end((x + self.narrow(y * RULES.hold(self.gate(gate)))).mean((2, 3)))


class ConvNext(nn.Module):
    """Norms over channels that are last, and a gain per layer."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem, self.depthwise = nn.Conv2d(3, width, 2, 2), nn.Conv2d(width, width, 3, 1, 1, groups=width)
        self.norms = nn.ModuleList(Norm(width) for _ in range(2))
        self.mix, self.gain, self.end = Mlp(width), nn.Parameter(torch.rand(width)), nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.mix(self.norms[0](self.depthwise(x).permute(0, 2, 3, 1))) * self.gain
        return self.end(self.norms[1]((x + y.permute(0, 3, 1, 2)).mean((2, 3))))


class Groups(nn.Module):
    """GroupNorm, InstanceNorm, and a gated linear unit."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.groups, self.single = nn.GroupNorm(2, 8), nn.InstanceNorm2d(8, affine=True)
        self.glu, self.end = nn.Linear(8, 8), nn.Linear(4, 5)
        for norm in (self.groups, self.single):
            nn.init.normal_(norm.weight, 1, 0.3)
            nn.init.normal_(norm.bias, 0, 0.3)

    def normed(self, norm: nn.Module, x: Tensor, groups: int) -> Tensor:
        if RULES.profile is None:
            return norm(x)
        z = x.reshape(x.shape[0], groups, -1)
        d = z - z.mean(-1, keepdim=True)
        z = (d * RULES.hold(torch.rsqrt(d.pow(2).mean(-1, keepdim=True) + 1e-5))).reshape(x.shape)
        return z * norm.weight[:, None, None] + norm.bias[:, None, None]

    def forward(self, x: Tensor) -> Tensor:
        x = RULES.bent(functional.gelu, self.normed(self.groups, self.first(x), 2))
        x = RULES.bent(functional.silu, self.normed(self.single, self.second(x), 8))
        a, b = self.glu(x.mean((2, 3))).chunk(2, -1)
        return self.end(a * RULES.hold(torch.sigmoid(b)))


class Mamba(nn.Module):
    """The gate of a state space block: a signal times a SiLU, of which each gets half (Jafari et al. 2024)."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.norm, self.inner = Norm(width, op=False, centred=False), nn.Linear(width, 4 * width, bias=False)
        self.along, self.outer = nn.Conv1d(2 * width, 2 * width, 3, 1, 2, groups=2 * width), nn.Linear(2 * width, width)
        self.end = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        u, z = self.inner(self.norm(x)).chunk(2, -1)
        u = RULES.bent(functional.silu, self.along(u.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2))
        x = x + self.outer(RULES.half(u * RULES.bent(functional.silu, z)))
        return self.end(x.mean(1))


# What each of torch's exporters can write of an attention, or an RMSNorm, that is one op
OLDEST = {"bert": ("jit 17", "dynamo 18", "dynamo 23"), "vit": ("jit 17", "dynamo 18", "dynamo 23"),
          "gpt": ("dynamo 18", "dynamo 23")}  # fmt: skip
EXPORTS = ("jit 13", "jit 17", "dynamo 18", "dynamo 23")
PICTURE, TOKENS = (2, 3, 8, 8), (2, 6, 16)
NETS: dict[str, tuple[Callable[[], nn.Module], Sequence[int]]] = {
    "bert": (Bert, TOKENS),
    "bert in pieces": (lambda: Bert(op=False), TOKENS),
    "gpt": (lambda: Gpt(op=True), ()),
    "gpt in pieces": (Gpt, ()),
    "vit": (Vit, PICTURE),
    "swin": (Swin, PICTURE),
    "mbconv": (MbConv, PICTURE),
    "mobilenet v3": (lambda: MbConv(hard=True), PICTURE),
    "convnext": (ConvNext, PICTURE),
    "groups": (Groups, PICTURE),
    "mamba": (Mamba, (2, 6, 8)),
}


def made(name: str, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """A net with seeded weights, and two samples."""
    torch.manual_seed(seed)
    make, shape = NETS[name]
    net = make().eval()
    return net, torch.randn(*shape) if shape else torch.randint(0, 11, (2, 6))


def relevance(net: nn.Module, x: Tensor, profile: str) -> tuple[np.ndarray, Any]:
    """Relevance of the largest output of each sample, in float64, and which that is."""
    net = net.double()
    embedded = isinstance(net, Gpt)
    leaf = (net.words(x) if embedded else x.double()).detach().requires_grad_()
    RULES.profile = profile
    try:
        answer = net.behind(leaf) if embedded else net(leaf)
    finally:
        RULES.profile = None
    chosen = answer.argmax(1)
    answer.gather(1, chosen[:, None]).sum().backward()
    assert leaf.grad is not None
    r = leaf.grad * leaf.detach()
    net.float()
    return (r.sum(-1) if embedded else r).numpy(), chosen.tolist()
