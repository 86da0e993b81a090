"""Explanations of what an iterator gives, batch by batch, while the next batches are read."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from functools import cache as cached
from typing import Any

import numpy as np

from ..errors import InputError, TargetError
from ..explanation import Explanation
from ..pictures.intake import Taken
from ..pictures.preprocessing import Preprocessing
from ..streaming.ahead import ahead
from ..streaming.gathering import batches_of
from ..streaming.items import ItemReader, Pairs
from ..streaming.rows import Rows
from ..targets import AnyTarget, Contrast, Seed
from ..text import printable
from .batches import explanations
from .builds import Builds
from .known import way_of

AHEAD = 2  # batches that are ready or in the making while one is explained


def batches_for(builds: Builds, iterable: Iterable[Any], size: int, pairs: Pairs) -> Generator[Rows, None, None]:
    """What an iterator gives as batches for this model, made when they are asked for.

    Args:
        builds: of the model.
        iterable: gives samples, or batches of them.
        size: how many samples a batch has at most, where the model leaves that open.
        pairs: what the second part of a pair is.

    Raises:
        InputError: an argument makes no sense.
    """
    if not isinstance(size, int) or size < 1:
        raise InputError(f"batch must be a whole number of samples, at least 1, not {size!r:.80}")
    if pairs not in ("input", "target"):
        raise InputError(f"pairs must be 'input' or 'target', not {pairs!r:.80}")
    if isinstance(iterable, str | bytes | dict) or not hasattr(iterable, "__iter__"):
        raise InputError(f"a stream is an iterable of samples or batches, not a {type(iterable).__name__}; give a list")
    fixed = builds.setup.fixed
    declared = [value for value in builds.declared if fixed.get(value.name or "") is None]

    @cached
    def preprocessing() -> Preprocessing:
        return way_of(builds).convention.preprocessing

    source = builds.built.prepared.source if builds.known else "the model"
    reader = ItemReader(declared, source, preprocessing, pairs, held=frozenset(fixed))
    return batches_of(iterable, reader, size, reader.size)


def check_stream(target: AnyTarget | str, seed: Seed, pairs: Pairs) -> None:
    """Refuse what belongs to one batch, not to all.

    Raises:
        TargetError: several targets, or an array as seed.
    """
    if target is not None and pairs == "target":
        raise TargetError("pairs='target' explains the class that comes with each sample; leave target out")
    several = isinstance(target, list | np.ndarray) or (
        isinstance(target, tuple) and any(isinstance(part, str) for part in target)
    )
    if several:
        raise TargetError("a stream takes one target for all samples; for one each give pairs, with pairs='target'")
    if not isinstance(seed, str | Contrast):
        raise TargetError("a stream takes no array as seed, but a word such as 'logit'")


def streamed(
    builds: Builds, batches: Iterable[Rows], meant: Callable[[tuple[Any, ...]], AnyTarget], seed: Seed,
    layers: Iterable[str],
) -> Generator[Explanation, None, None]:  # fmt: skip
    """The explanation of each batch, in their order.

    Args:
        builds: of the model.
        batches: run in a background thread.
        meant: the target of a batch, of the classes that came with it.
        seed: what relevance starts with.
        layers: nodes or tensors inside whose relevance is wanted, too.

    Raises:
        InputError, TargetError, NumericalError, VerificationError: as for a call of the Explainer.
    """
    wanted = tuple(layers)
    with closing(ahead(batches, AHEAD)) as ready:
        for rows in ready:
            taken = Taken({**rows.feeds, **rows.shared}, rows.first)
            target = meant(rows.targets)
            found = explanations(builds.of(taken.feeds), taken, [target], seed, wanted, False)[0]
            yield _without_copies(found, rows)


def _without_copies(found: Explanation, rows: Rows) -> Explanation:
    """What was filled up without what it was filled up with.

    Raises:
        InputError: the model does not answer sample by sample.
    """
    size = len(next(iter(rows.feeds.values())))
    if rows.whole or rows.count == size:
        return found
    if len(found) != size:
        shown = printable(found.context.model) if found.context else "the model"
        raise InputError(f"{shown}: does not answer for each of {size} samples; give arrays of the declared shape")
    return found[: rows.count]
