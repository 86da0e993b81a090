"""What the written files are called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .feeding import Batch, Sample


@dataclass(frozen=True)
class OutputPaths:
    """File names, which tell apart what a run has several of.

    Attributes:
        heatmap: --heatmap; None for INPUT_COMPOSITE.png in the current folder.
        relevance: --save-relevance; None for no file.
        composite: its name.
        batches: how many explanations there are.
        samples: how many samples there are in all.
        inputs: the model's inputs.
        top: how many classes are explained of each sample.
    """

    heatmap: str | None
    relevance: str | None
    composite: str
    batches: int
    samples: int
    inputs: tuple[str, ...]
    top: int

    def picture(self, sample: Sample, name: str, target: int | None) -> Path:
        """The heatmap of one input of one sample; ``target`` is its class, read only where there are several."""
        path = Path(self.heatmap or f"{sample.stem}_{self.composite}.png")
        parts = [sample.stem] if self.heatmap and self.samples > 1 else []
        parts += [self._input(name)] if len(self.inputs) > 1 else []
        parts += [str(target)] if self.top > 1 else []
        return _extended(path, parts)

    def numbers(self, batch: Batch, rank: int) -> Path:
        """The .npz of one batch."""
        assert self.relevance is not None
        parts = [batch.samples[0].stem] if self.batches > 1 else []
        parts += [f"top{rank + 1}"] if self.top > 1 else []
        return _extended(Path(self.relevance), parts)

    def _input(self, name: str) -> str:
        """A model's name for its input is somebody else's text: what is left of it, and its place, is unique."""
        return f"{self.inputs.index(name)}{re.sub(r'[^A-Za-z0-9]+', '-', name)[:32]}"


def _extended(path: Path, parts: list[str]) -> Path:
    return path.with_name("_".join([path.stem, *parts]) + path.suffix)
