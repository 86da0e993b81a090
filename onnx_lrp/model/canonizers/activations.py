"""Take an activation that an exporter wrote as several nodes for the one node that it is.

What a group of elementwise nodes computes tells what it is, however it was written: it is run on numbers, in float64,
and compared with the activations that :mod:`onnx_lrp.ops` knows.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult
from onnx_ir.passes import common as passes

from ...ops import smooth
from ..graph import WRITTEN, label
from .expanding import Builder
from .identifying import PROBES, NamedActivation, identify
from .regions import Elementwise, elementwise, regions

# What these are is plain to see (not so a Clip)
PLAIN = ("Relu", "LeakyRelu", "Identity", "Cast", *(op for op in smooth.TRUSTABLE if op != "Clip"))
MOST_REGIONS = 200  # different regions that are tried: a real model has a few
TRIALS = 4  # regions that end in one node; a longer chain is no activation


class NameActivations(InPlacePass):
    """Put one node, ``Gelu`` or ``Relu``, in the place of those that compute it."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.notes: list[str] = []
        self._known: dict[str, NamedActivation | None] = {}  # models repeat their activation many times

    def call(self, model: ir.Model) -> PassResult:
        """From the last node to the first, so that the whole of an activation is met before its parts."""
        place = {node: i for i, node in enumerate(model.graph)}
        for node in reversed(list(model.graph)):
            if node.graph is not None and node.op_type not in PLAIN and elementwise(node):
                self._name(model, node, place)
        if self.notes:
            passes.RemoveUnusedNodesPass()(model)
        self.notes.reverse()
        return PassResult(model, bool(self.notes))

    def _name(self, model: ir.Model, end: ir.Node, place: dict[ir.Node, int]) -> None:
        """Find the largest region that is an activation: max(min(x, 6), 0) is more than the ReLU at its end."""
        curved = (region for region in regions(end, place) if region.is_curved and region.keeps_shape)
        found = [(r, activation) for r in islice(curved, TRIALS) if (activation := self._recalled(r)) is not None]
        if found and (len(found[-1][0].nodes) > 1 or found[-1][1].op != end.op_type):
            self._replace(model, end, *found[-1])

    def _recalled(self, region: Elementwise) -> NamedActivation | None:
        recipe = region.recipe
        if recipe not in self._known and len(self._known) < MOST_REGIONS:
            self._known[recipe] = self._identified(region)
        return self._known.get(recipe)

    def _identified(self, region: Elementwise) -> NamedActivation | None:
        results = region.run(self.opset)
        fits = results is not None and results.shape == PROBES.shape and results.dtype.kind == "f"
        return identify(results, region.numbers, region.half) if fits and results is not None else None

    def _replace(self, model: ir.Model, end: ir.Node, region: Elementwise, activation: NamedActivation) -> None:
        build = Builder(model, end)
        kinds = list(dict.fromkeys(node.op_type for node in region.nodes))
        written = " and ".join(filter(None, (", ".join(kinds[:-1]), kinds[-1])))
        given: dict[str, Any] = dict(activation.attributes)
        bounds = []
        if activation.op == "Clip" and self.opset >= 11:  # bounds became inputs
            dtype = np.float64 if region.source.dtype is None else region.source.dtype.numpy()
            bounds = [build.constant(np.asarray(given.pop(name), dtype), name) for name in ("min", "max")]
        result = build.node(activation.op, [region.source, *bounds], **given)
        build.made[-1].meta[WRITTEN] = written
        self.notes.append(f"{written} {label(end)} {'are together' if kinds[1:] else 'is'} {activation}")
        build.replace([result])
        for node in reversed(region.nodes[:-1]):
            if not any(value.uses() or value.is_graph_output() for value in node.outputs):
                model.graph.remove(node, safe=True)
