"""A block is stored maps first, then its part of the index: with that it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..blocks import Block, Done, blocks_of
from ..folder import Folder
from ..found import Found
from ..order import Order
from .forgetting import forget
from .index import done_blocks, is_complete, merge, write_part
from .maps import Maps


@dataclass(frozen=True)
class Store:
    """Writes what is found to the folder of a run. It can be pickled; any process may write any block.

    Attributes:
        folder: of the run; it exists.
        order: what is kept, and how.
    """

    folder: Folder
    order: Order

    def __reduce__(self) -> tuple[type[Store], tuple[Folder, Order]]:
        return type(self), (self.folder, self.order)

    @property
    def keeps_arrays(self) -> bool:
        """Whether there is anything for Zarr."""
        return bool(self.order.save & {"maps", "scores"})

    def create(self, rows: int, shapes: Mapping[str, tuple[int, ...]], scores: tuple[int, ...] | None = None) -> None:
        """Prepare the folder, once, before anybody writes; of a run that goes on, too: what is done stays.

        Args:
            rows: how many inputs the run has.
            shapes: of a map, by the name of the model's input.
            scores: shape of the explained tensor of one input.

        Raises:
            InputError: a package is missing.
            OutputError: the folder cannot be written.
        """
        if self.keeps_arrays:
            Maps.create(self.folder, self.order, rows, shapes, scores)

    def forget_lost(self, rows: int) -> dict[Block, Path]:
        """Have blocks that were done, but lack a file of maps or scores, done again; nobody may be writing meanwhile.

        Args:
            rows: how many inputs the run has.

        Returns:
            These blocks, each with a file that is missing or empty.

        Raises:
            InputError: a package is missing, or what describes the arrays is damaged.
            OutputError: the index is damaged, or it cannot be written.
        """
        if not self.keeps_arrays:
            return {}
        done = None if is_complete(self.folder) else done_blocks(self.folder)
        blocks = {b.number: b for b in blocks_of(rows, self.order.block) if done is None or b.number in done}
        lost = {blocks[number]: path for number, path in self._maps.lost(blocks).items()}
        if lost:
            forget(self.folder, self.order, [block.number for block in lost])
        return lost

    def write(self, found: Found) -> Done:
        """Store a block; what there is of it is written anew.

        Raises:
            OutputError: it cannot be written.
        """
        if self.keeps_arrays:
            self._maps.write(found)
        write_part(found, self.folder, self.order)
        return Done(found.block, sum(error is not None for error in found.columns.get("error", ())))

    def finish(self) -> None:
        """Merge the parts, when all blocks are done. Interrupted anywhere, a further call completes it.

        Raises:
            OutputError: a block is missing, or the index cannot be written.
        """
        if self.keeps_arrays:
            self._maps.tidy()
        merge(self.folder)

    @cached_property
    def _maps(self) -> Maps:
        return Maps(self.folder.maps)
