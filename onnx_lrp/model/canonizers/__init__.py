"""Canonizers: rewrite the graph, exactly, until every node has one of the four roles (passes over :mod:`onnx_ir`).

``inlining`` opens functions, ``heads`` cuts what stands behind the logit, ``folding`` computes what is known,
``expanding`` replaces composed ops by elementary ones (``recurrent`` layers, integer arithmetic in ``quantized`` and
``integer``, what onnxruntime ``fused``, ...), ``dequantizing`` confines integers, ``activations`` names what exporters
took apart, ``spreading`` reads what shape arithmetic says of open sizes, ``sums`` joins what one wrote element by
element, ``merging`` takes BatchNorm into the layer before it, ``padding`` a border of zeros into the one behind,
``addresses`` marks arithmetic on ids, ``trusting`` what passes relevance on the user's word. Each pass notes what it
did in the user's words; the names of the user's nodes and tensors stay. ``lowering`` is for runtimes only.
"""

from . import (  # noqa: F401
    branches,
    einsum,
    fused,
    fused_attention,
    integer,
    loops,
    pairs,
    quantized,
    recurrent,
    rotations,
    scikit,
    sequences,
    standard,
    summed_norms,
)
from .activations import NameActivations
from .addresses import mark_addresses
from .dequantizing import Dequantize
from .expanding import Expand
from .folding import FoldConstants
from .heads import Heads, cut, expose
from .holding import hold, hold_token_masks
from .inlining import inline
from .masks import make_finite
from .merging import MergeAffine
from .padding import MergePads
from .softmaxes import NameSoftmax
from .spreading import Spread
from .sums import JoinSums
from .trusting import pass_through

__all__ = [
    "Dequantize",
    "Expand",
    "FoldConstants",
    "Heads",
    "JoinSums",
    "MergeAffine",
    "MergePads",
    "NameActivations",
    "NameSoftmax",
    "Spread",
    "cut",
    "expose",
    "hold",
    "hold_token_masks",
    "inline",
    "make_finite",
    "mark_addresses",
    "pass_through",
]
