"""Small networks for series, sound, text, tables, sets and graphs, as papers draw them; ReLUs where they can be."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

RNG = np.random.default_rng(0)


def floats(*shape: int) -> torch.Tensor:
    return torch.from_numpy(RNG.normal(size=shape).astype(np.float32))


def ids(most: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(RNG.integers(0, most, shape))


class Of(nn.Module):
    """A module from parts and a function of them."""

    def __init__(self, forward: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self._own = forward

    def forward(self, *x: torch.Tensor) -> Any:
        return self._own(self, *x)


def mlp(*sizes: int, act: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), act())]
    return nn.Sequential(*layers[:-1])


def block1d(a: int, b: int, k: int = 3, d: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(a, b, k, padding=d * (k // 2), dilation=d), nn.BatchNorm1d(b), nn.ReLU())


class Residual(nn.Module):
    def __init__(self, inner: nn.Module, skip: nn.Module | None = None) -> None:
        super().__init__()
        self.inner, self.skip = inner, skip or nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.inner(x) + self.skip(x))


class Causal(nn.Module):
    def __init__(self, a: int, b: int, d: int) -> None:
        super().__init__()
        self.conv, self.d = nn.Conv1d(a, b, 2, dilation=d), d

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.conv(F.pad(x, (self.d, 0))))


class Gated(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.a, self.b = nn.Conv1d(n, n, 3, padding=1), nn.Conv1d(n, n, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.tanh(self.a(x)) * torch.sigmoid(self.b(x))


class Beats(nn.Module):
    """N-BEATS (Oreshkin et al. 2020), generic blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(mlp(24, 32, 32, 30) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor | float = 0.0
        for block in self.blocks:
            theta = block(x)
            x, total = x - theta[:, :24], total + theta[:, 24:]
        return total  # type: ignore[return-value]


def pool(x: torch.Tensor) -> torch.Tensor:
    return x.mean(-1)


def recurrent(kind: type[nn.RNNBase], **options: Any) -> nn.Module:
    width = 16 * (2 if options.get("bidirectional") else 1)
    return Of(
        lambda s, x: s.out(s.cell(x)[0][:, -1]), cell=kind(6, 16, batch_first=True, **options), out=nn.Linear(width, 3)
    )


def crossed() -> nn.Module:
    """Deep & Cross (Wang et al. 2017): x0 times a scalar of x, which is no linear map."""
    return Of(lambda s, x: s.out(x * s.w(x) + x), w=nn.Linear(8, 1), out=nn.Linear(8, 1))


def recommender() -> nn.Module:
    """DLRM without its dot products: embeddings beside dense features."""

    def forward(s: Any, dense: torch.Tensor, sparse: torch.Tensor) -> torch.Tensor:
        return s.top(torch.cat([s.bottom(dense), s.a(sparse[:, 0]), s.b(sparse[:, 1])], 1))

    return Of(forward, bottom=mlp(4, 8, 6), a=nn.Embedding(10, 6), b=nn.Embedding(20, 6), top=mlp(18, 16, 1))


def offsets() -> nn.Module:
    """Categories of several columns in one table, as FT-Transformer numbers them."""

    def forward(s: Any, x: torch.Tensor) -> torch.Tensor:
        return s.out(s.table(x + torch.tensor([0, 5, 9])).flatten(1))

    return Of(forward, table=nn.Embedding(20, 4), out=mlp(12, 16, 2))


def graph(adjacency_fed: bool) -> nn.Module:
    fixed = torch.from_numpy((RNG.random((6, 6)) < 0.4).astype(np.float32))

    def forward(s: Any, x: torch.Tensor, a: torch.Tensor = fixed) -> torch.Tensor:
        a = a.to(x.dtype)
        h = F.relu(a @ s.first(x))
        return s.out(F.relu(a @ s.second(h)).mean(1))

    return Of(forward, first=nn.Linear(5, 8), second=nn.Linear(8, 8), out=nn.Linear(8, 3))


def spectrogram(kind: str) -> nn.Module:
    def forward(s: Any, x: torch.Tensor) -> torch.Tensor:
        frames = x.unfold(1, 16, 8)
        parts = torch.cat([frames @ s.re.weight.T, frames @ s.im.weight.T], -1)
        if kind == "power":
            parts = parts**2
        return s.out(F.relu(s.conv(parts.transpose(1, 2))).mean(-1))

    width = 18
    return Of(
        forward,
        re=nn.Linear(16, 9, bias=False),
        im=nn.Linear(16, 9, bias=False),
        conv=nn.Conv1d(width, 8, 3),
        out=nn.Linear(8, 2),
    )


def unet1d() -> nn.Module:
    def forward(s: Any, x: torch.Tensor) -> torch.Tensor:
        a = s.down(x)
        b = s.deep(F.max_pool1d(a, 2))
        return s.out(torch.cat([F.interpolate(b, scale_factor=2.0), a], 1))

    return Of(forward, down=block1d(2, 8), deep=block1d(8, 8), out=nn.Conv1d(16, 2, 1))


def siamese() -> nn.Module:
    return Of(lambda s, a, b: s.out(torch.abs(s.net(a) - s.net(b))), net=mlp(8, 16, 6), out=nn.Linear(6, 1))


def transformer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return Of(lambda s, x: s.out(s.body(x).mean(1)), body=nn.TransformerEncoder(layer, 1), out=nn.Linear(8, 2))


def text(kind: str) -> nn.Module:
    def cnn(s: Any, x: torch.Tensor) -> torch.Tensor:
        e = s.table(x).transpose(1, 2)
        return s.out(torch.cat([F.relu(c(e)).amax(-1) for c in (s.a, s.b)], 1))

    def bag(s: Any, x: torch.Tensor) -> torch.Tensor:
        return s.out(s.table(x).mean(1))

    def lstm(s: Any, x: torch.Tensor) -> torch.Tensor:
        return s.out(s.cell(s.table(x))[0][:, -1])

    table = nn.Embedding(30, 8)
    if kind == "cnn":
        return Of(cnn, table=table, a=nn.Conv1d(8, 6, 2), b=nn.Conv1d(8, 6, 3), out=nn.Linear(12, 2))
    if kind == "bag":
        return Of(bag, table=table, out=nn.Linear(8, 2))
    return Of(lstm, table=table, cell=nn.LSTM(8, 8, batch_first=True), out=nn.Linear(8, 2))


def detector() -> nn.Module:
    """YOLO-like: a backbone, a pyramid with upsampling, two heads; with ReLU in place of SiLU."""

    def block(a: int, b: int, stride: int = 1) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(a, b, 3, stride, 1), nn.BatchNorm2d(b), nn.ReLU())

    def forward(s: Any, x: torch.Tensor) -> torch.Tensor:
        a = s.a(x)
        b = s.b(a)
        pools = [b]
        for _ in range(3):
            pools.append(F.max_pool2d(pools[-1], 5, 1, 2))
        top = s.join(torch.cat(pools, 1))
        low = s.low(torch.cat([F.interpolate(top, scale_factor=2.0), a], 1))
        boxes = [head(part).flatten(2) for head, part in ((s.one, low), (s.two, top))]
        return torch.cat(boxes, 2)

    parts = {"a": block(3, 8, 2), "b": block(8, 16, 2), "join": block(64, 16), "low": block(24, 8)}
    return Of(forward, one=nn.Conv2d(8, 7, 1), two=nn.Conv2d(16, 7, 1), **parts)


def flat(module: nn.Module) -> nn.Module:
    return Of(lambda s, x: s.inner(x.flatten(1)), inner=module)


S, A = floats(2, 3, 32), floats(2, 256)
SERIES: dict[str, tuple[Callable[[], nn.Module], tuple[torch.Tensor, ...]]] = {
    "MLP of a series": (lambda: flat(mlp(96, 32, 4)), (S,)),
    "FCN (Wang 2017)": (
        lambda: Of(
            lambda s, x: s.out(pool(s.body(x))),
            body=nn.Sequential(block1d(3, 8, 7), block1d(8, 16, 5), block1d(16, 8)),
            out=nn.Linear(8, 4),
        ),
        (S,),
    ),
    "ResNet 1-D": (
        lambda: Of(
            lambda s, x: s.out(pool(s.body(x))),
            body=Residual(nn.Sequential(block1d(3, 8), nn.Conv1d(8, 8, 3, padding=1)), nn.Conv1d(3, 8, 1)),
            out=nn.Linear(8, 4),
        ),
        (S,),
    ),
    "InceptionTime": (
        lambda: Of(
            lambda s, x: s.out(pool(torch.cat([s.a(x), s.b(x), s.c(F.max_pool1d(x, 3, 1, 1))], 1))),
            a=block1d(3, 4, 9),
            b=block1d(3, 4, 5),
            c=block1d(3, 4, 1),
            out=nn.Linear(12, 4),
        ),
        (S,),
    ),
    "TCN": (
        lambda: Of(
            lambda s, x: s.out(s.body(x)[..., -1]),
            body=nn.Sequential(*(Causal(3 if d == 1 else 8, 8, d) for d in (1, 2, 4))),
            out=nn.Linear(8, 4),
        ),
        (S,),
    ),
    "WaveNet": (
        lambda: Of(
            lambda s, x: s.out(pool(s.gate(s.start(x)))), start=nn.Conv1d(3, 8, 1), gate=Gated(8), out=nn.Linear(8, 2)
        ),
        (S,),
    ),
    "LSTM": (lambda: recurrent(nn.LSTM), (floats(2, 5, 6),)),
    "GRU": (lambda: recurrent(nn.GRU), (floats(2, 5, 6),)),
    "RNN with ReLU": (lambda: recurrent(nn.RNN, nonlinearity="relu"), (floats(2, 5, 6),)),
    "LSTM in both directions": (lambda: recurrent(nn.LSTM, bidirectional=True), (floats(2, 5, 6),)),
    "LSTM of two layers": (lambda: recurrent(nn.LSTM, num_layers=2), (floats(2, 5, 6),)),
    "CNN and LSTM": (
        lambda: Of(
            lambda s, x: s.out(s.cell(s.conv(x).transpose(1, 2))[0][:, -1]),
            conv=block1d(3, 6),
            cell=nn.LSTM(6, 8, batch_first=True),
            out=nn.Linear(8, 2),
        ),
        (floats(2, 3, 8),),
    ),
    "N-BEATS": (Beats, (floats(2, 24),)),
    "DLinear": (
        lambda: Of(
            lambda s, x: s.a(F.avg_pool1d(x, 5, 1, 2)) + s.b(x - F.avg_pool1d(x, 5, 1, 2)),
            a=nn.Linear(32, 8),
            b=nn.Linear(32, 8),
        ),
        (S,),
    ),
    "NLinear": (lambda: Of(lambda s, x: s.a(x - x[..., -1:]) + x[..., -1:], a=nn.Linear(32, 8)), (S,)),
    "TSMixer with BatchNorm": (
        lambda: Of(
            lambda s, x: s.out(s.mix(x) + x),
            mix=nn.Sequential(nn.BatchNorm1d(3), nn.Linear(32, 32), nn.ReLU()),
            out=nn.Linear(32, 8),
        ),
        (S,),
    ),
    "autoencoder 1-D": (
        lambda: nn.Sequential(nn.Conv1d(3, 8, 4, 2, 1), nn.ReLU(), nn.ConvTranspose1d(8, 3, 4, 2, 1)),
        (S,),
    ),
    "U-Net 1-D": (unet1d, (floats(2, 2, 32),)),
    "M5 (sound)": (
        lambda: Of(
            lambda s, x: s.out(pool(s.body(x[:, None]))),
            body=nn.Sequential(nn.Conv1d(1, 8, 16, 4), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(4), block1d(8, 16)),
            out=nn.Linear(16, 3),
        ),
        (A,),
    ),
    "spectrum, real and imaginary": (lambda: spectrogram("parts"), (A,)),
    "spectrum, power": (lambda: spectrogram("power"), (A,)),
    "STFT": (
        lambda: Of(
            lambda s, x: s.out(
                torch.view_as_real(torch.stft(x, 16, 8, window=torch.hann_window(16), return_complex=True)).mean((2, 3))
            ),
            out=nn.Linear(9, 2),
        ),
        (A,),
    ),
    "Conv-TasNet's mask": (
        lambda: Of(
            lambda s, x: s.back(F.relu(s.enc(x[:, None])) * torch.sigmoid(s.mask(F.relu(s.enc(x[:, None]))))),
            enc=nn.Conv1d(1, 8, 16, 8),
            mask=nn.Conv1d(8, 8, 1),
            back=nn.ConvTranspose1d(8, 1, 16, 8),
        ),
        (A,),
    ),
    "YOLO-like detector": (detector, (floats(1, 3, 32, 32),)),
    "running sums": (lambda: Of(lambda s, x: s.out(torch.cumsum(x, -1)), out=nn.Linear(32, 4)), (S,)),
    "median of the largest": (lambda: Of(lambda s, x: s.out(torch.topk(x, 4, -1).values), out=nn.Linear(4, 2)), (S,)),
    "MLP of a table": (lambda: mlp(8, 32, 16, 2), (floats(4, 8),)),
    "MLP with BatchNorm": (
        lambda: nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2)),
        (floats(4, 8),),
    ),
    "ResNet of a table": (
        lambda: nn.Sequential(nn.Linear(8, 16), Residual(mlp(16, 32, 16)), nn.Linear(16, 2)),
        (floats(4, 8),),
    ),
    "self-normalising MLP": (lambda: mlp(8, 16, 2, act=nn.SELU), (floats(4, 8),)),
    "Maxout": (
        lambda: Of(
            lambda s, x: s.out(torch.maximum(s.a(x), s.b(x))), a=nn.Linear(8, 6), b=nn.Linear(8, 6), out=nn.Linear(6, 2)
        ),
        (floats(4, 8),),
    ),
    "wide and deep": (
        lambda: Of(lambda s, x: s.wide(x) + s.deep(x), wide=nn.Linear(8, 1), deep=mlp(8, 16, 1)),
        (floats(4, 8),),
    ),
    "deep and cross": (crossed, (floats(4, 8),)),
    "DLRM's embeddings": (recommender, (floats(4, 4), ids(10, 4, 2))),
    "categories with offsets": (offsets, (ids(5, 4, 3),)),
    "gated linear unit": (
        lambda: Of(lambda s, x: s.out(F.glu(s.a(x))), a=nn.Linear(8, 12), out=nn.Linear(6, 2)),
        (floats(4, 8),),
    ),
    "text CNN": (lambda: text("cnn"), (ids(30, 3, 7),)),
    "bag of words": (lambda: text("bag"), (ids(30, 3, 7),)),
    "text LSTM": (lambda: text("lstm"), (ids(30, 3, 5),)),
    "transformer": (transformer, (floats(2, 5, 8),)),
    "siamese distance": (siamese, (floats(3, 8), floats(3, 8))),
    "deep sets": (
        lambda: Of(lambda s, x: s.rho(s.phi(x).sum(1)), phi=mlp(3, 16, 8), rho=mlp(8, 8, 2)),
        (floats(2, 6, 3),),
    ),
    "PointNet": (
        lambda: Of(lambda s, x: s.rho(s.phi(x).amax(1)), phi=mlp(3, 16, 8), rho=mlp(8, 8, 2)),
        (floats(2, 6, 3),),
    ),
    "graph network, fixed graph": (lambda: graph(False), (floats(2, 6, 5),)),
    "graph network, graph is fed": (lambda: graph(True), (floats(2, 6, 5), floats(2, 6, 6).abs())),
}
