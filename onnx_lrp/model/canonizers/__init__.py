"""Canonizers: rewrite the graph, exactly, until every node has one of the four roles (passes over :mod:`onnx_ir`).

``inlining`` opens functions, ``heads`` cuts what stands behind the logit, ``folding`` computes what is known,
``expanding`` replaces composed ops by elementary ones (those of onnxruntime's optimizer in ``fused``, integer
arithmetic in ``quantized`` and ``integer``), ``dequantizing`` confines integers, ``merging`` takes BatchNorm into the
layer before it. Each pass notes what it did in the user's words; the names of the user's nodes and tensors stay.
"""

from . import fused, integer, quantized
from .dequantizing import Dequantize
from .expanding import Expand
from .folding import FoldConstants
from .heads import cut, expose
from .inlining import inline
from .merging import MergeAffine

__all__ = [
    "Dequantize", "Expand", "FoldConstants", "MergeAffine", "cut", "expose", "fused", "inline", "integer", "quantized",
]  # fmt: skip
