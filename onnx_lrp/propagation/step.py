"""One step of a plan: a node, or two that are one layer, with its role, its rule and what it may take for granted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import onnx_ir as ir

from ..ops import Activation, Held, Linear, Merge, Product, Role, Route
from ..rules import Epsilon, Rule
from ..rules import Pass as PassRule


@dataclass(frozen=True, eq=False)
class Step:
    """One node, or two that are one layer. ``inputs`` and ``outputs`` are tensor names.

    ``nonnegative`` claims that no input that receives relevance has an entry below 0; ``masked`` names the ReLU's
    output that stands in for this step's own, because no relevance arrives where that is not positive. ``held`` are the
    inputs that depend on the data and count as constants.
    """

    name: str
    op: str
    role: Role
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]
    rule: Rule | None = None
    nonnegative: bool = False
    masked: str | None = None
    node: ir.Node | None = None
    held: tuple[str, ...] = ()

    @property
    def denominator(self) -> str:
        """The recorded tensor that stands for z: a ReLU's output where the mask fact allows it."""
        return self.masked or self.outputs[0]

    @cached_property
    def receivers(self) -> tuple[str, ...]:
        """The inputs that receive relevance."""
        return tuple(name for i in self.role.receives if (name := self.inputs[i]) is not None)

    def needs(self, facts: bool = True) -> tuple[set[str], set[str]]:
        """Tensors whose values, and whose shapes, the step reads on the way back."""
        data = {*self.receivers, *self.held}
        if isinstance(self.role, Held):
            return set(), set()
        if isinstance(self.role, Activation):
            made_of = {name for i in self.role.reads if (name := self.inputs[i]) is not None}
            return (set(), set()) if self.role.factor is None else (data | made_of, set())
        if isinstance(self.rule, PassRule):
            return set(), data
        if isinstance(self.role, Route):
            return {name for i in self.role.reads if (name := self.inputs[i]) is not None} | set(self.held), data
        output = {self.denominator} if facts and self._reads_output() else set()
        own = {self.outputs[0]} if isinstance(self.role, Linear) and self.role.reads_output else set()
        return data | output | own, set()

    def _reads_output(self) -> bool:
        """Whether the rule reads the layer's output, or saves a pass by doing so where it is at hand anyway."""
        if isinstance(self.role, Merge | Product):
            return True
        assert isinstance(self.role, Linear)
        parts = (self.rule or Epsilon()).parts()
        return self.masked is not None or any(part.is_model or part.gate != "all" for part in parts)
