"""Export a network, check it, and hold its explanation against the framework's own gradient."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch

import onnx_lrp as lrp


@dataclass
class Net:
    """A torch module and what it is fed, or a model that another framework exported (``model``)."""

    module: torch.nn.Module | None
    inputs: tuple[torch.Tensor, ...] = ()
    model: onnx.ModelProto | None = None
    fixed: tuple[str, ...] = ()


def exported(net: Net, exporter: str) -> onnx.ModelProto:
    """As ONNX, by either of torch's exporters, without what these print."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return _exported(net, exporter)


def _exported(net: Net, exporter: str) -> onnx.ModelProto:
    if net.model is not None:
        return net.model
    assert net.module is not None
    net.module.eval()
    names = [f"x{i}" for i in range(len(net.inputs))]
    if exporter == "jit":
        file = io.BytesIO()
        kept = torch.onnx.TrainingMode.PRESERVE  # else BatchNorm is folded in float32, which the gradient is not
        torch.onnx.export(
            net.module, net.inputs, file, input_names=names, dynamo=False, opset_version=18, training=kept
        )
        return onnx.load_from_string(file.getvalue())
    # as it is written, BatchNorm is not folded in float32; but the bias of a 3-D convolution has a wrong shape then
    folded = any(isinstance(part, torch.nn.Conv3d) for part in net.module.modules())
    program = torch.onnx.export(net.module, net.inputs, input_names=names, dynamo=True, verbose=False, optimize=folded)
    return program.model_proto


def checked(model: onnx.ModelProto) -> dict[str, Any]:
    """The verdict, and reasons in the library's words."""
    try:
        report = lrp.check(model)
    except lrp.OnnxLrpError as error:
        return {"verdict": "error", "why": str(error)[:300]}
    if report.supported:
        return {"verdict": "accepted"}
    reasons = sorted({f"{problem.op}: {problem.reason}"[:160] for problem in report.problems})
    return {"verdict": "refused", "reasons": reasons, "why": "; ".join(reasons)[:300]}


def profiled(net: Net, model: onnx.ModelProto, profile: str) -> dict[str, Any]:
    """Whether a network that strict refuses is explained under a profile, and for what it is refused there, too."""
    try:
        report = lrp.check(model, profile=profile, composite="epsilon")
        if not report.supported:
            reasons = sorted({f"{problem.op}: {problem.reason}"[:160] for problem in report.problems})
            return {"profile": "refused", "left": reasons}
        feeds = {value.name: x.numpy() for value, x in zip(model.graph.input, net.inputs)} or _some(model)
        explainer = lrp.Explainer(model, "epsilon", backend="torch", dtype="float32", profile=profile)
        found = explainer(feeds)
        size = max(float(np.abs(r).max()) for r in found.inputs.values())
        return {"profile": "explained", "size": size}
    except lrp.OnnxLrpError as error:
        return {"profile": "error", "left": [f"{type(error).__name__}: {error}"[:300]]}


def _some(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Two samples of numbers for each input."""
    rng = np.random.default_rng(0)
    sizes = {v.name: [d.dim_value or 2 for d in v.type.tensor_type.shape.dim] for v in model.graph.input}
    return {name: rng.standard_normal(size).astype(np.float32) for name, size in sizes.items()}


def compared(net: Net, model: onnx.ModelProto) -> dict[str, Any]:
    """The largest difference to gradient × input, relative to its largest entry; None where there is no gradient."""
    if net.module is None or not all(x.dtype.is_floating_point for x in net.inputs):
        return {"error": None}
    if any(node.op_type in ("LSTM", "GRU") for node in model.graph.node):
        return {"error": None, "why": "gates are no piecewise linear functions"}
    feeds = {value.name: x.numpy() for value, x in zip(model.graph.input, net.inputs)}
    zero = lrp.Composite("zero", (), lrp.Zero())
    explainer = lrp.Explainer(model, zero, backend="torch", dtype="float64")
    explanation = explainer(feeds)
    module = net.module.double()
    inputs = [x.double().requires_grad_() for x in net.inputs]
    answer = first(module(*inputs))
    rows = answer.reshape(len(explanation.target), -1) if answer.numel() == explanation.output.size else None
    if rows is None:
        return {"error": None, "why": "another tensor is explained than the module returns"}
    chosen = rows[torch.arange(len(rows)), torch.as_tensor(explanation.target)]
    if not np.allclose(rows.detach().numpy().reshape(-1), explanation.output.reshape(-1), rtol=1e-3, atol=1e-4):
        return {"error": None, "why": "a head was cut off"}
    gradients = torch.autograd.grad(chosen.sum(), inputs, allow_unused=True)
    free = {value.name for value in explainer.prepared.explaining}
    pairs = [(x, g, explanation.inputs[n]) for n, x, g in zip(feeds, inputs, gradients) if n in free]
    wanted = [x.detach() * (torch.zeros_like(x) if g is None else g) for x, g, _ in pairs]
    found = [r for _, _, r in pairs]
    largest = max(float(w.abs().max()) for w in wanted) or 1.0
    return {"error": max(float(np.abs(f - w.numpy()).max()) for f, w in zip(found, wanted)) / largest}


def first(answer: Any) -> torch.Tensor:
    """The first tensor of whatever a module returns."""
    while not isinstance(answer, torch.Tensor):
        answer = next(iter(answer.values() if isinstance(answer, dict) else answer))
    return answer
