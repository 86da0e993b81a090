"""What belongs together in two models: inputs, the explained outputs, and layers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ..composites import WEIGHTED
from ..errors import InputError, TargetError
from ..model.graph import dims
from ..model.prepared import Prepared
from ..propagation.plan import Plan
from ..text import printable

OutputShape = Sequence["int | str | None"]

# What onnxruntime's quantiser appends to the names of nodes, and to those of the tensors that they make
QUANTISED = re.compile(r"(_MatMul)?(_output)?(_quant|_quantized|_(Quantize|Dequantize)Linear_(Input|Output))$")


@dataclass(frozen=True)
class LayerKey:
    """A node, as it is called in reports, its op, the tensor that it makes, and the weight that it reads, if any."""

    name: str
    op: str
    tensor: str
    weight: str = ""

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        """What another model may call it, the surest first: it is the tensor whose relevance is compared."""
        own = ("tensor", self.tensor), ("node", self.name)
        bare = (*own, ("weight", self.weight)) if self.weight else own  # nodes may have no names
        return (*own, *((kind, QUANTISED.sub("", name)) for kind, name in bare))


@dataclass(frozen=True)
class Matching:
    """Layers of A and B that belong together, in A's order, and what only one of them has, each with that reason."""

    pairs: tuple[tuple[LayerKey, LayerKey], ...]
    unmatched: tuple[str, ...]


def match(a: Plan, b: Plan, names: Iterable[str] | None = None) -> Matching:
    """Pair layers that make tensors of one name, or else whose nodes or weights have one, a quantiser's suffix aside.

    Args:
        a: model A's plan.
        b: model B's.
        names: nodes or tensors of either model; None for all convolutions and dense layers, but for the one whose
            output is explained: its relevance is nothing but the seed.

    Raises:
        TargetError: a name that neither model knows.
    """
    wanted = None if names is None else {names} if isinstance(names, str) else set(names)
    ours, theirs = ([layer for layer in _layers(plan) if _chosen(layer, plan, wanted)] for plan in (a, b))
    if strange := sorted((wanted or set()) - {name for layer in (*ours, *theirs) for _, name in layer.keys}):
        raise TargetError(f"no node or tensor {printable(strange[0])!r} on the way in either model; see onnx-lrp check")
    pairs = list(_pairs(ours, list(_layers(b))))
    found = {layer for pair in pairs for layer in pair}
    # A convolution whose BatchNormalization is merged in A only is compared behind that: it is in both, all the same
    known = {key for layer, _ in pairs for key in layer.keys}
    if wanted is None:  # a quantiser puts nodes behind the layer whose output is explained: it is left out all the same
        known |= {
            key for plan in (a, b) for layer in _layers(plan) if layer.tensor == plan.target for key in layer.keys
        }
    alone = [
        f"{layer.name} (only in {which})"
        for which, layers in (("A", ours), ("B", theirs))
        for layer in layers
        if layer not in found and known.isdisjoint(layer.keys)
    ]
    return Matching(tuple(pairs), tuple(alone))


def _layers(plan: Plan) -> Iterator[LayerKey]:
    for step in plan.steps:
        weight = step.inputs[1] if step.op in WEIGHTED and len(step.inputs) > 1 else None
        yield LayerKey(step.name, step.op, step.outputs[0], weight or "")
        yield from (LayerKey(printable(tensor), step.op, tensor) for tensor in step.outputs[1:] if tensor)


def _chosen(layer: LayerKey, plan: Plan, wanted: set[str] | None) -> bool:
    if wanted is None:
        return layer.op in WEIGHTED and layer.tensor != plan.target
    return not wanted.isdisjoint(name for _, name in layer.keys)


def _pairs(ours: Sequence[LayerKey], theirs: Sequence[LayerKey]) -> Iterator[tuple[LayerKey, LayerKey]]:
    index: dict[tuple[str, str], LayerKey] = {}
    for rank in range(5):
        for layer in theirs:
            for key in layer.keys[rank : rank + 1]:
                index.setdefault(key, layer)
    taken: set[LayerKey] = set()
    for layer in ours:
        other = next((index[key] for key in layer.keys if key in index and index[key] not in taken), None)
        if other is not None:
            taken.add(other)
            yield layer, other


def common_inputs(a: Prepared, b: Prepared) -> list[ir.Value]:
    """What both models take, by position and under A's names: where one leaves a size open, the other's.

    Raises:
        InputError: there are no such inputs.
    """
    ours, theirs = a.inputs, b.inputs
    if len(ours) != len(theirs):
        raise InputError(
            f"{b.source}: has {len(theirs)} inputs, but {a.source} has {len(ours)}; only models with the same inputs "
            "can be compared"
        )
    return [_common(v, w, (a.source, b.source)) for v, w in zip(ours, theirs)]


def _common(a: ir.Value, b: ir.Value, sources: tuple[str, str]) -> ir.Value:
    ours, theirs = dims(a), dims(b)
    if ours is None or theirs is None:
        return a if theirs is None else ir.Value(name=a.name, type=a.type, shape=b.shape)
    if _conflict(ours, theirs):
        raise InputError(
            f"{sources[1]}: input {printable(b.name or '')!r} has the shape {_shown(theirs)}, but in {sources[0]} "
            f"{printable(a.name or '')!r} has {_shown(ours)}; only models with the same inputs can be compared"
        )
    narrowest = [n if isinstance(n, int) else m for m, n in zip(ours, theirs)]
    return ir.Value(name=a.name, type=a.type, shape=ir.Shape(narrowest))


def check_outputs(a: Prepared, b: Prepared, shapes: tuple[OutputShape, OutputShape] | None = None) -> None:
    """Raise unless both models explain outputs of one shape: of these shapes, or of what the models declare.

    Raises:
        TargetError: the shapes differ.
    """
    ours, theirs = shapes or (dims(p.model.graph.outputs[0]) for p in (a, b))
    if ours is not None and theirs is not None and _conflict(ours, theirs):
        raise TargetError(
            f"{b.source}: explains an output of the shape {_shown(theirs)}, but {a.source} one of {_shown(ours)}; "
            "only models with the same outputs can be compared"
        )


def _conflict(a: OutputShape, b: OutputShape) -> bool:
    """Whether no array has both shapes."""
    return len(a) != len(b) or any(isinstance(m, int) and isinstance(n, int) and m != n for m, n in zip(a, b))


def _shown(shape: OutputShape) -> str:
    return "(" + ", ".join("?" if size is None else printable(str(size)) for size in shape) + ")"
