"""What ``onnx-lrp doctor`` looks at: packages, the machine, and what each backend answers."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .. import __version__
from ..model.processors import available_cpus
from ..text import printable, table

NEEDED = ("numpy", "onnx", "onnx-ir", "onnxruntime", "pillow")
EXTRAS = {
    "torch": "torch",
    "tokenizers": "text",
    "jinja2": "report",
    "quantus": "quantus",
    "pyarrow": "batch",
    "zarr": "batch",
    "filelock": "batch",
    "rich": "batch",
    "ray": "ray",
    "fastapi": "serve",
    "uvicorn": "serve",
}  # packages, and the extra that brings each
CLOSE_ENOUGH = 1e-4  # of the largest |R|: float32 against float64


@dataclass(frozen=True)
class Examination:
    """What was found.

    Attributes:
        system: Python and the machine.
        packages: versions of what is needed, None for what is missing.
        extras: versions of what is optional, None for what is not installed.
        backends: "ok", or what is wrong, for each that was tried.
    """

    system: dict[str, str]
    packages: dict[str, str | None]
    extras: dict[str, str | None]
    backends: dict[str, str]

    @property
    def well(self) -> bool:
        """Whether everything works that is needed or installed."""
        return None not in self.packages.values() and all(said.startswith("ok") for said in self.backends.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "well": self.well}

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        needed = [(name, found or f"missing; pip install {name}") for name, found in self.packages.items()]
        extras = [
            (name, found or f"not installed; pip install 'onnx_lrp[{EXTRAS[name]}]'")
            for name, found in self.extras.items()
        ]
        yield from table(("system", ""), list(self.system.items()))
        yield from ("", *table(("package", "version"), needed))
        yield from ("", *table(("optional", "version"), extras))
        yield from ("", *table(("backend", "self-test"), list(self.backends.items())))
        yield from ("", "all is well" if self.well else "something is wrong, see above")


def examine() -> Examination:
    """Look at everything; what fails is told, never raised."""
    packages = {name: _version(name) for name in NEEDED}
    extras = {name: _version(name) for name in EXTRAS}
    tried = ["numpy", "onnx"] + ["torch"] * (extras["torch"] is not None)
    return Examination(_system(extras["torch"] is not None), packages, extras, _tested(tried))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _system(torch: bool) -> dict[str, str]:
    found = {
        "onnx_lrp": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
        "processors": f"{available_cpus()} (threads of onnxruntime by default; --threads sets them)",
        "onnxruntime": _said(_providers),
        "telemetry": "off" if os.environ.get("ORT_DISABLE_TELEMETRY") == "1" else "as ORT_DISABLE_TELEMETRY says",
        "cache": "none: nothing is kept but in the files that you name",
    }
    return found | ({"torch": _said(_devices)} if torch else {})


def _said(ask: Any) -> str:
    """An answer, or why there is none."""
    try:
        return str(ask())
    except Exception as error:  # a package that is broken in any way
        return _why(error)


def _why(error: Exception) -> str:
    return f"fails: {printable(f'{type(error).__name__}: {error}', 300)}"


def _providers() -> str:
    import onnxruntime

    return ", ".join(onnxruntime.get_available_providers())


def _devices() -> str:
    import torch

    found = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join(["cpu", *(f"cuda:{i} ({printable(name)})" for i, name in enumerate(found))])


def _tested(backends: list[str]) -> dict[str, str]:
    """What each makes of the same question."""
    return {backend: _said(lambda backend=backend: _compared(backend)) for backend in backends}


def _compared(backend: str) -> str:
    """How far an explanation is from NumPy's in float64."""
    import numpy as np

    from ..explainer import Explainer

    model, x = _tiny()
    reference = Explainer(model, "epsilon_plus", backend="numpy")(x)
    found = Explainer(model, "epsilon_plus", backend=backend)(x)
    wanted, given = reference.inputs["x"], found.inputs["x"]
    apart = float(np.abs(given - wanted).max() / np.abs(wanted).max())
    if not apart <= CLOSE_ENOUGH or (found.target != reference.target).any():
        return f"differs from NumPy's answer by {apart:.1e} of its largest |R|"
    return f"ok, {apart:.1e} from NumPy's answer in float64"


def _tiny() -> tuple[Any, Any]:
    """Convolution, ReLU, dense layer; and two inputs, float32 of shape (2, 1, 6, 6)."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    w, v = (rng.normal(size=shape).astype(np.float32) for shape in ((3, 1, 3, 3), (48, 4)))
    nodes = [helper.make_node("Conv", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
             helper.make_node("Flatten", ["r"], ["f"]), helper.make_node("MatMul", ["f", "v"], ["y"])]  # fmt: skip
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 6, 6])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])]
    weights = [numpy_helper.from_array(w, "w"), numpy_helper.from_array(v, "v")]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model, rng.uniform(size=(2, 1, 6, 6)).astype(np.float32)
