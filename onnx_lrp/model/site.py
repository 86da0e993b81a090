"""A node as the ops see it: which inputs vary, which are constants, what a canonizer says of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from .dependence import SHAPE_READERS, Dependence, held_positions
from .graph import HINT, array


@dataclass(frozen=True)
class NodeSite:
    """An :class:`onnx_ir.Node` as the ops' registry sees it."""

    node: ir.Node
    dependences: dict[ir.Value, Dependence]
    opset: int
    least: Dependence = Dependence.VARIABLE  # from which on a tensor counts as variable here
    profile: bool = False

    @property
    def op_type(self) -> str:
        """The op."""
        return self.node.op_type

    @property
    def arity(self) -> int:
        """Number of inputs."""
        return len(self.node.inputs)

    @property
    def domain(self) -> str:
        """The op's domain."""
        return self.node.domain

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return len(self.node.outputs)

    @property
    def variable(self) -> tuple[int, ...]:
        """Positions of the inputs that depend on the data."""
        blind = SHAPE_READERS.get(self.op_type, ())
        if self.least is Dependence.VARIABLE:
            blind = (*blind, *held_positions(self.node))
        found = enumerate(self.node.inputs)
        return tuple(
            i for i, value in found if value is not None and i not in blind and self.dependences[value] >= self.least
        )

    @property
    def hint(self) -> str | None:
        """How the node is meant."""
        hint = self.node.meta.get(HINT, "profile" if self.profile else None)
        return None if hint is None else str(hint)

    @property
    def holds(self) -> bool:
        """Whether an operand depends on the data and counts as a constant."""
        if self.least is not Dependence.VARIABLE:
            return False
        blind = SHAPE_READERS.get(self.op_type, ())
        kinds = {i: self.dependences[v] for i, v in enumerate(self.node.inputs) if v is not None and i not in blind}
        marked = held_positions(self.node)
        return any(kind is Dependence.HELD or (kind > Dependence.HELD and i in marked) for i, kind in kinds.items())

    def has(self, position: int) -> bool:
        """Whether this input is given."""
        return position < len(self.node.inputs) and self.node.inputs[position] is not None

    def constant(self, position: int) -> np.ndarray | None:
        """An input's value if it is known already."""
        return array(self.node.inputs[position]) if self.has(position) else None

    def rank(self, position: int) -> int | None:
        """An input's rank if it is known already."""
        value = self.node.inputs[position] if self.has(position) else None
        return None if value is None or value.shape is None else len(value.shape)

    def is_integer(self, position: int) -> bool:
        """Whether an input is a signed integer of 32 or 64 bits."""
        value = self.node.inputs[position] if self.has(position) else None
        return value is not None and value.dtype in (ir.DataType.INT32, ir.DataType.INT64)

    def is_boolean(self, position: int) -> bool:
        """Whether an input is a boolean."""
        value = self.node.inputs[position] if self.has(position) else None
        return value is not None and value.dtype == ir.DataType.BOOL
