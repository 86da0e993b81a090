"""The builds of one model: for the sizes of the data, and by the first backend that can take them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import onnx_ir as ir

from ..backends import Choice
from ..engines.base import Question, Result, original
from ..engines.building import Build, Setup, first_that_fits
from ..errors import ConversionError, OnnxLrpError, UnsupportedModelError
from ..inputs import check_inputs
from ..model.preparation import declared_inputs
from ..propagation.tape import Feeds
from ..targets import AnyTarget, as_region

MOST_SIZES = 16  # for which a model is kept ready whose sizes come with the data


class Builds:
    """What computes the explanations of one setup; made at once, or with the data where these have sizes to say.

    Args:
        setup: what is to be explained, and how.
        choices: the backends that may compute it, the first that can is taken.
        unverified: whether the canonized model's answer is still to be compared with the original's.
        expected: how many samples a batch has as a rule, if anybody said it.
    """

    def __init__(
        self, setup: Setup, choices: Sequence[Choice], unverified: bool, expected: int | None = None
    ) -> None:  # fmt: skip
        self.setup, self.unverified, self.expected = setup, unverified, expected
        self._choices = tuple(choices)
        self._lock = threading.Lock()
        self._sized: dict[str, Builds] = {}
        self._missing: UnsupportedModelError | None = None
        try:
            self._first = self._made(self._choices)
        except UnsupportedModelError as error:
            if not all(problem.sizes for problem in error.problems):
                raise
            self._missing = error

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The backends that are left: what cannot take the model is not tried again."""
        return self._choices if self._missing else (self._first.choice, *self._first.left)

    def alone(self, backend: str | None = None) -> Builds:
        """The same without any backend to fall back on.

        Args:
            backend: which one is to stay; by default the first that is left. If it is none of those, all stay.
        """
        name = self.choices[0].name if backend is None else backend
        kept = [choice for choice in self.choices if choice.name == name]
        if not kept:
            return self
        if self._missing is not None or self._first.choice.name != name:
            return Builds(self.setup, kept, self.unverified, self.expected)
        other = copy(self)  # what is compiled stays
        other._lock, other._choices, other._first = threading.Lock(), tuple(kept), replace(self._first, left=())
        return other

    @property
    def known(self) -> bool:
        """Whether there is a build, as the sizes are known."""
        return self._missing is None or bool(self._sized)

    @property
    def built(self) -> Build:
        """What computes; of a model whose sizes come with the data, for the sizes that were met last.

        Raises:
            UnsupportedModelError: no sizes were met yet.
        """
        if self._missing is None:
            return self._first
        if not self._sized:
            raise self._missing
        return list(self._sized.values())[-1].built

    @property
    def declared(self) -> Sequence[ir.Value]:
        """What a user has to feed."""
        return self.built.prepared.inputs if self._missing is None else declared_inputs(self.setup.model)[0]

    def of(self, x: Any) -> Builds:
        """These, or those for the sizes of these inputs."""
        if self._missing is None:
            return self
        declared, source = declared_inputs(self.setup.model)
        fed = [value for value in declared if self.setup.fixed.get(value.name or "") is None]
        feeds = check_inputs(x, fed, source)
        shapes = {name: (None if a.ndim else 0, *a.shape[1:])[: a.ndim] for name, a in feeds.items()}
        with self._lock:
            if str(shapes) not in self._sized:
                setup = replace(self.setup, shapes={**shapes, **self.setup.shapes})
                self._sized[str(shapes)] = Builds(setup, self._choices, self.unverified, self.expected)
                for oldest in list(self._sized)[:-MOST_SIZES]:
                    del self._sized[oldest]
            return self._sized[str(shapes)]

    def expects(self, samples: int | None) -> None:
        """Tell every engine, and those that are yet to be made: see :meth:`onnx_lrp.engines.base.Engine.expects`."""
        with self._lock:
            self.expected = samples
            if self._missing is None:
                self._first.engine.expects(samples)
            for sized in self._sized.values():
                sized.expects(samples)

    def answered(
        self, feeds: Feeds, targets: int | list[AnyTarget], question: Question
    ) -> tuple[Build, list[Result]]:  # fmt: skip
        """All targets over one forward pass, but regions one by one."""
        listed = [] if isinstance(targets, int) else targets
        regions = [as_region(target) for target in listed]
        if not any(regions):
            return self.run(feeds, replace(question, targets=targets))
        answers = [self.run(feeds, replace(question, targets=[None if region else target], region=region))
                   for target, region in zip(listed, regions)]  # fmt: skip
        return answers[-1][0], [result for _, found in answers for result in found]

    def run(self, feeds: Feeds, question: Question) -> tuple[Build, list[Result]]:
        """Explain by the first backend that can take these inputs.

        Of a model that is malformed in a way that only onnxruntime finds, its verdict is the error.
        """
        built = self.built
        while True:
            try:
                return built, built.engine.run(feeds, question)
            except ConversionError:
                if not built.left:
                    raise
                built = self._behind(built)
            except OnnxLrpError:
                raise
            except Exception:
                original(built.prepared, feeds, self.setup.options)
                raise

    def _behind(self, failed: Build) -> Build:
        """The build for the next choice; made once, whichever thread comes first."""
        with self._lock:
            if self._first is failed:
                self._first = self._made(failed.left)
            return self._first

    def _made(self, choices: Sequence[Choice]) -> Build:
        """The first build that fits, that knows what is expected."""
        made = first_that_fits(self.setup, choices)
        made.engine.expects(self.expected)
        return made
