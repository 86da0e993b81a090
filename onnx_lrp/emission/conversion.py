"""``convert``: the source, untouched, plus the walk as nodes behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import onnx
import onnx_ir as ir

from .. import __version__
from ..backends.onnx import OnnxBackend
from ..backends.symbols import Batch, Graph, Symbol
from ..composites import Composite
from ..errors import TargetError
from ..model.evaluation import opset_of
from ..model.graph import dims
from ..model.loading import METADATA, Source
from ..model.preparation import Prepared, prepare
from ..planning import Plan, known_layers, make_plan
from ..propagation import walk
from ..recording import Tape
from .activations import SymbolicWeights, make_tape, named_values
from .ledger import SymbolicLedger
from .precision import single_precision
from .seeds import Seeds
from .sizes import Shapes, measure

OLDEST_OPSET = 9  # OneHot, Where, ConstantOfShape
OLDEST_IR = 8  # optional inputs, and every runtime in use
Seed = Literal["logit", "one", "input"]


@dataclass(frozen=True)
class Answer:
    """What a converted model answers with, beside its own outputs.

    ``layers`` maps names to tensors inside the network. ``logits`` and ``ledger`` name outputs for the explained tensor
    and for the account of every node.
    """

    seed: Seed = "logit"
    targets: int = 1
    layers: Mapping[str, str] = field(default_factory=dict)
    logits: str | None = None
    ledger: str | None = None


def convert(
    model: Source,
    composite: str | Composite = "epsilon_plus",
    *,
    output: str | None = None,
    layers: Iterable[str] = (),
    seed: Seed = "logit",
    targets: int = 1,
    shapes: Shapes | None = None,
    batchnorm: Literal["affine", "pass"] = "affine",
    facts: bool = True,
) -> onnx.ModelProto:
    """Compile the explanation into the model.

    The result has all inputs and outputs of the source, made by the source's own nodes, and in addition:

    * the output ``relevance`` (``relevance_NAME`` if there are several inputs), float32, of the input's shape;
    * for each of ``layers`` an output ``relevance_NAME``;
    * the optional input ``target``, int64: the flat index of the output to explain, one for all samples or one per
      sample; left out, or -1, it means the largest.

    Args:
        model: path, bytes, or ``ModelProto``.
        composite: a :class:`Composite`, or a string ``NAME[:key=value,...]``.
        output: name of the output to explain, the first one by default.
        layers: names of nodes or tensors inside the network whose relevance is wanted, too.
        seed: what the walk starts with: ``"logit"`` (the target's value), ``"one"``, or ``"input"``: then the input
            ``seed``, float32 of the explained tensor's shape, takes the place of ``target``.
        targets: how many targets to explain at once. If more than one, relevance has the shape (N, targets, ...),
            ``target`` the shape (N or 1, targets), and its default means the largest ones in descending order.
        shapes: sizes of open axes by input name; None leaves the first axis open. Only that one may stay open.
        batchnorm: as for :class:`Explainer`.
        facts: use static facts to save work; off gives the same result, more slowly.

    Raises:
        ModelError: the model cannot be read, is malformed, unsupported, or converted already.
        CompositeError, TargetError, InputError: an argument makes no sense.
    """
    prepared = prepare(model, output, OLDEST_OPSET)
    plan = make_plan(prepared.verdict, prepared.model, Composite.parse(composite), batchnorm, facts)
    wanted = known_layers(plan, layers, prepared.source)
    return emit(prepared, plan, Answer(seed, targets, wanted), shapes or {})


def emit(prepared: Prepared, plan: Plan, answer: Answer, shapes: Shapes) -> onnx.ModelProto:
    """A prepared and planned model that explains itself.

    Raises:
        TargetError: more targets than outputs.
        InputError, InvalidModelError: shapes are open or do not fit.
    """
    measured = measure(prepared, plan, shapes)
    model = single_precision(prepared.whole)
    own, values = set(model.graph), named_values(model.graph)
    graph = Graph(model.graph, opset_of(model), values[plan.inputs[0]])
    tape, weights = make_tape(plan, prepared.model, values, measured, OnnxBackend(graph))
    emission = Emission(plan, answer, model, graph, tape, weights, prepared.source)
    found = [emission.walk(seed) for seed in emission.seeds()]
    for name, tensor in {**dict(zip(plan.inputs, plan.inputs)), **answer.layers}.items():
        emission.add_relevance(name, tensor, found)
    if answer.logits:
        emission.add_output(tape.values[plan.target], answer.logits)
    graph.prune(own)
    return finished(model, prepared, plan, answer)


@dataclass
class Emission:
    """One conversion under way."""

    plan: Plan
    answer: Answer
    model: ir.Model
    graph: Graph
    tape: Tape
    weights: SymbolicWeights
    source: str

    @property
    def xp(self) -> OnnxBackend:
        """The recording backend."""
        return self.weights.xp

    def seeds(self) -> list[Symbol]:
        """The relevances to start with, one per target."""
        logits, answer = self.tape.values[self.plan.target], self.answer
        samples = self.tape.shapes[self.plan.inputs[0]][:1]
        seeds = Seeds(self.xp, self.model.graph, logits, logits.shape[:1] == samples)
        if answer.seed == "input":
            return [seeds.from_input(self._free("seed"))]
        if not 1 <= answer.targets <= seeds.size:
            raise TargetError(f"{self.source}: cannot explain {answer.targets} of {seeds.size} outputs")
        return list(seeds.from_target(self._free("target"), answer.targets, answer.seed == "one"))

    def walk(self, seed: Symbol) -> dict[str, Symbol]:
        """Relevance by tensor."""
        book = SymbolicLedger(self.xp) if self.answer.ledger else None
        found = walk(self.plan, self.tape, self.weights, seed, set(self.answer.layers.values()), book)
        if book is not None and self.answer.ledger:
            self.add_output(book.page(), self.answer.ledger)
        return found

    def add_relevance(self, name: str, tensor: str, found: Sequence[Mapping[str, Symbol]]) -> None:
        """An output for the relevance of one tensor; with several targets they are its second axis."""
        alone = name == tensor and self.plan.inputs == (name,)
        zeros = self.xp.zeros_like(self.tape.values[tensor])
        relevances = [relevance.get(tensor, zeros) for relevance in found]
        if len(relevances) > 1:
            relevances = [self.xp.reshape(r, (r.shape[0], 1, *r.shape[1:])) for r in relevances]
        self.add_output(self.xp.concat(relevances, 1), "relevance" if alone else f"relevance_{name}")

    def add_output(self, symbol: Symbol, name: str) -> None:
        """An output of this name."""
        batch = (dims(self.graph.samples) or ["N"])[0]
        shape = [n if isinstance(n, int) else batch if n == Batch() else None for n in symbol.shape]
        self.graph.output(symbol, self._free(name), shape)

    def _free(self, name: str) -> str:
        """The name, or a longer one if the source uses it."""
        while name in self.graph.taken:
            name = f"lrp_{name}"
        return name


def finished(model: ir.Model, prepared: Prepared, plan: Plan, answer: Answer) -> onnx.ModelProto:
    """The message, with what it was made from and how."""
    model.ir_version = max(model.ir_version, OLDEST_IR)
    model.metadata_props.update({
        f"{METADATA}.version": __version__,
        f"{METADATA}.source_sha256": prepared.sha256,
        f"{METADATA}.composite": str(plan.composite),
        f"{METADATA}.explains": prepared.output,
        f"{METADATA}.seed": answer.seed,
        f"{METADATA}.targets": str(answer.targets),
    })  # fmt: skip
    proto = ir.to_proto(model)
    for value in proto.graph.output:
        if value.name in prepared.untyped:  # a ZipMap's, which onnx_ir has no type for
            value.CopyFrom(prepared.untyped[value.name])
    return proto
