"""z^B where the bounds of a layer's input are known."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import CompositeError
from ..rules import Bound, Part, Rule, ZBox


@dataclass(frozen=True)
class Bounded(Rule):
    """z^B for layers whose input has known bounds, and no rule for the others: these go on to the next entry.

    ``low`` and ``high`` are bounds of the *model's* input, where somebody gave them; what shifts and scales it inside
    of the model shifts and scales them, too. Without them, an input of bytes, or one that is quantised, has its type's.
    """

    low: Bound | None = None
    high: Bound | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.low is None) != (self.high is None):
            raise CompositeError("the input has two bounds: give both low and high, or none of them")
        if self.low is not None and self.high is not None:
            ZBox(self.low, self.high)  # says what is wrong with them

    @property
    def given(self) -> tuple[Bound, Bound] | None:
        """What somebody said of the model's input."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def for_layer(self, bounds: tuple[Bound, Bound] | None) -> ZBox | None:
        """The rule of a layer whose input has these bounds; None where they are not known."""
        return None if bounds is None else ZBox(*bounds, epsilon=self.epsilon, bias=self.bias)

    def parts(self) -> tuple[Part, ...]:  # noqa: D102
        raise NotImplementedError("it becomes z^B, or nothing, when it is assigned")

    def __str__(self) -> str:
        return "ZBox(where the input's bounds are known)" if self.given is None else f"ZBox{super().__str__()[7:]}"
