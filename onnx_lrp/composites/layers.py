"""What a selector sees of a node that takes a rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..rules import Bound

CONVOLUTION = ("Conv", "ConvTranspose")
DENSE = ("Gemm", "MatMul")
WEIGHTED = CONVOLUTION + DENSE
DIAGONAL = ("BatchNormalization", "Mul", "Div")
Place = Literal["input", "head", "between"]
Sizes = tuple[int | None, ...]


@dataclass(frozen=True)
class LayerInfo:
    """What a selector sees of a node that takes a rule.

    ``depth`` is 0 for the weighted layers next to the input, 1 for those next to the output, and in between by the
    number of weighted layers before; ``order`` is a number of its own, and ``before`` a set of these as an integer:
    bit n stands for the layer of order n, and is 1 if that is on any path from an input to this one. What one node
    of the user's was expanded to, such as the steps of an LSTM, has one depth and one order.

    ``place`` of a layer with weights is ``"head"`` if no other is behind it, else ``"input"`` if none is before.
    ``kernel``, ``groups`` and ``channels`` (of the input, 0 where unknown) are those of a convolution; ``read`` and
    ``made`` the sizes of the map that it reads and of the one that it makes, None where the model leaves them open.
    ``bounds`` are the least and the largest value of its input, where they are known.
    """

    name: str
    op: str
    depth: float
    order: int
    before: int = 0
    place: Place = "between"
    kernel: tuple[int, ...] = ()
    groups: int = 1
    channels: int = 0
    read: Sizes = ()
    made: Sizes = ()
    bounds: tuple[Bound, Bound] | None = field(default=None, compare=False)

    @property
    def dense(self) -> bool:
        """Whether every output sees every input: a dense layer, or a convolution of a map of one pixel to such a map.

        A classifier that is a 1x1 convolution behind a global pooling is one, whatever its op is called.
        """
        if self.op in DENSE:
            return True
        return self.op in CONVOLUTION and bool(self.read) and {*self.read, *self.made} == {1}

    @property
    def depthwise(self) -> bool:
        """Whether every channel is convolved on its own."""
        return self.groups > 1 and self.groups == self.channels
