"""Elementary forms of the domain ai.onnx.ml, which skl2onnx writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from .expanding import Builder, expands


@expands("ai.onnx.ml", "Scaler")
def scaler(build: Builder) -> Sequence[ir.Value]:
    """(x - offset) · scale, one number for all features or one for each."""
    x = build.node("Cast", [build.value(0)], "float", to=int(ir.DataType.FLOAT))
    for op, name, neutral in (("Sub", "offset", 0.0), ("Mul", "scale", 1.0)):
        numbers = np.asarray(build.attributes.get(name, [neutral]), np.float32)
        x = build.node(op, [x, build.constant(numbers, name)], "" if op == "Mul" else "centred")
    return [x]
