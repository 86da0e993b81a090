"""Pictures of a run, one per input."""

from __future__ import annotations

from ..explanation import Explanation
from ..pictures.heatmap import indexed
from .folder import Folder
from .gathered import Gathered
from .order import Order
from .store.files import replaced_file, writing_to

DRAWN = frozenset(("png", "figure"))


def draw(explanation: Explanation, group: Gathered, order: Order, folder: Folder) -> None:
    """The maps alone, or figures with input, map and scale, of a group; a picture that is there is made again.

    Raises:
        OutputError: it cannot be written.
    """
    for kind in sorted(order.save & DRAWN):
        for i, (row, item) in enumerate(zip(group.rows, group.items)):
            path = folder.picture(kind, row, item.name)
            with writing_to(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            image = explanation.heatmap(i) if kind == "png" else explanation.figure(i)
            with replaced_file(path) as made:
                indexed(image).save(made, "PNG")
