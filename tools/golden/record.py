"""Writing a golden: a folder with the exporter's files, the native results and what made them.

``golden.npz`` holds ``inputs`` (as the first model takes them when its layout is "NCHW"), ``logits``, ``target``, and
one array per reference; ``golden.json`` names the tool and version of each reference and of each model, with the
tolerances ‖R − R_ref‖ / ‖R_ref‖ that a float64 result must keep.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx

from .network import ROOT, Array

FOLDER = ROOT / "tests" / "regression" / "golden"
EXACT = 1e-9  # the file holds the very weights of the reference
FOLDED = 2e-5  # the exporter merged BatchNorm in float32


@dataclass(frozen=True)
class Model:
    """One ONNX file: which exporter wrote it, how it lays out pictures, how near its relevance must come.

    ``output`` names the output to explain where it is not the first one.
    """

    file: str
    exporter: str
    layout: str = "NCHW"
    tolerance: float = EXACT
    note: str = ""
    output: str | None = None


@dataclass(frozen=True)
class Reference:
    """A relevance that ``tool`` computed in float64; ``composite`` is onnx_lrp's word for it."""

    tool: str
    composite: str


@dataclass
class Golden:
    """A folder in the making."""

    name: str
    description: str
    inputs: Array
    logits: Array
    target: Array
    models: list[Model] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    relevances: list[Array] = field(default_factory=list)

    def path(self, file: str) -> Path:
        """Where a model of this name goes."""
        folder = FOLDER / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder / file

    def add_model(self, model: Model) -> None:
        """Take in a file that an exporter has just written."""
        strip_notes(self.path(model.file))
        self.models.append(model)

    def add(self, reference: Reference, relevance: Array) -> None:
        """Take in a relevance of the shape of the inputs."""
        assert relevance.shape == self.inputs.shape
        assert relevance.dtype == np.float64
        assert np.isfinite(relevance).all()
        self.references.append(reference)
        self.relevances.append(relevance)

    def save(self) -> None:
        """Write the arrays and the description, and remove files of an older run."""
        arrays = {f"relevance_{i}": r for i, r in enumerate(self.relevances)}
        data = {"inputs": self.inputs, "logits": self.logits, "target": self.target, **arrays}
        np.savez_compressed(self.path("golden.npz"), **data)
        text = {
            "description": self.description,
            "python": platform.python_version(),
            "models": [asdict(m) | {"opset": opset(self.path(m.file))} for m in self.models],
            "references": [asdict(r) for r in self.references],
        }
        self.path("golden.json").write_text(json.dumps(text, indent=1, ensure_ascii=False) + "\n")
        keep = {"golden.npz", "golden.json", *(m.file for m in self.models)}
        for path in self.path("").iterdir():
            if path.name not in keep:
                path.unlink()
        print(f"{self.name}: {len(self.models)} models, {len(self.references)} references")


def named(*distributions: str) -> str:
    """Packages with their versions: what made a result."""
    return ", ".join(f"{name} {version(name)}" for name in distributions)


def opset(path: Path) -> int:
    """The file's version of the default domain."""
    model = onnx.load(path)
    return next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))


def strip_notes(path: Path) -> None:
    """Remove doc strings and metadata: some exporters write stack traces with local paths into them."""
    model = onnx.load(path)
    graph = model.graph
    for item in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        for name in ("doc_string", "metadata_props"):
            if name in item.DESCRIPTOR.fields_by_name:
                item.ClearField(name)
    onnx.checker.check_model(model)
    onnx.save(model, path)
