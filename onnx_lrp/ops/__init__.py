"""Which map each ONNX op is: one module per kind of map, one function per op. Importing this registers them all."""

from . import (
    activation,
    gathering,
    linear,
    merge,
    normalization,
    pooling,
    quantized,
    resizing,
    routing,
    selecting,
    smooth,
)
from .registry import OPS, Site, Unsupported, register, role_of
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
    "gathering",
    "linear",
    "merge",
    "normalization",
    "pooling",
    "quantized",
    "register",
    "resizing",
    "role_of",
    "routing",
    "selecting",
    "smooth",
]
