"""Which map each ONNX op is: one module per kind of map, one function per op. Importing this registers them all."""

from . import activation, linear, merge, pooling, quantized, routing, selecting, smooth
from .registry import OPS, Site, Unsupported, register, role_of
from .roles import Linear, LinearMap, Merge, Operands, Parameters, Pass, Role, Route

__all__ = [
    "OPS",
    "Linear",
    "LinearMap",
    "Merge",
    "Operands",
    "Parameters",
    "Pass",
    "Role",
    "Route",
    "Site",
    "Unsupported",
    "activation",
    "linear",
    "merge",
    "pooling",
    "quantized",
    "register",
    "role_of",
    "routing",
    "selecting",
    "smooth",
]
