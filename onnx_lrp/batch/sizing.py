"""How many inputs a run gives the model at once, and how many it stores together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ..engines.compiled import CompiledEngine
from ..errors import InputError, OnnxLrpError
from ..explainer import Explainer
from .blocks import Block
from .gathered import Gathered
from .grouping import reader_of
from .inventory import Inventory
from .items import InputSource
from .loading import Loader, Prepped
from .order import Order
from .surfaces import map_shapes

_MOST = 256  # samples at once: more is not faster, and takes memory
_WALKED = 32  # samples at once where no model is compiled
_SHARD = 2**24  # bytes of maps in float32 that are stored together
_LOOKED_AT = 16  # of the first inputs, whether they have one size
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
        OnnxLrpError: no input can be explained.
    """
    reader = reader_of(explainer, source, inventory, 1)
    samples = reader.first(_LOOKED_AT)
    at_once = _allowed(explainer, reader.loader, batch) or _fast(explainer, samples)
    shapes = map_shapes(explainer.prepared.explaining, samples[0], order.whole)
    together = min(_SHARD // max(sum(4 * math.prod(shape) for shape in shapes.values()), 1), _LARGEST)
    step = math.lcm(_ROUND, at_once) if math.lcm(_ROUND, at_once) <= _LARGEST else at_once
    output = _tried(explainer, reader.loader, samples, at_once)
    return replace(
        order, batch=at_once, block=max(together // step, 1) * step, output=output,
        shapes=shapes if "maps" in order.save else {},
    )  # fmt: skip


def _tried(explainer: Explainer, loader: Loader, samples: Sequence[Prepped], size: int) -> tuple[int, ...]:
    """The shape of a sample's scores."""
    explainer.expects(size)
    for sample in samples:
        try:
            group = Gathered(Block(0, 0, 1), [0], feeds=sample.feeds)
            feeds = group.filled(size) if loader.batched else group.feeds
            return explainer(loader.check(feeds)).output.shape[1:]
        except OnnxLrpError:
            if sample is samples[-1]:
                raise
    raise InputError("there is no input")


def _allowed(explainer: Explainer, loader: Loader, batch: int | None) -> int | None:
    """What the model leaves no choice of, or what was asked for; None if it may be chosen."""
    only = loader.fixed if loader.batched else 1
    why = "its inputs say so" if loader.batched else "its inputs have no axis of samples"
    if only is None and explainer.prepared.scales_together():
        only, why = 1, "it decides on one scale for all samples of a batch"
    if only is not None and batch not in (None, only):
        raise InputError(
            f"{explainer.prepared.source}: takes {only} sample{'s' * (only > 1)} at once ({why}); leave "
            f"--batch-size out, or give {only}"
        )
    return only or batch


def _fast(explainer: Explainer, samples: Sequence[Prepped]) -> int:
    """As many samples as make a call worth its while; one, where the inputs differ in size."""
    if len({sample.shape for sample in samples}) > 1:
        return 1
    engine = explainer.engine
    return min(engine.preferred(samples[0].feeds), _MOST) if isinstance(engine, CompiledEngine) else _WALKED
