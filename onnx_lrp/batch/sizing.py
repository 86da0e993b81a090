"""How many inputs a run gives the model at once, and how many it stores together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..engines.compiled import CompiledEngine
from ..errors import InputError
from ..explainer import Explainer
from ..targets import Contrast, as_region, resolve
from .grouping import reader_of
from .inventory import Inventory
from .items import InputSource
from .loading import Loader, Prepped
from .order import Order
from .surfaces import map_shapes
from .trying import LOOKED_AT, first_explained

_MOST = 256  # samples at once: more is not faster, and takes memory
_WALKED = 32  # samples at once where no model is compiled
_SHARD = 2**24  # bytes of maps in float32 that are stored together
_LARGEST = 1024  # inputs in a block
_ROUND = 16  # a block holds a multiple of so many


def with_sizes(
    order: Order, explainer: Explainer, source: InputSource, inventory: Inventory, batch: int | None
) -> Order:
    """The order with its sizes; for that, the model explains the first input that it can.

    Args:
        order: what is wanted.
        explainer: of the run.
        source: where the inputs lie.
        inventory: what they are.
        batch: how many samples at once, as it was asked for; None: what is fast.

    Raises:
        InputError: no input can be read, or the model does not take so many samples at once.
        TargetError: what is asked for is not there, whatever the input.
        OnnxLrpError: no input can be explained.
    """
    reader = reader_of(explainer, source, inventory, 1)
    reader = replace(reader, size=reader.loader.fixed or 1)
    samples = reader.first(LOOKED_AT)
    size = allowed_at_once(explainer, reader.loader, batch) or _fast(explainer, samples)
    if reader.loader.fixed is None:
        size = min(size, len(inventory))  # a batch is always filled up
    trial = first_explained(explainer, replace(reader, size=size), samples)
    if reader.loader.fixed is None and not trial.apart(samples):
        size = _one(explainer, batch)
        trial = first_explained(explainer, replace(reader, size=size), samples)
    output = trial.explanation.output.shape[1:]
    _check_question(order, trial.explanation.output[:1])
    shapes = map_shapes(explainer.prepared.explaining, trial.sample.feeds, order.whole)
    return replace(
        order, batch=size, block=_block(order, size, shapes, output), output=output,
        shapes=shapes if "maps" in order.save else {},
    )  # fmt: skip


def _block(order: Order, size: int, shapes: Mapping[str, Sequence[int]], output: Sequence[int]) -> int:
    """How many inputs are stored together: as many whole batches as take little memory."""
    each = sum(map(math.prod, shapes.values())) + (math.prod(output) if "scores" in order.save else 0)
    together = min(_SHARD // max(4 * each, 1), _LARGEST)
    step = math.lcm(_ROUND, size) if math.lcm(_ROUND, size) <= _LARGEST else size
    return max(together // step, 1) * step


def allowed_at_once(explainer: Explainer, loader: Loader, batch: int | None = None) -> int | None:
    """How many samples the model is given at once: what it leaves no choice of, or what was asked for.

    Args:
        explainer: of the model.
        loader: of its samples.
        batch: what was asked for.

    Returns:
        None if it may be chosen.

    Raises:
        InputError: the model does not take as many as were asked for.
    """
    only = loader.fixed if loader.batched else 1
    if only is not None:
        return _only(explainer, only, batch, "its inputs say so" if loader.batched else "its inputs have no such axis")
    if loader.constants:
        return _only(explainer, 1, batch, "an input of it is the same for all samples of a batch")
    if explainer.prepared.scales_together():
        return _only(explainer, 1, batch, "it decides on one scale for all samples of a batch")
    return batch


def _one(explainer: Explainer, batch: int | None) -> int:
    return _only(explainer, 1, batch, "its answer to a sample depends on the others of a batch")


def _only(explainer: Explainer, size: int, batch: int | None, why: str) -> int:
    """This size.

    Raises:
        InputError: another one was asked for.
    """
    if batch not in (None, size):
        raise InputError(
            f"{explainer.prepared.source}: takes {size} sample{'s' * (size > 1)} at once ({why}); leave "
            f"--batch-size out, or give {size}"
        )
    return size


def _fast(explainer: Explainer, samples: Sequence[Prepped]) -> int:
    """As many samples as make a call worth its while; one, where the inputs differ in size."""
    if len({sample.shape for sample in samples}) > 1:
        return 1
    engine = explainer.engine
    return min(engine.preferred(samples[0].feeds), _MOST) if isinstance(engine, CompiledEngine) else _WALKED


def _check_question(order: Order, output: np.ndarray) -> None:
    """See once what would be wrong with every input: a class that does not exist, or that is held against itself.

    Raises:
        TargetError: there is none such, or it is.
    """
    if isinstance(order.seed, Contrast):
        order.seed.check(output.shape[1:])
    target = None if isinstance(order.target, str) else order.target
    if as_region(target) is None:
        index = resolve(target, output)  # type: ignore[arg-type]  # no region
        if isinstance(order.seed, Contrast) and target is not None:  # else each input has a target of its own
            order.seed.check_apart(index)
