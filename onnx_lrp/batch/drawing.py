"""Pictures of a run, one per input."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..explanation import Explanation
from ..pictures.heatmap import save_png
from ..writing import write_file
from .folder import Folder
from .items import Item
from .order import Order


def draw(explanation: Explanation, rows: Sequence[int], items: Sequence[Item], order: Order, folder: Folder) -> None:
    """The maps alone, or figures with input, map and scale, of a batch's first samples; a picture that is there already
    is made again.

    Raises:
        OutputError: it cannot be written.
    """
    for kind in sorted(order.save & {"png", "figure"}):
        for i, (row, item) in enumerate(zip(rows, items)):
            path = folder.picture(kind, row, item.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            image = explanation.heatmap(i) if kind == "png" else explanation.figure(i)
            write_file(path, partial(save_png, image, force=True), force=True)
