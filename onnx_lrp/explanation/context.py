"""Where an explanation comes from: the model, the question, the rules, the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..pictures.preprocessing import Preprocessing


def nothing() -> None:
    """What a model without a head makes of its logits."""


@dataclass(frozen=True)
class Context:
    """Where an explanation comes from.

    Attributes:
        model: what the model is called, its path as a rule.
        sha256: of the model, in hexadecimal digits.
        explains: the tensor that is explained.
        composite: its name.
        table: the composite as it prints.
        rules: (node, op, rule) of every node that took one, in the order of execution.
        profile: what is explained beyond ReLU nets.
        seed: what relevance starts with, as words.
        backend: what computed it.
        dtype: in which precision.
        labels: names of the classes, empty if they have none.
        data: the inputs that were explained, by name.
        recipe: gives what it takes to repeat it, for the record (:mod:`onnx_lrp.engines.recipe`).
        preprocessing: how pictures became inputs; None of data that are none, as far as anybody said.
        ask: gives what the model itself makes of the logits, behind the head that was cut off.
    """

    model: str
    sha256: str
    explains: str
    composite: str
    table: str
    rules: tuple[tuple[str, str, str], ...]
    profile: str
    seed: str
    backend: str
    dtype: str
    labels: tuple[str, ...] = ()
    data: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    recipe: Callable[[], Mapping[str, Any]] = field(default=dict, repr=False, compare=False)
    ask: Callable[[], np.ndarray | None] = field(default=nothing, repr=False, compare=False)
    preprocessing: Preprocessing | None = None

    @cached_property
    def own(self) -> np.ndarray | None:
        """The model's own answer behind the explained tensor, found when it is first read; None if there is none."""
        return self.ask()

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """What it takes to repeat the explanation, found when it is first read; empty if nobody knows."""
        return self.recipe()

    def of_samples(self, some: slice, samples: int) -> Context:
        """The same for some of the samples."""

        def part(a: np.ndarray | None) -> np.ndarray | None:
            return a if a is None or a.shape[:1] != (samples,) else a[some]

        def own() -> np.ndarray | None:
            return part(self.own)

        data = {name: part(a) for name, a in self.data.items()}
        return replace(self, data=data, ask=own, recipe=lambda: self.settings)  # type: ignore[arg-type]

    def __getstate__(self) -> dict[str, Any]:
        """The context travels without the explainer, the model's own answer and the settings with it."""
        own = {"": self.own}
        return {**self.__dict__, "ask": partial(own.get, ""), "recipe": partial(dict, self.settings)}
