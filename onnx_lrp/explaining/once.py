"""One batch explained, by a model that is used once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from ..composites import Composite
from ..explainer import Explainer
from ..explanation import Explanation
from ..model.fixing import Fixed
from ..model.loading import Source
from ..model.profile import STRICT, Profile
from ..model.sizing import Shapes
from ..pictures.labels import LabelSource
from ..pictures.preprocessing import Preprocessing
from ..targets import AnyTarget, Rivals, Seed


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
