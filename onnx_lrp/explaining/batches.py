"""A batch, as it was taken in, and its explanations."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from ..engines.base import Question
from ..engines.recipe import recipe
from ..engines.verifying import verify
from ..explanation import Explanation
from ..inputs import check_inputs
from ..pictures.intake import Taken
from ..propagation.ids import check_ids
from ..propagation.plan import resolve_layers
from ..targets import AnyTarget, Seed, as_region
from .builds import Builds
from .doubting import Doubted
from .known import fitting_labels, way_of
from .results import context_of, explanation_of


def explanations(
    builds: Builds,
    taken: Taken,
    targets: int | list[AnyTarget],
    seed: Seed,
    layers: Iterable[str],
    ledger: bool,
    own: bool = True,
) -> list[Explanation]:
    """One for each target, over one forward pass.

    Args:
        builds: of the model, for these sizes.
        taken: what is fed.
        targets: how many of the largest, or which.
        seed: what relevance starts with.
        layers: nodes or tensors inside whose relevance is wanted, too.
        ledger: also account for every node.
        own: also keep what the model makes of the explained tensor behind the head, where the run gives that; else it
            is found by one more run, when somebody reads it.

    Raises:
        InputError, TargetError, NumericalError, VerificationError: as for a call of the Explainer.
    """
    built, setup = builds.built, builds.setup
    feeds = check_inputs(taken.feeds, built.prepared.inputs, built.prepared.source)
    check_ids(feeds, built.plan, built.prepared.model, built.prepared.source)
    wanted = resolve_layers(built.plan, layers, built.prepared.source)
    verifying = builds.unverified
    with np.errstate(all="ignore"):  # what is not finite is an error in the end
        question = Question(0, seed, wanted, ledger, audit=verifying, own=own)
        built, results = builds.answered(feeds, targets, question)
        if verifying:
            verify(built, feeds, results[0])
            builds.unverified = False
        labels = fitting_labels(builds, results[0].logits[0].size)
        pictures = taken.first is not None or setup.intake.said is not None
        preprocessing = way_of(builds).convention.preprocessing if pictures else None
        settings = partial(recipe, setup, built, seed, region_words(targets))
        context = context_of(built, feeds, seed, setup.options, labels, settings, preprocessing, results[0].own)
        found = [explanation_of(built, feeds, result, wanted, context) for result in results]
    return Doubted(builds, taken, feeds, seed).with_doubts(found)


def region_words(targets: int | list[AnyTarget]) -> list[str]:
    """The targets that are no single element, as words."""
    return [] if isinstance(targets, int) else [str(region) for region in map(as_region, targets) if region]
