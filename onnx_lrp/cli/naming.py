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
        figures: a .png holds all maps of a sample; else each has its own.
        composites: names of several composites, if it is they that a figure holds.
    """

    heatmap: str | None
    relevance: str | None
    composite: str
    batches: int
    samples: int
    inputs: tuple[str, ...]
    top: int
    figures: bool = False
    composites: tuple[str, ...] = ()

    @property
    def together(self) -> bool:
        """Whether all maps of a sample go to one file."""
        return self.figures and not (self.heatmap or "").lower().endswith(".html")

    def picture(self, sample: Sample, name: str, target: int | None) -> Path:
        """The picture of one input of one sample; ``target`` is its class, read only where each has a file."""
        rules = "composites" if self.composites else self.composite
        path = Path(self.heatmap or f"{sample.stem}_{rules}.png")
        parts = [sample.stem] if self.heatmap and self.samples > 1 else []
        parts += [self._input(name)] if len(self.inputs) > 1 else []
        if self.top > 1:
            parts.append(str(target) if not self.together else "" if self.heatmap else f"top{self.top}")
        return _extended(path, list(filter(None, parts)))

    def numbers(self, batch: Batch, rank: int) -> Path:
        """The .npz of one batch."""
        assert self.relevance is not None
        parts = [batch.samples[0].stem] if self.batches > 1 else []
        parts += [f"top{rank + 1}"] if self.top > 1 else []
        parts += [f"{rank}-{self.composites[rank]}"] if self.composites else []
        return _extended(Path(self.relevance), parts)

    def _input(self, name: str) -> str:
        """A model's name for its input is somebody else's text: what is left of it, and its place, is unique."""
        return f"{self.inputs.index(name)}{re.sub(r'[^A-Za-z0-9]+', '-', name)[:32]}"


def _extended(path: Path, parts: list[str]) -> Path:
    return path.with_name("_".join([path.stem, *parts]) + path.suffix)
