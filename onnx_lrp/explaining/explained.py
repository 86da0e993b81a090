"""A model that is explained: what is known of it, how it is pickled, and what there is to doubt."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from ..composites import Composite
from ..engines.base import Engine
from ..engines.building import Setup
from ..engines.recipe import recipe
from ..errors import InputError
from ..model.loading import pack
from ..model.prepared import Prepared
from ..model.runtime import SessionOptions
from ..pictures.intake import Way
from ..propagation.plan import Plan
from ..targets import AnyTarget, Seed
from ..text import printable
from .batches import region_words
from .builds import Builds
from .doubting import about_picture
from .known import labels_of, way_of

M = TypeVar("M", bound="ExplainedModel")


class ExplainedModel:
    """A model that is explained: the part of an Explainer that is no question."""

    _builds: Builds

    @property
    def _setup(self) -> Setup:
        return self._builds.setup

    @property
    def composite(self) -> Composite:
        """Which rule goes where."""
        return self._setup.composite

    @property
    def options(self) -> SessionOptions:
        """How onnxruntime runs."""
        return self._setup.options

    @property
    def prepared(self) -> Prepared:
        """The canonized model."""
        return self._builds.built.prepared

    @property
    def plan(self) -> Plan:
        """Steps, rules and facts."""
        return self._builds.built.plan

    @property
    def engine(self) -> Engine:
        """What computes."""
        return self._builds.built.engine

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes: those that were given, else the model's own if their number fits; or none."""
        return labels_of(self._builds)

    @property
    def way(self) -> Way:
        """How pictures become inputs, and who said so."""
        return way_of(self._builds)

    def settings(self, seed: Seed = "logit", target: AnyTarget = None) -> dict[str, Any]:
        """Everything that decides an explanation but for the data, for JSON; see :mod:`onnx_lrp.engines.recipe`."""
        return dict(recipe(self._setup, self._builds.built, seed, region_words([target])))

    def __repr__(self) -> str:
        """Model, output and rules."""
        if not self._builds.known:
            return f"Explainer of a model whose sizes come with the data, by {self.composite.name}"
        counts = Counter(str(step.rule) for step in self.plan.steps if step.rule is not None)
        rules = ", ".join(f"{rule} on {n}" for rule, n in counts.most_common())
        return f"{self.prepared.source}: explains {printable(self.prepared.output)!r} by {self.composite.name}: {rules}"

    def __getstate__(self) -> dict[str, Any]:
        """What it was made of, the model as one message: sessions are made anew where it arrives."""
        setup = replace(self._setup, model=pack(self._setup.model))
        return {"setup": setup, "choices": self._builds.choices, "unverified": self._builds.unverified,
                "expected": self._builds.expected}  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._builds = Builds(state["setup"], state["choices"], state["unverified"], state.get("expected"))

    def with_threads(self: M, threads: int) -> M:
        """Another one of the same model, but for onnxruntime's threads; nothing is shared with this one.

        Args:
            threads: of each run, 0 for onnxruntime's default.
        """
        own, other = self._builds, object.__new__(type(self))
        setup = replace(self._setup, options=replace(self.options, threads=threads))
        other._builds = Builds(setup, own.choices, own.unverified, own.expected)
        return other

    def on_one_backend(self: M, backend: str | None = None) -> M:
        """The same, but what its backend cannot take is an error, and no other one is taken from there on.

        Args:
            backend: which one, of those that are left; by default the first of them.
        """
        other = object.__new__(type(self))
        other._builds = self._builds.alone(backend)
        return other

    def expects(self, samples: int | None) -> None:
        """Say how many samples a batch has as a rule, so that results do not depend on what came before, bit for bit.

        The compiled model is made for one number of samples, and once more for any: the second one rounds differently.
        Without a word it is the first number that is met.

        Args:
            samples: in a batch; None takes it back.

        Raises:
            InputError: it is no number of samples.
        """
        if samples is not None and (not isinstance(samples, int) or samples < 1):
            raise InputError(f"expects takes a whole number of samples, at least 1, not {samples!r:.80}")
        self._builds.expects(samples)

    def doubts_of(self, pixels: np.ndarray, name: str, way: Way) -> tuple[str, ...]:
        """Why a picture may not be prepared as the model expects it, in a line; it is run in the usual ways for that.

        Args:
            pixels: (H, W, 1) or (H, W, 3), 0 to 255.
            name: the input's.
            way: how it was prepared; what is settled gives no doubt.
        """
        return about_picture(self._builds, pixels, name, way)
