"""A composite: entries in their order, and the rule for what none of them matches."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import CompositeError
from ..rules import Bound, Epsilon, Rule
from ..text import printable
from ..writing import write_file
from .bounds import Bounded
from .layers import LayerInfo
from .naming import made
from .selectors import Selector
from .toml import SUFFIX, read_toml, written

Entry = tuple[Selector, Rule]


@dataclass(frozen=True)
class Composite:
    """Ordered entries, the rule for what none of them matches, and the seed to start with where none is given.

    ``evidence`` is what a file says of how it was found; nothing reads it.
    """

    name: str
    entries: tuple[Entry, ...]
    default: Rule = field(default_factory=Epsilon)
    seed: str = "logit"
    evidence: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        pairs = tuple(self.entries.items() if isinstance(self.entries, Mapping) else self.entries)
        for pair in pairs:
            if not (isinstance(pair, Sequence) and len(pair) == 2 and isinstance(pair[0], Selector)):
                raise CompositeError(f"an entry of a composite is a pair (Selector, rule), not {pair!r:.80}")
        for rule in (*(rule for _, rule in pairs), self.default):
            _require_rule(rule)
        object.__setattr__(self, "entries", pairs)

    @property
    def bounds(self) -> tuple[Bound, Bound] | None:
        """What somebody said of the input's least and largest values, for z^B where the bounds are known."""
        given = [rule.given for _, rule in self.entries if isinstance(rule, Bounded) and rule.given is not None]
        return given[0] if given else None

    def seed_for(self, seed: Any, *others: object) -> Any:
        """What was asked for; where nothing was, the composite's own seed, and beside ``others`` the plain one."""
        if seed is not None:
            return seed
        return self.seed if all(other is None for other in others) else "logit"

    def with_entries(self, *entries: Entry) -> Composite:
        """The same composite with these entries in front."""
        return replace(self, entries=(*entries, *self.entries))

    def with_bias(self, bias: str) -> Composite:
        """The same composite, all of whose rules ``"absorb"`` or ``"ignore"`` biases.

        Raises:
            CompositeError: another word.
        """
        entries = [(selector, replace(rule, bias=bias)) for selector, rule in self.entries]  # type: ignore[arg-type]
        return replace(self, entries=tuple(entries), default=replace(self.default, bias=bias))  # type: ignore[arg-type]

    def assign(self, layers: list[LayerInfo]) -> dict[LayerInfo, Rule]:
        """The rule of each layer.

        Raises:
            CompositeError: a strict selector matches none.
        """
        rules: dict[LayerInfo, Rule] = {}
        for selector, rule in self.entries:
            found = selector.select(layers)
            if selector.strict and not found:
                raise CompositeError(f"composite {self.name!r}: the selector {selector} {_missed(selector, layers)}")
            for layer in found:
                own = rule.for_layer(layer.bounds) if isinstance(rule, Bounded) else rule
                if own is not None:
                    rules.setdefault(layer, own)
        return {layer: rules.get(layer, self.default) for layer in layers}

    def __str__(self) -> str:
        width = max([len(str(s)) for s, _ in self.entries] + [len("otherwise")])
        rows = [f"  {selector!s:{width}}  {rule}" for selector, rule in self.entries]
        seed = [] if self.seed == "logit" else [f"  {'seed':{width}}  {self.seed}"]
        return "\n".join([self.name, *rows, f"  {'otherwise':{width}}  {self.default}", *seed])

    @staticmethod
    def parse(text: str | Composite) -> Composite:
        """A composite from ``NAME[:key=value,...]``, as ``"epsilon_gamma_box:low=0,high=1"``, or from a ``FILE.toml``.

        A value may have one number per channel, separated by ``/``: ``low=-2.1/-2/-1.8``.

        Raises:
            CompositeError: unknown name or parameter, a value that does not fit it, or a file that cannot be read.
        """
        if isinstance(text, Composite):
            return text
        if not isinstance(text, str):
            raise CompositeError(
                f"a composite is a Composite or a string NAME[:key=value,...], not {type(text).__name__}"
            )
        return Composite.load(text) if text.endswith(SUFFIX) else made(text)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Composite:
        """Read a file that :meth:`save` or ``onnx-lrp tune`` wrote, or that was typed.

        Raises:
            CompositeError: it cannot be read, or something in it has no meaning; says in which line.
        """
        return Composite(**read_toml(Path(path)))

    def toml(self) -> str:
        """What a file of it holds.

        Raises:
            CompositeError: a rule of one's own, or a selector with a function, which no file can hold.
        """
        return written(self.name, self.entries, self.default, self.seed, self.evidence)

    def save(self, path: str | os.PathLike[str], force: bool = False) -> None:
        """Write a ``.toml`` file, at once or not at all.

        Raises:
            OutputError: the file exists and ``force`` is not set, or it cannot be written.
            CompositeError: a rule of one's own, or a selector with a function, which no file can hold.
        """
        content = self.toml()

        def writer(temporary: Path) -> None:
            temporary.write_text(content, "utf-8")

        write_file(Path(path), writer, force)


def _require_rule(rule: object) -> None:
    if isinstance(rule, type) and issubclass(rule, Rule):
        raise CompositeError(f"{rule.__name__} is a class of rules; make one of it: {rule.__name__}()")
    if not isinstance(rule, Rule):
        raise CompositeError(f"a rule is one of onnx_lrp's or your own, such as Epsilon(), not {rule!r:.80}")


def _missed(selector: Selector, layers: Sequence[LayerInfo]) -> str:
    """What a selector might have meant."""
    near = difflib.get_close_matches(selector.name, [layer.name for layer in layers], 3, 0.0)
    ops = ", ".join(f"{op} ({n})" for op, n in Counter(layer.op for layer in layers).most_common())
    names = f"; the nearest names are {', '.join(map(printable, near))}" if near and selector.name != "*" else ""
    return f"matches no layer (strict=False allows that){names}; layers that take a rule: {ops or 'none'}"
