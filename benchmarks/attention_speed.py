"""What explaining a transformer costs: the converted model against its own forward pass, and torch's gradient.

    python -m benchmarks.attention_speed [--net vit] [--rounds 15] [--threads 2]

ViT-B/16 and BERT-base in shape, with random weights, one sample; all three run in turns, in one process. Printed are
the ratios of the minimum and of the median, and what ``check`` and ``convert`` take.
"""

from __future__ import annotations

import argparse
import io
import time
import warnings
from collections.abc import Callable

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

import onnx_lrp as lrp

WIDTH, HEADS, LAYERS, CLASSES, WORDS, LENGTH = 768, 12, 12, 1000, 30522, 128


class Encoder(nn.Module):
    """Layers of attention and of two dense layers, the norms before them or behind."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=first, layer_norm_eps=1e-6
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.norm, self.end = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """The logits of the first token."""
        return self.end(self.norm(self.layers(x)[:, 0]))


class Vit(nn.Module):
    """Patches of 16 x 16 pixels, a class token, positions."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.encoder = nn.Conv2d(3, WIDTH, 16, 16), Encoder(first=True)
        self.token, self.places = nn.Parameter(torch.randn(1, 1, WIDTH)), nn.Parameter(torch.randn(1, 197, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of pictures, (N, 3, 224, 224)."""
        return self.behind(self.patches(x).flatten(2).transpose(1, 2))

    def behind(self, x: Tensor) -> Tensor:
        """Logits of patches."""
        return self.encoder(torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.places)


class Bert(nn.Module):
    """Words and positions."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.encoder = nn.Embedding(WORDS, WIDTH), Encoder(first=False)
        self.places = nn.Parameter(torch.randn(1, LENGTH, WIDTH))

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of token ids, (N, 128)."""
        return self.behind(self.words(ids))

    def behind(self, x: Tensor) -> Tensor:
        """Logits of word vectors."""
        return self.encoder(x + self.places)


def exported(net: nn.Module, x: Tensor) -> bytes:
    """The net as ONNX."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.backends.mha.set_fastpath_enabled(False)
        torch.onnx.export(net, (x,), file, input_names=["x"], opset_version=17, dynamo=False)
    return file.getvalue()


def gradient(net: nn.Module, x: Tensor) -> Callable[[], None]:
    """Gradient × input of the largest logit; of token ids, of their vectors."""

    def run() -> None:
        leaf = net.words(x).detach().requires_grad_() if isinstance(net, Bert) else x.detach().requires_grad_()
        logits = net.behind(leaf) if isinstance(net, Bert) else net(leaf)
        (found,) = torch.autograd.grad(logits.amax(), leaf)
        (found * leaf).sum(-1 if isinstance(net, Bert) else 1)

    return run


def measured(name: str, rounds: int, threads: int) -> None:
    """Print one net's row."""
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    net = (Vit() if name == "vit" else Bert()).eval().requires_grad_(False)
    x = torch.randn(1, 3, 224, 224) if name == "vit" else torch.randint(0, WORDS, (1, LENGTH))
    model, options = exported(net, x), ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    began = time.perf_counter()
    lrp.check(model, "attnlrp", profile="attnlrp")
    checked = time.perf_counter()
    converted = lrp.convert(model, "attnlrp", profile="attnlrp", shapes={"x": tuple(x.shape)})
    done = time.perf_counter()
    plain, explaining = (ort.InferenceSession(m, options) for m in (model, converted.SerializeToString()))
    feeds = {"x": x.numpy()}
    runs = {
        "forward": lambda: plain.run(None, feeds),
        "converted": lambda: explaining.run(["relevance"], feeds),
        "torch": gradient(net, x),
    }
    times: dict[str, list[float]] = {key: [] for key in runs}
    for _ in range(rounds):
        for key, run in runs.items():
            start = time.perf_counter()
            run()
            times[key].append(time.perf_counter() - start)
    rows = []
    for other in ("forward", "torch"):
        ratios = (f(times["converted"]) / f(times[other]) for f in (min, np.median))
        rows.append(f"{' / '.join(f'{float(r):.2f}' for r in ratios)} x {other}")
    print(f"{name}: converted {', '.join(rows)} (minimum / median of {rounds}); check {checked - began:.1f} s, "
          f"convert {done - checked:.1f} s", flush=True)  # fmt: skip


def main() -> None:
    """Print all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=("vit", "bert"))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    for name in [args.net] if args.net else ["vit", "bert"]:
        measured(name, args.rounds, args.threads)


if __name__ == "__main__":
    main()
