"""Composites as TOML: one ``[[entry]]`` with a selector's fields, a rule and its numbers; then ``[otherwise]``::

    name = "mine"

    [[entry]]
    ops = ["Conv"]
    place = "input"
    rule = "ZBox"
    low = 0
    high = 1

    [otherwise]
    rule = "Epsilon"
    epsilon = "0.1std"

The rule ``Bounded`` is z^B where the bounds of the model's input are known, or given as low and high; layers for which
they are not go on to the next entry.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import rules
from ..errors import CompositeError
from ..ops.registry import OPS
from ..rules import Relative, Rule
from ..text import nearest, printable
from .bounds import Bounded
from .layers import DIAGONAL, WEIGHTED
from .selectors import Selector

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SUFFIX = ".toml"
FAMILIAR = (*WEIGHTED, *DIAGONAL, "Add", "Sub", "Sum", "Mean", "AveragePool", "GlobalAveragePool", "ReduceMean")
LONGEST_FILE = 2**20  # bytes
RULES: dict[str, type[Rule]] = {
    f.__name__: f
    for f in (
        rules.Epsilon, rules.Zero, rules.Gamma, rules.AlphaBeta, rules.ZPlus, rules.ZBox, rules.WSquare, rules.Flat,
        rules.Pass, Bounded,
    )
}  # fmt: skip
TOP = ("name", "seed", "entry", "otherwise", "evidence")
FIELDS = tuple(name for name in Selector.__dataclass_fields__ if name != "where")


def read_toml(path: Path) -> dict[str, Any]:
    """The fields of a composite.

    Raises:
        CompositeError: no such file, no TOML, or something in it has no meaning; with the number of the line.
    """
    shown = printable(str(path), 4096)
    try:
        if path.stat().st_size > LONGEST_FILE:
            raise CompositeError(f"{shown}: too large for a composite")
        return parse_toml(path.read_text("utf-8"), shown)
    except OSError as error:
        raise CompositeError(f"{shown}: cannot be read: {error.strerror}; check the path") from None
    except UnicodeDecodeError as error:
        raise CompositeError(f"{shown}: is not TOML: {printable(str(error))}") from None


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """The same of a text; ``source`` is what messages call it.

    Raises:
        CompositeError: no TOML, or something in it has no meaning; with the number of the line.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = printable(str(error)).replace("at end of document", "at the end of the file")
        raise CompositeError(f"{source}: is not TOML: {where}") from None
    return _Reading(source, text).composite(content)


class _Reading:
    """One file being read: where its complaints point to."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.lines = path, text.splitlines()

    def composite(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """What the tables say."""
        self.known(content, TOP, "", 0)
        entries, otherwise = content.get("entry", []), content.get("otherwise", {"rule": "Epsilon"})
        if not isinstance(entries, list) or not all(isinstance(item, dict) for item in (*entries, otherwise)):
            raise self.wrong("entry", "", 0, "entries are tables: write [[entry]] and [otherwise]")
        found = [self.entry(table, number) for number, table in enumerate(entries)]
        for key in ("name", "seed"):
            if not isinstance(content.get(key, ""), str):
                raise self.wrong(key, "", 0, f"{key} must be a word in quotes")
        name = content.get("name") or Path(self.path).stem
        return {
            "name": name, "entries": tuple(found), "default": self.rule(otherwise, "otherwise", 0, ()),
            "seed": content.get("seed", "logit"), "evidence": content.get("evidence", {}),
        }  # fmt: skip

    def entry(self, table: Mapping[str, Any], number: int) -> tuple[Selector, Rule]:
        """One entry."""
        rule = self.rule(table, "entry", number, FIELDS)
        given: dict[str, Any] = {"strict": False} | _fields(table, FIELDS)
        for op in given.get("ops", ()):
            meant = "" if op in OPS or op in FAMILIAR else nearest(str(op), FAMILIAR)
            if meant:  # an op that is like none of these may be one's own
                raise self.wrong("ops", "entry", number, f"unknown op {printable(str(op))!r}{meant}")
        try:
            return Selector(**given), rule
        except CompositeError as error:
            raise self.wrong(list(given)[-1], "entry", number, str(error)) from None

    def rule(self, table: Mapping[str, Any], header: str, number: int, others: Sequence[str]) -> Rule:
        """The rule of a table."""
        name = table.get("rule")
        if name not in RULES:
            meant = nearest(str(name), RULES) or f"; choose one of {', '.join(RULES)}"
            what = "has no rule" if name is None else f"unknown rule {printable(str(name))!r}"
            raise self.wrong("rule", header, number, what + meant)
        numbers = tuple(RULES[name].__dataclass_fields__)
        self.known(table, ("rule", *numbers, *others), header, number)
        given: dict[str, Any] = _fields(table, numbers)
        try:
            return RULES[name](**given)
        except (CompositeError, TypeError, ValueError) as error:
            raise self.wrong(next(iter(given), "rule"), header, number, str(error)) from None

    def known(self, table: Mapping[str, Any], keys: Sequence[str], header: str, number: int) -> None:
        """Raise for a key that means nothing."""
        for key in table:
            if key not in keys:
                meant = nearest(key, keys) or f"; known are {', '.join(keys)}"
                raise self.wrong(key, header, number, f"unknown key {printable(key)!r}{meant}")

    def wrong(self, key: str, header: str, number: int, what: str) -> CompositeError:
        """The complaint, with the line of a key in the given table."""
        return CompositeError(f"{self.path}, line {self._line(key, header, number)}: {what}")

    def _line(self, key: str, header: str, number: int) -> int:
        start = 0
        if header:
            heads = [i for i, line in enumerate(self.lines) if re.match(rf"\s*\[+\s*{header}\s*\]+", line)]
            start = heads[number] if number < len(heads) else 0
        named = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*=|\s*\[+\s*{re.escape(key)}\b""")
        return next((i for i in range(start, len(self.lines)) if named.match(self.lines[i])), start) + 1


def _fields(table: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in table.items() if key in names}


def written(
    name: str, entries: Sequence[tuple[Selector, Rule]], default: Rule, seed: str, evidence: Mapping[str, Any]
) -> str:
    """The same as text.

    Raises:
        CompositeError: a rule of one's own, or a selector with a function.
    """
    lines = [f"name = {json.dumps(name)}"] + [f"seed = {json.dumps(seed)}"] * (seed != "logit")
    for selector, rule in entries:
        if selector.where is not None:
            raise CompositeError(f"composite {name!r}: a selector with a function (where) cannot be written to a file")
        strict = {"strict": True} if selector.strict else {}
        lines += ["", "[[entry]]", *_table({**selector.settings(), **strict}), *_rule(rule)]
    lines += ["", "[otherwise]", *_rule(default)]
    if evidence:
        lines += ["", "[evidence]", *_table(evidence)]
    return "\n".join(lines) + "\n"


def _rule(rule: Rule) -> list[str]:
    kind = type(rule)
    if RULES.get(kind.__name__) is not kind:
        raise CompositeError(f"{rule}: a rule of one's own cannot be written to a file")
    defaults = {name: field.default for name, field in kind.__dataclass_fields__.items()}
    given = {name: getattr(rule, name) for name in defaults}
    changed = {n: v for n, v in given.items() if v is not None and not np.array_equal(np.asarray(v), defaults[n])}  # type: ignore[arg-type]
    return [f"rule = {json.dumps(kind.__name__)}", *_table(changed)]


def _table(values: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in values.items()]


def _value(value: Any) -> str:
    if isinstance(value, Relative):
        return json.dumps(str(value))
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_value, value))}]"
    return repr(float(value)) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
