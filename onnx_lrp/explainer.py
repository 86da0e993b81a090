"""The public face: ``Explainer(model, ...)(x)`` gives an :class:`Explanation`."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any, Literal

import numpy as np

from . import backends
from .composites import Composite
from .composites.pictured import from_preprocessing
from .engines.base import original
from .engines.building import Setup
from .errors import CompositeError, TargetError, names_of
from .explaining.batches import explanations
from .explaining.builds import Builds
from .explaining.explained import ExplainedModel
from .explaining.stream import batches_for, check_stream, streamed
from .explanation import Explanation
from .inputs import check_inputs
from .model.fixing import Fixed, by_name
from .model.loading import Source
from .model.profile import STRICT, Profile
from .model.runtime import SessionOptions
from .model.sizing import Shapes
from .pictures.intake import Intake, Taken, take
from .pictures.labels import LabelSource, index_of
from .pictures.preprocessing import Preprocessing
from .streaming.items import Pairs
from .targets import AnyTarget, Rivals, Seed, as_seed


class Explainer(ExplainedModel):
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
        setup = Setup(
            model, Composite.parse(composite), output, batchnorm, trusted, facts, options, by_name(fixed), shapes or {},
            Profile.parse(profile), intake,
        )  # fmt: skip
        self._builds = Builds(setup, backends.choices(backend, dtype, device), verify)

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
                are prepared: a path or several, one of Pillow's or several, or uint8 of shape (H, W, 3), (3, H, W) or
                (H, W), or (N, ...) of these. Torch's tensors are arrays.
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
        return explanations(self._builds.of(taken.feeds), taken, wanted, start, layers, ledger)[0]

    def _taken(self, x: Any) -> Taken:
        """What is fed, with pictures prepared."""
        if isinstance(x, np.ndarray) and x.dtype.kind == "f":
            return Taken(x)
        return take(x, self._builds.declared, lambda: self.way.convention.preprocessing)

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
        return explanations(self._builds.of(taken.feeds), taken, wanted, start, layers, ledger)

    def stream(
        self,
        iterable: Iterable[Any],
        batch: int = 32,
        target: AnyTarget | str = None,
        *,
        pairs: Pairs = "input",
        seed: Seed | None = None,
        against: Rivals = None,
        baseline: float | None = None,
        layers: Iterable[str] = (),
    ) -> Generator[Explanation, None, None]:
        """Explain what an iterator gives, batch by batch, in bounded memory; it may have no end.

        The next batches are read and prepared in one background thread while the model works on this one, so an item
        may be made long before its explanation is asked for. ``close()``, or leaving the loop, ends the thread and
        closes the iterator.

        Each item is one sample or a batch of them, which its rank tells: arrays of the rank that the model declares are
        batches, those of one axis less are samples, as are a path, one of Pillow's pictures, and uint8 of shape (H, W,
        3), (3, H, W) or (H, W); uint8 of shape (N, ...) of these is a batch. Other ranks are an error. Samples are
        gathered, as long as they have one shape; batches are explained as they come, or in parts where they have more
        than ``batch`` samples. A model with a fixed number of samples gets just as many, the last ones filled up with
        copies that are cut off from the explanation.

        Args:
            iterable: an iterator, generator, list or Torch's ``DataLoader``. For a model with several inputs each item
                is a dict by input name, or a list in the model's order.
            batch: how many samples are explained at once.
            target: as for a call, one for all samples.
            pairs: of a model with one input, items may be pairs (x, y): ``"input"`` explains what x is taken for and
                leaves y out, ``"target"`` explains the class y, an index or a name.
            seed: as for a call, but no array.
            against: as for a call.
            baseline: as for a call.
            layers: as for a call.

        Returns:
            An iterator over the explanation of each batch.

        Raises:
            InputError, TargetError, NumericalError, VerificationError: as for a call; what has to do with an item, and
                what the iterator itself raises, in its place, behind the explanations of what came before.
        """
        start = self._seed(seed, against, baseline)
        check_stream(target, start, pairs)
        batches = batches_for(self._builds, iterable, batch, pairs)
        return streamed(self._builds, batches, lambda classes: self._meant(list(classes) or target), start, layers)

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
        prepared = self._builds.of(taken.feeds).built.prepared
        if prepared.probability is None:
            return None
        feeds = check_inputs(taken.feeds, prepared.inputs, prepared.source)
        return original(prepared, feeds, self.options, prepared.probability)
