"""Pictures of a run, one per input."""

from __future__ import annotations

from functools import partial

from ..explanation import Explanation
from ..pictures.heatmap import save_png
from ..writing import write_file
from .folder import Folder
from .gathered import Gathered
from .order import Order

DRAWN = frozenset(("png", "figure"))


def draw(explanation: Explanation, group: Gathered, order: Order, folder: Folder) -> None:
    """The maps alone, or figures with input, map and scale, of a group; a picture that is there is made again.

    Raises:
        OutputError: it cannot be written.
    """
    for kind in sorted(order.save & DRAWN):
        for i, (row, item) in enumerate(zip(group.rows, group.items)):
            path = folder.picture(kind, row, item.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            image = explanation.heatmap(i) if kind == "png" else explanation.figure(i)
            write_file(path, partial(save_png, image, force=True), force=True)
