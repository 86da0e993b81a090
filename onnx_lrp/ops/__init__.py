"""Which map each ONNX op is: one module per kind of map, one function per op. Importing this registers them all.

Public are the four roles, :class:`Site`, :class:`Unsupported` and :func:`register`: what one's own op needs.
"""

from . import (
    activation,
    columns,
    gathering,
    linear,
    lookup,
    masking,
    merge,
    normalization,
    pooling,
    quantized,
    resizing,
    routing,
    sampling,
    scattering,
    selecting,
    separable,
    smooth,
    spectral,
    winners,
)
from .registry import OPS, Site, Unsupported, qualified, register, role_of
from .roles import Activation, Linear, LinearMap, Merge, Operands, Parameters, Role, Route

__all__ = [
    "OPS",
    "Activation",
    "Linear",
    "LinearMap",
    "Merge",
    "Operands",
    "Parameters",
    "Role",
    "Route",
    "Site",
    "Unsupported",
    "activation",
    "columns",
    "gathering",
    "linear",
    "lookup",
    "masking",
    "merge",
    "normalization",
    "pooling",
    "qualified",
    "quantized",
    "register",
    "resizing",
    "role_of",
    "routing",
    "sampling",
    "scattering",
    "selecting",
    "separable",
    "smooth",
    "spectral",
    "winners",
]
