"""``convert``: the source, untouched, plus the walk as nodes behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import onnx
import onnx_ir as ir

from .. import __version__
from ..backends.onnx import OnnxBackend
from ..backends.symbols import BatchSize, Graph, Symbol
from ..composites import Composite
from ..errors import ConversionError, OnnxLrpError, TargetError
from ..model.evaluation import opset_of
from ..model.fixing import Fixed
from ..model.graph import dims
from ..model.loadable import require_loadable
from ..model.loading import Source
from ..model.preparation import prepare
from ..model.prepared import Prepared
from ..model.profile import STRICT, Profile
from ..model.sizing import Shapes, size_inputs
from ..model.wellformed import METADATA
from ..propagation.audit import MaskAudit
from ..propagation.plan import Plan, make_plan, resolve_layers
from ..propagation.step import Step
from ..propagation.tape import Tape
from ..propagation.unbounded import unknown_bounds
from ..propagation.walk import walk
from ..targets import Contrast, Rivals
from .activations import SymbolicWeights, make_tape, named_values
from .contrasts import SymbolicContrast
from .ledger import SymbolicLedger
from .precision import single_precision, throughout
from .seeds import CompiledSeed, SeedKind, Seeds, about_seed, compiled_seed
from .sizes import UNFIT, measure
from .vectors import as_matrices

OLDEST_CONVERTED = 9  # OneHot, Where, ConstantOfShape
OLDEST_IR = 8  # optional inputs, and every runtime in use


@dataclass(frozen=True)
class ConversionSpec:
    """What a converted model answers with, beside its own outputs.

    ``layers`` maps names to tensors inside the network; ``logits`` and ``ledger`` ask for outputs with the explained
    tensor and with the account of every node (for one target). ``fed`` counts what comes as an input instead of being
    compiled in: classes of a seed ``against`` others, or 1 for the baseline. ``required``: indices have no defaults.
    """

    seed: CompiledSeed = "logit"
    targets: int = 1
    layers: Mapping[str, str] = field(default_factory=dict)
    logits: bool = False
    ledger: bool = False
    fed: int = 0
    required: bool = False


@dataclass
class ConvertedModel:
    """A converted model, and what its inputs and outputs are called.

    ``control`` is the input ``target`` or ``seed``, ``rival`` the input for what is fed of a contrast. ``relevance``
    gives the output for each tensor, ``steps`` are the rows of the ledger, ``unproven`` are masked tensors whose mask
    the walk itself does not prove.
    """

    model: ir.Model
    control: str = ""
    rival: str = ""
    relevance: dict[str, str] = field(default_factory=dict)
    logits: str = ""
    ledger: str = ""
    steps: tuple[Step, ...] = ()
    unproven: set[str] = field(default_factory=set)

    @property
    def outputs(self) -> set[str]:
        """The outputs that the source does not have."""
        return {*self.relevance.values(), self.logits, self.ledger} - {""}


def convert(
    model: Source,
    composite: str | Composite = "default",
    *,
    output: str | None = None,
    layers: Iterable[str] = (),
    seed: SeedKind | None = None,
    against: Rivals | Literal["input"] = None,
    baseline: float | None = None,
    targets: int = 1,
    target_input: bool = False,
    shapes: Shapes | None = None,
    batchnorm: Literal["affine", "pass"] = "affine",
    pass_ops: str | Iterable[str] = (),
    facts: bool = True,
    fixed: Fixed = (),
    profile: str | Profile = STRICT,
) -> onnx.ModelProto:
    """Compile the explanation into the model.

    The result has all inputs and outputs of the source, made by the source's own nodes (but that a vector in a MatMul
    becomes a matrix, see :mod:`.vectors`), and in addition:

    * the output ``relevance`` (``relevance_NAME`` if there are several inputs), float32, of the input's shape;
    * for each of ``layers`` an output ``relevance_NAME``;
    * the optional input ``target``, int64: the flat index of the output to explain, one for all samples or one per
      sample; left out, or -1, it means the largest; no output's index, and the run fails;
    * with ``against="input"`` the optional input ``against``, int64: the class to hold the target against, one for
      all samples or one per sample; left out, or -1, it means the runner-up.

    Args:
        model: path, bytes, or ``ModelProto``.
        composite: a :class:`Composite`, or a string ``NAME[:key=value,...]``.
        output: name of the output to explain, the first one by default.
        layers: names of nodes or tensors inside the network whose relevance is wanted, too.
        seed: what the walk starts with, by default what the composite says: ``"logit"`` (the target's value),
            ``"one"``, ``"odds"``, ``"margin"`` or ``"probability"`` as for a call of the :class:`Explainer`, or
            ``"input"``: then the input ``seed``, float32 of the explained tensor's shape, takes the place of
            ``target``.
        against: as for a call of the Explainer: the index of a class, or several, compiled in; or ``"input"``. Where a
            class meets itself, the run fails, as it does for a target that does not exist.
        baseline: as for a call of the Explainer, compiled in.
        targets: how many targets to explain at once. If more than one, relevance has the shape (N, targets, ...),
            ``target`` the shape (N or 1, targets), and its default means the largest ones in descending order.
        target_input: make ``target`` (and ``against``) an input that every run has to give, with -1 for the default.
            Else they are initializers that a run may override, of which onnxruntime warns whenever it loads the model.
        shapes: sizes of open axes by input name; None leaves the first axis open. Only that one may stay open.
        batchnorm: as for :class:`Explainer`.
        pass_ops: as for :class:`Explainer`.
        facts: use static facts to save work; off gives the same result, more slowly.
        fixed: inputs that are constants of the question: names, of inputs that stay (their relevance is zeros), or
            values by name, which take the inputs' places.
        profile: as for :class:`Explainer`.

    Raises:
        ModelError: the model cannot be read, is malformed, unsupported, or converted already.
        CompositeError, TargetError, InputError: an argument makes no sense.
    """
    rules = Composite.parse(composite)
    start, fed = compiled_seed(rules.seed_for(seed, against, baseline), against, baseline)
    if not isinstance(targets, int):
        raise TargetError(f"targets says how many to explain at once, as a whole number, not {targets!r:.80}")
    if target_input and start == "input":
        raise TargetError("with the seed 'input' there is no target to give; leave out target_input (--target-input)")
    prepared = prepare(model, output, OLDEST_CONVERTED, pass_ops, fixed, shapes, profile)
    plan = make_plan(prepared.verdict, prepared.model, rules, batchnorm, facts)
    wanted = resolve_layers(plan, layers, prepared.source)
    tape = measure(prepared, plan, shapes or {})
    require_loadable(prepared.uncut, [prepared.target], prepared.source, prepared.message)  # types and all
    compiled = emit(prepared, plan, ConversionSpec(start, targets, wanted, fed=fed, required=target_input), tape)
    size_inputs(compiled.model, shapes or {}, prepared.source)
    require_loadable(compiled.model, sorted(compiled.outputs), prepared.source)
    return message(compiled.model, prepared)


@np.errstate(all="ignore")  # as in the model's own constants
def emit(prepared: Prepared, plan: Plan, answer: ConversionSpec, measured: Tape, narrow: bool = True) -> ConvertedModel:
    """A prepared, planned and measured model that explains itself.

    ``narrow`` leaves what is stored in 16 bits in 16 bits; else everything is computed in float32.

    Raises:
        TargetError: more targets than outputs.
        ConversionError: something depends on the number of samples.
    """
    model = single_precision(prepared.source_model) if narrow else throughout(prepared.source_model)
    as_matrices(model)
    own, values = set(model.graph), named_values(model.graph)
    graph = Graph(model.graph, opset_of(model), values[plan.inputs[0]])
    read = set(plan.differences) if answer.ledger else set(answer.layers.values())  # a difference has fewer digits
    tape, weights = make_tape(plan, prepared.model, values, measured, OnnxBackend(graph), read)
    sizes = {value.name or "": measured.shapes[value.name or ""] for value in prepared.inputs}
    batched = prepared.batched(measured.shapes[plan.target], sizes)
    inputs = tuple(value.name or "" for value in prepared.inputs)
    emission = Emission(plan, answer, graph, tape, weights, inputs, batched, prepared.source, ConvertedModel(model))
    try:
        emission.run()
    except OnnxLrpError:
        raise
    except UNFIT:  # a size that only a run knows cannot be reckoned with
        raise ConversionError(
            f"{prepared.source}: mixes samples, or something depends on their number in a way that cannot be compiled; "
            "fix that number (--shape NAME=1,...)"
        ) from None
    graph.prune(own)
    _forget_shapes(model.graph)
    model.ir_version = max(model.ir_version, OLDEST_IR)
    about = {
        "version": __version__, "source_sha256": prepared.sha256, "composite": str(plan.composite),
        "explains": prepared.output, "targets": str(answer.targets), **about_seed(answer.seed, answer.fed),
    }  # fmt: skip
    if prepared.pass_ops:
        about["pass_ops"] = ", ".join(prepared.pass_ops)
    if prepared.profile:
        about["profile"] = str(prepared.profile)
    if waiting := next(unknown_bounds(plan), ""):
        about["note"] = waiting
    model.metadata_props.update({f"{METADATA}.{key}": value for key, value in about.items()})
    return emission.compiled


@dataclass
class Emission:
    """One conversion under way."""

    plan: Plan
    answer: ConversionSpec
    graph: Graph
    tape: Tape
    weights: SymbolicWeights
    inputs: tuple[str, ...]
    batched: bool
    source: str
    compiled: ConvertedModel

    @property
    def xp(self) -> OnnxBackend:
        """The recording backend."""
        return self.weights.recorder

    def run(self) -> None:
        """Append the walk of every target, and the outputs."""
        found = [self.walk(seed) for seed in self.seeds()]
        for name, tensor in {**dict(zip(self.inputs, self.inputs)), **self.answer.layers}.items():
            self.add_relevance(name, tensor, found)
        if self.answer.logits:
            self.compiled.logits = self.add_output(self.tape.values[self.plan.target], "logits")

    def seeds(self) -> list[Symbol]:
        """The relevances to start with, one per target."""
        logits, answer = self.tape.values[self.plan.target], self.answer
        seeds = Seeds(self.xp, self.graph.graph, logits, self.batched)
        if not 1 <= answer.targets <= seeds.size:
            raise TargetError(f"{self.source}: cannot explain {answer.targets} of {seeds.size} outputs")
        self.compiled.control = self._free("seed" if answer.seed == "input" else "target")
        if answer.seed == "input":
            return [seeds.from_input(self.compiled.control)]
        given = seeds.indices(self.compiled.control, answer.targets, not answer.required)
        return list(seeds.from_target(given, self.start(seeds)))

    def start(self, seeds: Seeds) -> Callable[[Symbol], Symbol]:
        """From targets as one-hot rows to what the walk starts with."""
        seed = self.answer.seed
        if not isinstance(seed, Contrast):
            return (lambda one_hot: one_hot) if seed == "one" else lambda one_hot: one_hot * seeds.flat
        seed.check(seeds.shape)
        given = None
        if self.answer.fed:
            self.compiled.rival = name = self._free(seed.kind)
            fed, optional = self.answer.fed, not self.answer.required
            given = seeds.indices(name, fed, optional) if seed.kind == "against" else seeds.number(name)
        return SymbolicContrast(self.xp, seed, seeds.flat, given).start

    def walk(self, seed: Symbol) -> dict[str, Symbol]:
        """Relevance by tensor."""
        book, masks = SymbolicLedger(self.xp) if self.answer.ledger else None, MaskAudit()
        found = walk(self.plan, self.tape, self.weights, seed, set(self.answer.layers.values()), book, masks)
        self.compiled.unproven |= {step.outputs[0] for step, _ in masks.unproven}
        if book is not None:
            self.compiled.ledger, self.compiled.steps = self.add_output(book.page(), "ledger"), tuple(book.steps)
        return found

    def add_relevance(self, name: str, tensor: str, found: Sequence[Mapping[str, Symbol]]) -> None:
        """An output for the relevance of one tensor; with several targets they are its second axis."""
        zeros = self.xp.zeros_like(self.tape.values[tensor])
        relevances = [relevance.get(tensor, zeros) for relevance in found]
        if len(relevances) > 1:
            relevances = [self.xp.reshape(r, (r.shape[0], 1, *r.shape[1:])) for r in relevances]
        title = "relevance" if self.inputs == (name,) else f"relevance_{name}"
        self.compiled.relevance[name] = self.add_output(self.xp.concat(relevances, 1), title)

    def add_output(self, symbol: Symbol, name: str) -> str:
        """An output of this name, or a longer one."""
        batch = (dims(self.graph.samples) or ["N"])[0]
        shape = [n if isinstance(n, int) else batch if n == BatchSize() else None for n in symbol.shape]
        name = self._free(name)
        self.graph.output(symbol, name, shape)
        return name

    def _free(self, name: str) -> str:
        """The name, or a longer one if the source uses it."""
        while name in self.graph.taken:
            name = f"lrp_{name}"
        return name


def _forget_shapes(graph: ir.Graph) -> None:
    """What exporters say of tensors inside is sometimes wrong, runtimes believe it, and every runtime infers it."""
    for node in graph:
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = value.type = None


def message(model: ir.Model, prepared: Prepared) -> onnx.ModelProto:
    """The converted model as a message."""
    proto = ir.to_proto(model)
    for value in proto.graph.output:
        if value.name in prepared.untyped:  # a ZipMap's, which onnx_ir has no type for
            value.CopyFrom(prepared.untyped[value.name])
    return proto
