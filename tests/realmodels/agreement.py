"""How well the backends agree on a real model, as relative distances ‖R − R'‖ / ‖R'‖ of relevances.

The reference R' is NumPy in float64. Float32 comes in twice: the network's own forward pass is rounded, and so is the
walk back. The first is the model's affair: where a pre-activation, or the distance between two candidates of a max
pooling, is smaller than the rounding, another ReLU or another winner passes the relevance on. So it is measured alone,
by the float64 walk over the float32 activations that onnxruntime computes: ``rounding`` is that one's distance to R'.
Torch in float32 walks over the same activations and must come near; ONNX computes its own, which are rounded otherwise.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from catalogue import RealModel

import onnx_lrp as lrp
from onnx_lrp.engines.recording import OnnxruntimeRecorder

OTHERS = (("torch", "float64"), ("torch", "float32"), ("onnx", "float32"))
BAR, BAR64 = 1e-4, 1e-9
TIMES_FORWARD, TIMES_ROUNDING = 20, 5
UNMIXED = ("Relu", "PRelu", "LRN", "MaxPool", "Concat", "Transpose", "Reshape", "Flatten", "Squeeze")  # lose nothing


@dataclass
class Agreement:
    """One model under one composite: distances and processor seconds (preparation included) by backend and dtype.

    ``forward`` is the distance of onnxruntime's answer, from the file as it is, to NumPy's in float64; ``walk`` that of
    Torch in float32 to the float64 walk over the same activations; ``unaccounted`` the share of relevance that the
    ledger does not explain.
    """

    forward: float
    unaccounted: float
    target: int
    rounding: float = 0.0
    walk: float = 0.0
    distances: dict[tuple[str, str], float] = field(default_factory=dict)
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)

    @property
    def bar(self) -> float:
        """What float32 is allowed."""
        return max(BAR, TIMES_FORWARD * self.forward, TIMES_ROUNDING * self.rounding)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """‖a − b‖ / ‖b‖, in float64."""
    a, b = (np.asarray(v, np.float64).ravel() for v in (a, b))
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def own_answer(source: Path | onnx.ModelProto, tensor: str, x: np.ndarray) -> np.ndarray:
    """A tensor of the file as it is, by onnxruntime."""
    proto = onnx.load(source) if isinstance(source, Path) else onnx.ModelProto.FromString(source.SerializeToString())
    if tensor not in [value.name for value in proto.graph.output]:
        proto.graph.output.append(onnx.ValueInfoProto(name=tensor))
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0]
    return session.run([tensor], {feed.name: x.astype(np.float16) if "float16" in feed.type else x})[0]


def unaccounted(explanation: lrp.Explanation) -> float:
    """The sums that do not come out, and what was lost where nothing can get lost, beside the target's relevance."""
    entries = explanation.ledger
    missing = abs(explanation.conservation.absorbed.sum() - sum(entry.absorbed for entry in entries))
    lost = [abs(entry.absorbed) for entry in entries if entry.op in UNMIXED]
    return float(max(missing, *lost, 0.0) / np.abs(explanation.conservation.target).sum())


def on_float32_activations(explainer: lrp.Explainer, x: np.ndarray, target: int) -> np.ndarray:
    """The float64 walk over the float32 activations that onnxruntime records."""
    prepared, plan, engine = explainer.prepared, explainer.plan, explainer.engine
    engine._recorder = OnnxruntimeRecorder(prepared.model, plan, engine.xp, explainer.options, prepared.source)
    return explainer(x, target).relevance


def measure(model: RealModel, composite: str) -> Agreement:
    """Explain one sample on every backend."""
    source, x = model.load(), model.sample()
    options = {"composite": model.composite(composite), "output": model.output}
    start = time.process_time()
    explainer = lrp.Explainer(source, **options, backend="numpy", dtype="float64")
    reference = explainer(x, ledger=True)
    target = int(reference.target[0])
    found = Agreement(
        forward=distance(own_answer(source, explainer.prepared.target, x), reference.output),
        unaccounted=unaccounted(reference),
        target=target,
        seconds={("numpy", "float64"): time.process_time() - start},
    )
    own = on_float32_activations(explainer, x, target)
    found.rounding = distance(own, reference.relevance)
    del explainer  # large
    for backend, dtype in OTHERS:
        start = time.process_time()
        relevance = lrp.Explainer(source, **options, backend=backend, dtype=dtype)(x, target).relevance
        found.seconds[backend, dtype] = time.process_time() - start
        found.distances[backend, dtype] = distance(relevance, reference.relevance)
        if (backend, dtype) == ("torch", "float32"):
            found.walk = distance(relevance, own)
    return found
