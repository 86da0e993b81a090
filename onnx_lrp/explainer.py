"""The public face: ``Explainer(model, ...)(x)`` gives an :class:`Explanation`."""

from __future__ import annotations

import contextlib
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache as cached
from functools import partial
from typing import Any, Literal

import numpy as np

from . import backends
from .checking.observed import alike, seen
from .checking.preparing import doubted
from .composites import Composite
from .composites.pictured import from_preprocessing
from .engines.base import Engine, Question, Result, original
from .engines.building import Build, Setup, first_that_fits
from .engines.recipe import recipe
from .engines.verifying import verify
from .errors import (
    CompositeError,
    ConversionError,
    InputError,
    NumericalError,
    OnnxLrpError,
    TargetError,
    UnsupportedModelError,
    names_of,
)
from .explanation import Context, Explanation
from .explanation.context import nothing
from .inputs import check_inputs
from .model.fixing import Fixed, by_name
from .model.graph import dims
from .model.loading import Source, pack
from .model.preparation import declared_inputs
from .model.prepared import Prepared
from .model.profile import STRICT, Profile
from .model.runtime import SessionOptions
from .model.sizing import Shapes
from .pictures.intake import Intake, Taken, Way, take
from .pictures.labels import LabelSource, index_of
from .pictures.metadata import found_labels
from .pictures.preprocessing import Preprocessing
from .propagation.ids import check_ids
from .propagation.ledger import Conservation, LedgerEntry
from .propagation.plan import Plan, resolve_layers
from .targets import AnyTarget, Contrast, Rivals, Seed, as_region, as_seed
from .text import printable

MOST_SIZES = 16  # for which a model is kept ready whose sizes come with the data


class Explainer:
    """Explains one output of one model; make it once, call it for every batch, from any number of threads.

    It can be pickled and copied: what travels is the model and these arguments.

    Args:
        model: path, bytes, or ``onnx.ModelProto``.
        composite: a :class:`Composite`, or a string ``NAME[:key=value,...]``.
        output: name of the output, tensor or node to explain, the first output by default. A head at the end (Softmax,
            Sigmoid, ArgMax ...) is cut off: what is explained is the logit before it.
        backend: ``"onnx"`` (compiled, float32, CPU: the fastest), ``"torch"``, ``"numpy"``, or ``"auto"``: the first of
            these that has the dtype and the device and can take the model.
        dtype: ``"float32"`` or ``"float64"``; by default float64 on NumPy and float32 on the others.
        device: Torch's device, for example ``"cuda"``.
        batchnorm: what a BatchNormalization does that cannot be merged: ``"affine"`` (Epsilon on the diagonal map) or
            ``"pass"`` (relevance unchanged).
        pass_ops: activations that are not ReLU-compatible, for example ``("Gelu",)``: relevance passes them unchanged,
            on your own responsibility.
        verify: compare the canonized model's answer with the original's on the first batch.
        facts: use static facts to skip work that is provably zero; off gives the same result, more slowly.
        fixed: inputs that are constants of the question (an adjacency, a mask, a sampling rate): names, if they are
            fed like the others, or values by name. They get no relevance, and products with them are linear.
        shapes: sizes of open axes by input, None for one that stays open. Where sizes are missing that the model has to
            know (the length of a recurrent layer), they are those of the data, for each that is met.
        profile: what is explained beyond ReLU nets: ``"strict"`` (nothing, the default), ``"attnlrp"`` (Achtibat et al.
            2024) or ``"cplrp"`` (Ali et al. 2022), with options as ``"attnlrp:gates=half"``; see
            :class:`onnx_lrp.Profile`.
        threads: onnxruntime's threads, 0 for its default.
        providers: onnxruntime's execution providers.
        preprocessing: how pictures become inputs: a preset (``"zero-one"``, ``"raw"``, ``"signed"``, ``"imagenet"``,
            ``"caffe"``), or a :class:`Preprocessing`. By default what the model's own files say, else ``"zero-one"``,
            with a warning. With it, a composite given as a string gets the bounds that z^B needs.
        labels: names of the classes: ``"imagenet"``, a file with one per line, or a list. By default the model's own,
            if it has as many as the output has elements.

    Raises:
        ModelError: the model cannot be read, is malformed, or holds unsupported nodes.
        CompositeError, BackendError, TargetError, InputError: an argument makes no sense.
    """

    def __init__(
        self,
        model: Source,
        composite: str | Composite = "default",
        *,
        output: str | None = None,
        backend: str = "auto",
        dtype: str | None = None,
        device: str | None = None,
        batchnorm: Literal["affine", "pass"] = "affine",
        pass_ops: str | Iterable[str] = (),
        verify: bool = True,
        facts: bool = True,
        fixed: Fixed = (),
        shapes: Shapes | None = None,
        profile: str | Profile = STRICT,
        threads: int = 0,
        providers: Iterable[str] = ("CPUExecutionProvider",),
        preprocessing: str | Preprocessing | None = None,
        labels: LabelSource = None,
    ) -> None:
        if batchnorm not in ("affine", "pass"):
            raise CompositeError(f"batchnorm must be 'affine' or 'pass', not {batchnorm!r}")
        trusted = names_of(pass_ops, "pass_ops", CompositeError)
        options = SessionOptions(threads, tuple(providers))
        intake = Intake.of(preprocessing, labels, model)
        if isinstance(composite, str) and intake.said is not None:
            composite = from_preprocessing(composite, intake.said)
        self._setup = Setup(
            model, Composite.parse(composite), output, batchnorm, trusted, facts, options, by_name(fixed), shapes or {},
            Profile.parse(profile), intake,
        )  # fmt: skip
        self._unverified = verify
        self._begin(backends.choices(backend, dtype, device))

    def _begin(self, choices: Sequence[backends.Choice]) -> None:
        """Build, or leave it to the first call where sizes are missing that the data will have."""
        self._choices = tuple(choices)
        self._lock = threading.Lock()
        self._sized: dict[str, Explainer] = {}
        self._missing: UnsupportedModelError | None = None
        try:
            self._first = first_that_fits(self._setup, self._choices)
        except UnsupportedModelError as error:
            if not all(problem.sizes for problem in error.problems):
                raise
            self._missing = error

    @property
    def _built(self) -> Build:
        """What computes; of a model whose sizes come with the data, for the sizes that were met last."""
        if self._missing is None:
            return self._first
        if not self._sized:
            raise self._missing
        return list(self._sized.values())[-1]._built

    def _for(self, x: Any) -> Explainer:
        """This one, or the one for the sizes of these inputs."""
        if self._missing is None:
            return self
        declared, source = declared_inputs(self._setup.model)
        fed = [value for value in declared if self._setup.fixed.get(value.name or "") is None]
        feeds = check_inputs(x, fed, source)
        shapes = {name: (None if a.ndim else 0, *a.shape[1:])[: a.ndim] for name, a in feeds.items()}
        with self._lock:
            if str(shapes) not in self._sized:
                child, setup = (
                    Explainer.__new__(Explainer),
                    replace(self._setup, shapes={**shapes, **self._setup.shapes}),
                )
                child.__setstate__({"setup": setup, "choices": self._choices, "unverified": self._unverified})
                self._sized[str(shapes)] = child
                for oldest in list(self._sized)[:-MOST_SIZES]:
                    del self._sized[oldest]
            return self._sized[str(shapes)]

    @property
    def composite(self) -> Composite:
        """Which rule goes where."""
        return self._setup.composite

    @property
    def options(self) -> SessionOptions:
        """How onnxruntime runs."""
        return self._setup.options

    @property
    def prepared(self) -> Prepared:
        """The canonized model."""
        return self._built.prepared

    @property
    def plan(self) -> Plan:
        """Steps, rules and facts."""
        return self._built.plan

    @property
    def engine(self) -> Engine:
        """What computes."""
        return self._built.engine

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes: those that were given, else the model's own if their number fits; or none."""
        if self._setup.intake.labels or (self._missing is not None and not self._sized):
            return self._setup.intake.labels
        found = found_labels(self.prepared.source_model.metadata_props, self._setup.intake.beside)
        shape = (dims(self.prepared.model.graph.outputs[0]) or [])[1:]
        sizes = [size for size in shape if isinstance(size, int)]
        return found if shape and len(sizes) == len(shape) and math.prod(sizes) == len(found) else ()

    @property
    def way(self) -> Way:
        """How pictures become inputs, and who said so."""
        return self._setup.intake.way(self.prepared.source_model)

    def settings(self, seed: Seed = "logit", target: AnyTarget = None) -> dict[str, Any]:
        """Everything that decides an explanation but for the data, for JSON; see :mod:`onnx_lrp.engines.recipe`."""
        return recipe(self._setup, self._built, seed, _regions([target]))

    def __repr__(self) -> str:
        """Model, output and rules."""
        if self._missing is not None and not self._sized:
            return f"Explainer of a model whose sizes come with the data, by {self.composite.name}"
        counts = Counter(str(step.rule) for step in self.plan.steps if step.rule is not None)
        rules = ", ".join(f"{rule} on {n}" for rule, n in counts.most_common())
        return f"{self.prepared.source}: explains {printable(self.prepared.output)!r} by {self.composite.name}: {rules}"

    def __getstate__(self) -> dict[str, Any]:
        """What it was made of, the model as one message: sessions are made anew where it arrives."""
        built = None if self._missing else self._first
        choices = self._choices if built is None else (built.choice, *built.left)
        return {"setup": replace(self._setup, model=pack(self._setup.model)), "choices": choices,
                "unverified": self._unverified}  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._setup, self._unverified = state["setup"], state["unverified"]
        self._begin(state["choices"])

    def __call__(
        self,
        x: Any,
        target: AnyTarget | str | Sequence[str] = None,
        *,
        seed: Seed | None = None,
        against: Rivals = None,
        baseline: float | None = None,
        layers: Iterable[str] = (),
        ledger: bool = False,
    ) -> Explanation:
        """Explain a batch.

        Args:
            x: array, dict by input name, or list in the model's order; any batch size that the model takes. Pictures
                are prepared: a path or several, one of Pillow's or several, or uint8 of shape (H, W, 3) or (N, H, W,
                3). Torch's tensors are arrays.
            target: None (argmax per sample), an int or tuple for all samples, or one per sample; an int counts in
                the flattened output of a sample. A :class:`Region`, or a tuple with slices in it, explains a weighted
                sum of many elements.
            seed: initial relevance of the target: ``"logit"`` (its value), ``"one"``, ``"probability"`` (its softmax),
                ``"odds"`` (it against all other classes by their probability), ``"margin"`` (it against the largest
                other one), or an array of the output's shape; by default what the
                composite says, the logit.
            against: with the seed ``"logit"``, the index of a class, or several, that are held against the target.
            baseline: with the seed ``"logit"``, what is taken off the value of an output of one element.
            layers: names of nodes or tensors inside the network whose relevance is wanted, too.
            ledger: also account for every node.

        Raises:
            InputError, TargetError: the arguments do not fit the model.
            NumericalError: relevance is not finite.
            VerificationError: the canonized model does not answer like the original.
        """
        taken = self._taken(x)
        wanted, start = [self._meant(target)], self._seed(seed, against, baseline)
        return self._for(taken.feeds)._explanations(taken, wanted, start, layers, ledger)[0]

    def _taken(self, x: Any) -> Taken:
        """What is fed, with pictures prepared."""
        if isinstance(x, np.ndarray) and x.dtype.kind == "f":
            return Taken(x)
        declared = self.prepared.inputs if self._missing is None else declared_inputs(self._setup.model)[0]
        return take(x, declared, self._prepare_by)

    def _prepare_by(self) -> Preprocessing:
        return self.way.convention.preprocessing

    def _meant(self, target: AnyTarget | str | Sequence[str]) -> AnyTarget:
        """Of a class's name its index, of several names, one per sample, all of them."""
        if isinstance(target, str):
            return index_of(target, self.labels)
        if isinstance(target, list | tuple) and target and all(isinstance(name, str) for name in target):
            return [index_of(name, self.labels) for name in target]
        return target  # type: ignore[return-value]

    def _seed(self, seed: Seed | None, against: Rivals, baseline: float | None) -> Seed:
        """What was asked for, or else the composite's own."""
        return as_seed(self.composite.seed_for(seed, against, baseline), against, baseline)

    def several(
        self,
        x: Any,
        targets: int | Iterable[AnyTarget],
        *,
        seed: Seed | None = None,
        against: Rivals = None,
        baseline: float | None = None,
        layers: Iterable[str] = (),
        ledger: bool = False,
    ) -> list[Explanation]:
        """Explain several targets of a batch over one forward pass.

        Args:
            x: as for a call.
            targets: how many of the largest outputs (at most as many as there are), or a list whose entries are each a
                target as for a call.
            seed: as for a call.
            against: as for a call.
            baseline: as for a call.
            layers: as for a call.
            ledger: as for a call.

        Returns:
            One explanation per target; for a number, the largest output's comes first.

        Raises:
            InputError, TargetError, NumericalError, VerificationError: as for a call.
        """
        wanted = targets if isinstance(targets, int) else [self._meant(target) for target in targets]
        if not wanted:
            raise TargetError("no target given")
        taken = self._taken(x)
        start = self._seed(seed, against, baseline)
        return self._for(taken.feeds)._explanations(taken, wanted, start, layers, ledger)

    def attribute(
        self, inputs: Any, target: AnyTarget = None, return_convergence_delta: bool = False, **options: Any
    ) -> Any:
        """A batch's relevance alone, in the habit of Captum's ``attribute``.

        Args:
            inputs: as for a call; Torch's tensors are taken, too.
            target: as for a call.
            return_convergence_delta: also return what does not arrive at the inputs.
            options: as for a call (``seed``, ...).

        Returns:
            Relevance, an array of the input's shape, or a dict by name if there are several. With the delta: a pair of
            that and Δ, float64 of shape (samples,), with Captum's sign: what the target has, less what the inputs get.

        Raises:
            InputError, TargetError, NumericalError, VerificationError: as for a call.
        """
        explanation = self(inputs, target, **options)
        if not return_convergence_delta:
            return explanation.relevance
        return explanation.relevance, explanation.conservation.absorbed

    def probability(self, x: Any) -> np.ndarray | None:
        """What the model makes of the logits behind the head that was cut off; None if there is none, or only labels.

        Args:
            x: as for a call.
        """
        taken = self._taken(x)
        prepared = self._for(taken.feeds).prepared
        if prepared.probability is None:
            return None
        feeds = check_inputs(taken.feeds, prepared.inputs, prepared.source)
        return original(prepared, feeds, self.options, prepared.probability)

    def _explanations(
        self, taken: Taken, targets: int | list[AnyTarget], seed: Seed, layers: Iterable[str], ledger: bool
    ) -> list[Explanation]:
        feeds = check_inputs(taken.feeds, self.prepared.inputs, self.prepared.source)
        check_ids(feeds, self.plan, self.prepared.model, self.prepared.source)
        wanted = resolve_layers(self.plan, layers, self.prepared.source)
        verifying = self._unverified
        with np.errstate(all="ignore"):  # what is not finite is an error in the end
            built, results = self._answered(feeds, targets, Question(0, seed, wanted, ledger, audit=verifying))
            if verifying:
                verify(built, feeds, results[0])
                self._unverified = False
            settings = partial(recipe, self._setup, built, seed, _regions(targets))
            pictures = taken.first is not None or self._setup.intake.said is not None
            context = self._context(feeds, settings, seed, results[0].logits[0].size, pictures)
            found = [self._explanation(feeds, result, wanted, context) for result in results]
        differ = len(found) > 1 and not isinstance(seed, Contrast)  # a margin and its mirror image are alike
        several = cached(partial(alike, found)) if differ else tuple[str, ...]
        prepared = cached(partial(self._about_pictures, taken))
        return [
            replace(e, doubts=partial(self._doubts, e, feeds, seed, lambda: (*prepared(), *several()))) for e in found
        ]

    def _about_pictures(self, taken: Taken) -> tuple[str, ...]:
        """Whether pictures were prepared as the model expects them."""
        if taken.first is None:
            return ()
        name, pixels = taken.first
        way, assumed = self.way, [self.way.warning] if self.way.warning else []
        return (*assumed, *self.doubts_of(pixels, name, way))

    def doubts_of(self, pixels: np.ndarray, name: str, way: Way) -> tuple[str, ...]:
        """Why a picture may not be prepared as the model expects it, in a line; it is run in the usual ways for that.

        Args:
            pixels: (H, W, 1) or (H, W, 3), 0 to 255.
            name: the input's.
            way: how it was prepared; what is settled gives no doubt.
        """
        value = next(value for value in self.prepared.inputs if value.name == name)
        if way.settled:
            return ()
        return doubted(self.prepared, self.options, value, pixels, way.convention, self._fitting(None))

    def _doubts(
        self, explanation: Explanation, feeds: dict[str, np.ndarray], seed: Seed, several: Callable[[], tuple[str, ...]]
    ) -> tuple[str, ...]:
        """What an explanation gives reason to doubt, on its own and among several of a batch."""
        ask = partial(self._ledger_of_one, explanation, feeds, seed)
        return (*several(), *seen(explanation, self.plan, feeds, ask))

    def _ledger_of_one(
        self, explanation: Explanation, feeds: dict[str, np.ndarray], seed: Seed
    ) -> tuple[LedgerEntry, ...]:
        """The account of the first sample, or of all where inputs have no samples of their own."""
        count = len(explanation.target)
        alone = all(x.shape[:1] == (count,) for x in feeds.values()) and isinstance(seed, str | Contrast)
        with contextlib.suppress(OnnxLrpError):  # a model may not take one sample
            some = {name: x[:1] for name, x in feeds.items()} if alone else feeds
            question = Question([explanation.target[:1] if alone else explanation.target], seed, ledger=True)
            with np.errstate(all="ignore"):
                return self._run(some, question)[1][0].entries
        return ()

    def _answered(
        self, feeds: dict[str, np.ndarray], targets: int | list[AnyTarget], question: Question
    ) -> tuple[Build, list[Result]]:
        """All targets over one forward pass, but regions one by one."""
        listed = [] if isinstance(targets, int) else targets
        regions = [as_region(target) for target in listed]
        if not any(regions):
            return self._run(feeds, replace(question, targets=targets))
        answers = [self._run(feeds, replace(question, targets=[None if region else target], region=region))
                   for target, region in zip(listed, regions)]  # fmt: skip
        return answers[-1][0], [result for _, found in answers for result in found]

    def _run(self, feeds: dict[str, np.ndarray], question: Question) -> tuple[Build, list[Result]]:
        """Explain by the first backend that can take these inputs.

        Of a model that is malformed in a way that only onnxruntime finds, its verdict is the error.
        """
        built = self._built
        while True:
            try:
                return built, built.engine.run(feeds, question)
            except ConversionError:
                if not built.left:
                    raise
                built = self._behind(built)
            except OnnxLrpError:
                raise
            except Exception:
                original(built.prepared, feeds, self.options)
                raise

    def _behind(self, failed: Build) -> Build:
        """The build for the next choice; made once, whichever thread comes first."""
        with self._lock:
            if self._first is failed:
                self._first = first_that_fits(self._setup, failed.left)
            return self._first

    def _fitting(self, size: int | None) -> tuple[str, ...]:
        """The labels, where the output has as many elements.

        Raises:
            InputError: labels were given, but not as many.
        """
        if self._setup.intake.labels and size not in (None, len(self.labels)):
            raise InputError(f"{len(self.labels)} labels given, but the output has {size} elements; they must agree")
        return self.labels if size in (None, len(self.labels)) else ()

    def _context(
        self, feeds: dict[str, np.ndarray], settings: Callable[[], dict[str, Any]], seed: Seed, size: int,
        pictures: bool,
    ) -> Context:  # fmt: skip
        """Where the explanations of a batch come from; the model's own answer only when somebody reads it."""
        prepared, plan = self.prepared, self.plan
        has_head = prepared.probability is not None
        ask = partial(original, prepared, feeds, self.options, prepared.probability) if has_head else nothing
        return Context(
            prepared.source, prepared.sha256, prepared.output, self.composite.name, str(self.composite),
            tuple((step.name, step.op, str(step.rule)) for step in plan.steps if step.rule is not None),
            str(prepared.profile), str(seed) if isinstance(seed, str | Contrast) else "array", self.engine.name,
            self.engine.dtype.name, self._fitting(size), feeds, settings, ask,
            self._prepare_by() if pictures else None,
        )  # fmt: skip

    def _explanation(
        self, feeds: dict[str, np.ndarray], result: Result, wanted: dict[str, str], context: Context
    ) -> Explanation:
        found, n = result.relevance, len(result.logits)
        relevance = {name: self._result(found, name, x.shape) for name, x in feeds.items()}
        inside = {name: found[tensor] for name, tensor in wanted.items() if tensor in found}
        shared = [relevance[name] for name in self.plan.inputs]
        parts = [r.reshape(n, -1).sum(1, dtype=np.float64) for r in shared if r.shape[:1] == (n,)]
        sizes = [np.abs(r.reshape(n, -1)).sum(1, dtype=np.float64) for r in shared if r.shape[:1] == (n,)]
        start = np.asarray(result.start)
        if len(parts) < len(shared):  # some input has no axis of samples in front
            start, parts = start.sum(keepdims=True), [np.array([float(r.sum())]) for r in shared]
            sizes = [np.array([float(np.abs(r).sum())]) for r in shared]
        account = Conservation(start, np.asarray(sum(parts)), np.asarray(sum(sizes)))
        return Explanation(relevance, result.logits, result.index, inside, account, result.entries, context=context)

    def _result(self, found: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Relevance of one input; zeros if none of it got there."""
        if name not in found:
            return np.zeros(shape, self.engine.dtype)
        result = found[name].reshape(shape)
        if not np.isfinite(result).all():
            raise NumericalError(
                f"{self.prepared.source}: relevance of input {printable(name)!r} is not finite; "
                "use dtype='float64', a larger epsilon, or smaller weights"
            )
        return result


def _regions(targets: int | list[AnyTarget]) -> list[str]:
    """The targets that are no single element, as words."""
    return [] if isinstance(targets, int) else [str(region) for region in map(as_region, targets) if region]


def explain(
    model: Source,
    x: Any,
    target: AnyTarget | str | Sequence[str] = None,
    *,
    composite: str | Composite = "default",
    output: str | None = None,
    seed: Seed | None = None,
    against: Rivals = None,
    baseline: float | None = None,
    layers: Iterable[str] = (),
    ledger: bool = False,
    backend: str = "auto",
    dtype: str | None = None,
    device: str | None = None,
    batchnorm: Literal["affine", "pass"] = "affine",
    pass_ops: str | Iterable[str] = (),
    verify: bool = True,
    facts: bool = True,
    fixed: Fixed = (),
    shapes: Shapes | None = None,
    profile: str | Profile = STRICT,
    preprocessing: str | Preprocessing | None = None,
    labels: LabelSource = None,
    threads: int = 0,
    providers: Iterable[str] = ("CPUExecutionProvider",),
) -> Explanation:
    """Explain one batch: ``Explainer(model, ...)(x, target, ...)``; for several, make the :class:`Explainer` once.

    Args:
        model: path, bytes, or ``onnx.ModelProto``.
        x: as for a call of the Explainer: array, dict by input name, or list in the model's order.
        target: as for a call: what of the output is explained; None is each sample's argmax.
        composite: as for the Explainer: which rule goes where.
        output: as for the Explainer: the output, tensor or node to explain.
        seed: as for a call: what the walk starts with.
        against: as for a call: the class, or several, to hold the target against.
        baseline: as for a call: what is taken off the value of an output of one element.
        layers: as for a call: nodes or tensors inside whose relevance is wanted, too.
        ledger: as for a call: also account for every node.
        backend: as for the Explainer, like all that follow: ``"auto"``, ``"onnx"``, ``"torch"`` or ``"numpy"``.
        dtype: ``"float32"`` or ``"float64"``.
        device: Torch's.
        batchnorm: what a BatchNormalization does that cannot be merged.
        pass_ops: activations that relevance passes unchanged, on your own responsibility.
        verify: compare the canonized model's answer with the original's.
        facts: use static facts to skip work that is provably zero.
        fixed: inputs that are constants of the question.
        shapes: sizes of open axes by input.
        profile: what is explained beyond ReLU nets.
        preprocessing: how pictures become inputs.
        labels: names of the classes.
        threads: onnxruntime's.
        providers: onnxruntime's execution providers.

    Raises:
        OnnxLrpError: as for the Explainer, and for a call of it.
    """
    explainer = Explainer(
        model, composite, output=output, backend=backend, dtype=dtype, device=device, batchnorm=batchnorm,
        pass_ops=pass_ops, verify=verify, facts=facts, fixed=fixed, shapes=shapes, profile=profile,
        preprocessing=preprocessing, labels=labels, threads=threads, providers=providers,
    )  # fmt: skip
    return explainer(x, target, seed=seed, against=against, baseline=baseline, layers=layers, ledger=ledger)
