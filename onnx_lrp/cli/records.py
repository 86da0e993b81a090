"""``onnx-lrp explain --json``: the same as is printed, for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..explainer import Explainer
from ..explanation import Explanation
from ..targets import Contrast, Seed
from ..writing import shown
from .feeding import Batch

if TYPE_CHECKING:
    from .results import Labels


def record(
    explainer: Explainer, seed: Seed, labels: Labels, batches: Sequence[Batch],
    found: Sequence[Sequence[Explanation]], about: Sequence[str], warnings: Sequence[str], files: Sequence[Path],
) -> str:  # fmt: skip
    """One object: what was explained and how, the samples with their targets and sums, warnings, files."""
    prepared, engine = explainer.prepared, explainer.engine
    samples = [one for batch, ranks in zip(batches, found) for one in _samples(batch, ranks, labels)]
    content = {
        "model": prepared.source,
        "explains": prepared.output,
        "composite": str(explainer.composite),
        "profile": str(prepared.profile),
        "seed": seed.word if isinstance(seed, Contrast) else seed if isinstance(seed, str) else "array",
        "backend": engine.name,
        "dtype": engine.dtype.name,
        "samples": samples,
        "warnings": list(warnings),
        "notes": list(about),
        "files": [shown(path) for path in files],
    }
    return json.dumps(content, indent=2)


def _samples(batch: Batch, ranks: Sequence[Explanation], labels: Labels) -> Iterator[dict[str, Any]]:
    for i, sample in enumerate(batch.counted(len(ranks[0].target))):
        scores = ranks[0].output[i].reshape(-1)
        rules = [e.context.composite if e.context else "" for e in ranks]
        several = len({*rules}) > 1
        explained = [
            {
                **({"composite": rule} if several else {}),
                **_element(e.output[i], int(e.target[i]), labels),
                **_sums(e, i),
            }
            for e, rule in zip(ranks, rules)
        ]
        yield {
            "input": sample.title,
            "prediction": {**_element(scores, int(scores.argmax()), labels), **_probability(ranks[0], i)},
            "explained": explained,
        }


def _element(scores: np.ndarray, element: int, labels: Labels) -> dict[str, Any]:
    label = {"label": labels.names[element]} if labels.names else {}
    return {"index": element, **label, "value": float(scores.reshape(-1)[element])}


def _probability(explanation: Explanation, sample: int) -> dict[str, float]:
    """That of the prediction, if there is one."""
    shares = explanation.probabilities
    return {} if shares is None else {"probability": float(shares[sample].max())}


def _sums(explanation: Explanation, i: int) -> dict[str, float]:
    """The account: of the sample, or of the batch where inputs have no sample axis."""
    total = explanation.conservation
    place = i if len(total.inputs) == len(total.target) else 0
    found = {"target": total.target[place], "inputs": total.inputs[place], "absorbed": total.absorbed[place]}
    return {f"sum_{name}": float(number) for name, number in found.items()}
