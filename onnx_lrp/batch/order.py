"""What is wanted of every input of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..targets import AnyTarget, Seed

SAVED = ("maps", "png", "figure", "scores", "topk")
PRECISIONS = ("float16", "float32", "int8")


@dataclass(frozen=True)
class Order:
    """What is wanted of every input; all of it decides what is stored, bit for bit.

    Attributes:
        target: what is explained where an input has no target of its own, as for a call of the Explainer.
        seed: what relevance starts with: a word or a :class:`onnx_lrp.targets.Contrast`.
        save: what is kept beside the index, some of ``SAVED``.
        precision: of the maps, one of ``PRECISIONS``.
        whole: keep the channels of pictures apart in the maps; else they are summed.
        top: how many classes ``topk`` keeps.
        batch: how many samples the model is given at once: always so many, the last ones of a block filled up.
        block: how many inputs are stored together.
        shapes: of a sample's maps, by the name of the model's input.
        output: the shape of a sample's scores.
    """

    target: AnyTarget | str = None
    seed: Seed = "logit"
    save: frozenset[str] = frozenset(("maps",))
    precision: str = "float16"
    whole: bool = False
    top: int = 5
    batch: int = 1
    block: int = 16
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    output: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "target": None if self.target is None else str(self.target), "seed": str(self.seed),
            "save": sorted(self.save), "precision": self.precision, "whole": self.whole, "top": self.top,
            "batch": self.batch, "block": self.block, "output": list(self.output),
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
        }  # fmt: skip


def sizes_in(written: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes of an order that was written as JSON.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: there are none.
    """
    shapes = {str(name): tuple(map(int, shape)) for name, shape in written["shapes"].items()}
    output = tuple(map(int, written["output"]))
    return {"batch": int(written["batch"]), "block": int(written["block"]), "shapes": shapes, "output": output}
