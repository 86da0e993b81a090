"""Replace ops that are composed of others by elementary nodes that compute the same; one function per op."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult

from ...errors import MISFITS, OnnxLrpError, malformed
from ...ops import Unsupported
from ..evaluation import opset_of
from ..graph import HINT, REFUSAL, USER_NODE, array, attributes, label, user_node

Expander = Callable[["Builder"], Sequence[ir.Value | None] | None]
EXPANDERS: dict[tuple[str, str], Expander] = {}
PROFILE_EXPANDERS: dict[tuple[str, str], Expander] = {}  # that only a profile needs; they come before the others
MOST_EXPANDED = 20_000  # that a model's nodes may be expanded to in all


def expands(domain: str, *ops: str, profile: bool = False) -> Callable[[Expander], Expander]:
    """Register a function that builds what these ops stand for, and returns the values of the node's outputs.

    None stands for an output that nobody reads, and for all of them if the node may stay as it is. It may raise
    :class:`Unsupported`; then the node stays, and the check gives that reason. With ``profile``, it does so only under
    one, since what it makes has no role without.
    """

    def decorator(function: Expander) -> Expander:
        (PROFILE_EXPANDERS if profile else EXPANDERS).update({(domain, op): function for op in ops})
        return function

    return decorator


class Builder:
    """Makes the nodes that take one node's place; they are named after it, ``NODE/part``.

    The main one, made without a ``part``, keeps the name itself: rules and reports go by it. ``room`` is for how many
    nodes there is room.
    """

    def __init__(self, model: ir.Model, node: ir.Node, room: int = MOST_EXPANDED) -> None:
        self.model, self.old, self.name, self.room = model, node, label(node), room
        self.user_node = user_node(node)
        self._tensor = next((value.name for value in node.outputs if value.name), self.name)
        self.attributes = attributes(node)
        self.made: list[ir.Node] = []
        self.gone: list[ir.Node] = []
        self.constants: list[ir.Value] = []

    @property
    def inputs(self) -> list[ir.Value | None]:
        """The node's inputs, those left out at the end as None."""
        return [*self.old.inputs, *[None] * 16]

    def value(self, position: int) -> ir.Value:
        """An input that the op cannot do without."""
        value = self.inputs[position]
        assert value is not None, "the checker has seen to it"
        return value

    def array(self, position: int) -> np.ndarray | None:
        """A constant input's value, None if it is left out or not constant."""
        return array(self.inputs[position])

    @property
    def opset(self) -> int:
        """Version of the standard operator set."""
        return opset_of(self.model)

    def constant(self, data: np.ndarray | np.generic, part: str) -> ir.Value:
        """A new initializer."""
        return self.initializer(ir.Tensor(np.asarray(data)), part)

    def initializer(self, tensor: ir.TensorProtocol, part: str) -> ir.Value:
        """A new initializer, which may be computed only when it is read."""
        name = tensor.name = self._free(f"{self.name}/{part}")
        value = ir.val(name, const_value=tensor)
        self.model.graph.register_initializer(value)
        self.constants.append(value)
        return value

    def adopt(self, nodes: Sequence[ir.Node], weights: Sequence[ir.Value]) -> None:
        """Take nodes and initializers of a subgraph over as they are."""
        for value in weights:
            value.name = self._free(value.name or "weight")
            self.model.graph.register_initializer(value)
        self.made.extend(nodes)

    def node(
        self, op: str, inputs: Sequence[ir.Value | None], part: str = "", hint: str | None = None, **given: Any
    ) -> ir.Value:
        """A new node of the standard domain and its (first) output."""
        return self.nodes(op, inputs, 1, part, hint, **given)[0]

    def nodes(
        self,
        op: str,
        inputs: Sequence[ir.Value | None],
        outputs: int,
        part: str = "",
        hint: str | None = None,
        **given: Any,
    ) -> Sequence[ir.Value]:
        """A new node with several outputs.

        Raises:
            Unsupported: there would be too many.
        """
        self.check_room(outputs)
        node = ir.node(op, inputs, given, num_outputs=outputs, name=f"{self.name}/{part}" if part else self.name)
        tensor = f"{self._tensor}/{part or op.lower()}"
        for i, value in enumerate(node.outputs):
            value.name = f"{tensor}{i or ''}"
        if hint is not None:
            node.meta[HINT] = hint
        node.meta[USER_NODE] = self.user_node
        self.made.append(node)
        return node.outputs

    def split(self, value: ir.Value, count: int, part: str) -> Sequence[ir.Value]:
        """The second axis of a tensor in equal stretches."""
        if count == 1:
            return [value]
        given: dict[str, Any] = {"num_outputs": count} if opset_of(self.model) >= 18 else {}
        return self.nodes("Split", [value], count, part, axis=1, **given)

    def check_room(self, count: int) -> None:
        """Refuse to make more nodes than there is room for.

        Raises:
            Unsupported: there would be too many.
        """
        if len(self.made) + count > self.room:
            reason = f"expands into too many nodes (more than {MOST_EXPANDED} in all)"
            raise Unsupported(reason, "export shorter sequences")

    def through(self, followers: Sequence[ir.Node]) -> None:
        """Take the place of these nodes, too, each of which only the one before it feeds."""
        chain = [self.old, *followers]
        self.old, self.gone = chain[-1], chain[-2::-1]

    def replace(self, results: Sequence[ir.Value | None]) -> None:
        """Put what was made in the old node's place; its outputs keep their names, shapes and types."""
        graph = self.model.graph
        graph.insert_before(self.old, self.made)
        for old, new in zip(self.old.outputs, results):
            if new is None:
                continue
            name, old.name = old.name, f"{old.name}/expanded"
            new.name, new.shape, new.type = name, old.shape or new.shape, old.type or new.type
            ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
        graph.remove(self.old, safe=True)
        for node in self.gone:
            graph.remove(node, safe=True)

    def discard(self) -> None:
        """Forget what was made."""
        for node in self.made:
            for i in range(len(node.inputs)):
                node.replace_input_with(i, None)
        for value in self.constants:
            self.model.graph.initializers.pop(value.name or "", None)

    def _free(self, name: str) -> str:
        while name in self.model.graph.initializers:
            name += "'"
        return name


class Expand(InPlacePass):
    """Expand every node that there is a function for."""

    def __init__(self, profile: bool = False) -> None:
        self.expanders = EXPANDERS | PROFILE_EXPANDERS if profile else EXPANDERS
        self.notes: list[str] = []
        self._room = MOST_EXPANDED

    def call(self, model: ir.Model) -> PassResult:
        """Expand, in topological order."""
        before = len(self.notes)
        for node in list(model.graph):
            expander = self.expanders.get((node.domain, node.op_type))
            if expander is not None:
                self._expand(Builder(model, node, self._room), expander)
        return PassResult(model, len(self.notes) > before)

    def _expand(self, builder: Builder, expander: Expander) -> None:
        old = builder.old
        try:
            results = expander(builder)
        except Unsupported as verdict:
            builder.discard()
            old.meta[REFUSAL] = verdict
            return
        except OnnxLrpError:
            raise
        except MISFITS as error:
            raise malformed(label(old), old.op_type, error) from None
        if results is None:
            return
        unmade = [i for i, old_output in enumerate(old.outputs) if i >= len(results) or results[i] is None]
        if any(old.outputs[i].uses() or old.outputs[i].is_graph_output() for i in unmade):
            builder.discard()
            old.meta[REFUSAL] = Unsupported(f"its output {unmade[0]} is read, too", "explain an earlier output")
            return
        kinds = ", ".join(dict.fromkeys(node.op_type for node in builder.made)) or "nothing"
        many = f" ({len(builder.made)} nodes)" if len(builder.made) > 9 else ""
        self.notes.append(f"{old.op_type} {builder.name} expanded into {kinds}{many}")
        self._room -= len(builder.made)
        builder.replace(results)
