"""Layer-wise Relevance Propagation for any network that can be exported to ONNX.

>>> import onnx_lrp as lrp
>>> explanation = lrp.explain("model.onnx", x, composite="epsilon_plus")  # doctest: +SKIP
>>> explanation.relevance.shape == x.shape  # doctest: +SKIP
True

Public, and kept stable, are the names in ``__all__`` and the modules :mod:`onnx_lrp.quantus` and :mod:`onnx_lrp.ray`;
for one's own rule also the modifiers of :mod:`onnx_lrp.rules` (``identity``, ``pos``, ``neg``, ``Signed``, ...), for
one's own op :mod:`onnx_lrp.ops` (``register`` and the roles), and for both the functions of a
:class:`onnx_lrp.backends.base.Backend`. All other modules are the inside of the package, and may change with any
version.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Read when onnxruntime is loaded, which else leaves a device id and queued events in the user's cache folder
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Imported on first use, so that `import onnx_lrp` and `onnx-lrp --help` answer at once
_PUBLIC = {
    "batch.opened": ("BatchResult", "open_batch"),
    "batch.run": ("explain_all",),
    "checking.check": ("Report", "check"),
    "comparison.compare": ("compare",),
    "comparison.report": ("Comparison",),
    "composites": ("Composite", "Selector", "presets"),
    "errors": (
        "BackendError", "CompositeError", "ConversionError", "InputError", "InvalidModelError", "LoadError",
        "ModelError", "NumericalError", "OnnxLrpError", "OutputError", "TargetError", "UnsupportedModelError",
        "VerificationError",
    ),
    "conversion.convert": ("convert",),
    "evaluation.evaluate": ("evaluate",),
    "evaluation.report": ("Evaluation",),
    "explainer": ("Explainer",),
    "explaining.once": ("explain",),
    "explanation.showing": ("figure_of", "layers_of"),
    "explanation.value": ("Explanation",),
    "model.profile": ("Profile",),
    "pictures.preprocessing": ("Preprocessing",),
    "propagation.ledger": ("Conservation",),
    "rules": (
        "AlphaBeta", "Epsilon", "Flat", "Gamma", "Part", "Pass", "Relative", "Rule",
        "Term", "WSquare", "ZBox", "ZPlus", "Zero",
    ),
    "targets.regions": ("Region",),
    "tuning.report": ("Tuning",),
    "tuning.tune": ("tune",),
}  # fmt: skip
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}
_MODULES = ("quantus", "ray")  # public as they are

if TYPE_CHECKING:
    from .batch.opened import BatchResult, open_batch
    from .batch.run import explain_all
    from .checking.check import Report, check
    from .comparison.compare import compare
    from .comparison.report import Comparison
    from .composites import Composite, Selector, presets
    from .conversion.convert import convert
    from .errors import (
        BackendError,
        CompositeError,
        ConversionError,
        InputError,
        InvalidModelError,
        LoadError,
        ModelError,
        NumericalError,
        OnnxLrpError,
        OutputError,
        TargetError,
        UnsupportedModelError,
        VerificationError,
    )
    from .evaluation.evaluate import evaluate
    from .evaluation.report import Evaluation
    from .explainer import Explainer
    from .explaining.once import explain
    from .explanation import Explanation
    from .explanation.showing import figure_of, layers_of
    from .model.profile import Profile
    from .pictures.preprocessing import Preprocessing
    from .propagation.ledger import Conservation
    from .rules import AlphaBeta, Epsilon, Flat, Gamma, Part, Pass, Relative, Rule, Term, WSquare, ZBox, Zero, ZPlus
    from .targets.regions import Region
    from .tuning.report import Tuning
    from .tuning.tune import tune

__all__ = [
    "AlphaBeta",
    "BackendError",
    "BatchResult",
    "Comparison",
    "Composite",
    "CompositeError",
    "Conservation",
    "ConversionError",
    "Epsilon",
    "Evaluation",
    "Explainer",
    "Explanation",
    "Flat",
    "Gamma",
    "InputError",
    "InvalidModelError",
    "LoadError",
    "ModelError",
    "NumericalError",
    "OnnxLrpError",
    "OutputError",
    "Part",
    "Pass",
    "Preprocessing",
    "Profile",
    "Region",
    "Relative",
    "Report",
    "Rule",
    "Selector",
    "TargetError",
    "Term",
    "Tuning",
    "UnsupportedModelError",
    "VerificationError",
    "WSquare",
    "ZBox",
    "ZPlus",
    "Zero",
    "check",
    "compare",
    "convert",
    "evaluate",
    "explain",
    "explain_all",
    "figure_of",
    "layers_of",
    "open_batch",
    "presets",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
