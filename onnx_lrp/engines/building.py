"""From a model and a backend's name to the engine that explains it: a pure function, whose results never change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .. import backends
from ..composites import Composite
from ..conversion.convert import OLDEST_CONVERTED
from ..errors import ConversionError
from ..model.loading import Source
from ..model.preparation import prepare
from ..model.prepared import Prepared
from ..model.profile import STRICT, Profile
from ..model.runtime import SessionOptions
from ..model.sizing import Shapes
from ..pictures.intake import Intake
from ..propagation.plan import Plan, make_plan
from .base import Engine
from .compiled import CompiledEngine
from .walking import WalkEngine


@dataclass(frozen=True)
class Setup:
    """What is to be explained, and how: everything but the backend. The fields are the Explainer's arguments."""

    model: Source
    composite: Composite
    output: str | None = None
    batchnorm: Literal["affine", "pass"] = "affine"
    pass_ops: tuple[str, ...] = ()
    facts: bool = True
    options: SessionOptions = field(default_factory=SessionOptions)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    shapes: Shapes = field(default_factory=dict)
    profile: Profile = STRICT
    intake: Intake = field(default_factory=Intake)


@dataclass(frozen=True)
class Build:
    """A model made ready for one backend; ``left`` are the choices to fall back on where it cannot be compiled."""

    prepared: Prepared
    plan: Plan
    engine: Engine
    choice: backends.Choice
    left: tuple[backends.Choice, ...] = ()


def build(setup: Setup, choice: backends.Choice, left: Sequence[backends.Choice] = ()) -> Build:
    """Prepare, plan, and make the engine of one backend.

    Raises:
        OnnxLrpError: as for the Explainer.
    """
    oldest = OLDEST_CONVERTED if choice.name == "onnx" else 0
    prepared = prepare(setup.model, setup.output, oldest, setup.pass_ops, setup.fixed, setup.shapes, setup.profile)
    plan = make_plan(prepared.verdict, prepared.model, setup.composite, setup.batchnorm, setup.facts)
    engine: Engine
    if choice.name == "onnx":
        engine = CompiledEngine(prepared, plan, setup.options)
    else:
        engine = WalkEngine(prepared, plan, backends.create(choice), setup.options, choice.device)
    return Build(prepared, plan, engine, choice, tuple(left))


def first_that_fits(setup: Setup, choices: Sequence[backends.Choice]) -> Build:
    """The build for the first backend of the choices that can take the model.

    Raises:
        ConversionError: none can, and the last one says why.
        OnnxLrpError: as for the Explainer.
    """
    for i, choice in enumerate(choices):
        try:
            return build(setup, choice, choices[i + 1 :])
        except ConversionError:
            if i + 1 == len(choices):
                raise
    raise ConversionError("no backend is left")
