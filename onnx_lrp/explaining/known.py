"""What is known of a model's pictures and classes: said by the user, or by its own files."""

from __future__ import annotations

import math

from ..errors import InputError
from ..model.graph import dims
from ..pictures.intake import Way
from ..pictures.metadata import found_labels
from .builds import Builds


def way_of(builds: Builds) -> Way:
    """How pictures become inputs, and who said so."""
    return builds.setup.intake.way(builds.built.prepared.source_model)


def labels_of(builds: Builds) -> tuple[str, ...]:
    """Names of the classes: those that were given, else the model's own if their number fits; or none."""
    intake = builds.setup.intake
    if intake.labels or not builds.known:
        return intake.labels
    prepared = builds.built.prepared
    found = found_labels(prepared.source_model.metadata_props, intake.beside)
    shape = (dims(prepared.model.graph.outputs[0]) or [])[1:]
    sizes = [size for size in shape if isinstance(size, int)]
    return found if shape and len(sizes) == len(shape) and math.prod(sizes) == len(found) else ()


def fitting_labels(builds: Builds, size: int | None) -> tuple[str, ...]:
    """The labels, where the output has as many elements.

    Raises:
        InputError: labels were given, but not as many.
    """
    labels = labels_of(builds)
    if builds.setup.intake.labels and size not in (None, len(labels)):
        raise InputError(f"{len(labels)} labels given, but the output has {size} elements; they must agree")
    return labels if size in (None, len(labels)) else ()
