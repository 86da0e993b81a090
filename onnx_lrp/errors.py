"""Every exception that onnx_lrp raises on purpose.

::

    OnnxLrpError
    ├── ModelError                  the model cannot be explained as it is
    │   ├── LoadError               not readable as ONNX: wrong path, empty, truncated, unsafe external data
    │   ├── InvalidModelError       ONNX, but malformed: cycle, dangling name, wrong weight size, NaN in a weight
    │   ├── UnsupportedModelError   well-formed, but a node has no role in LRP (``.problems`` lists all of them)
    │   ├── ConversionError         it can be explained, but not compiled as it is: open axes, an opset too old to raise
    │   └── VerificationError       the canonized model does not answer like the original one
    ├── InputError                  the data to explain: name, rank, shape, dtype, NaN, unreadable file
    ├── TargetError                 the target, output or seed to explain
    ├── CompositeError              an unknown composite, rule or parameter
    ├── BackendError                an unknown or missing backend, device or dtype
    ├── NumericalError              the computation overflowed: relevance is not finite
    └── OutputError                 a file to write: exists already, or its folder does not

All of them carry one line that says what is wrong, where, and what to do about it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .text import printable


class OnnxLrpError(Exception):
    """Root of the tree: catch this to catch everything raised on purpose."""


class ModelError(OnnxLrpError):
    """The model cannot be explained as it is."""


class LoadError(ModelError):
    """The source could not be read as an ONNX model."""


class InvalidModelError(ModelError):
    """The model is ONNX, but malformed."""


class ConversionError(ModelError):
    """The model can be explained, but its explanation cannot be compiled as it is."""


class VerificationError(ModelError):
    """The canonized model does not answer like the original one."""


class InputError(OnnxLrpError, ValueError):
    """The data to explain does not fit the model."""


class TargetError(OnnxLrpError, ValueError):
    """The target, output or seed does not exist in the model's answer."""


class CompositeError(OnnxLrpError, ValueError):
    """An unknown composite, rule or parameter."""


class BackendError(OnnxLrpError, ValueError):
    """An unknown or missing backend, device or dtype."""


class NumericalError(OnnxLrpError, ArithmeticError):
    """Relevance is not finite."""


class OutputError(OnnxLrpError, OSError):
    """A file could not be written."""


EARLIER = "explain an earlier output"  # part of a remedy, completed by the name of one


@dataclass(frozen=True)
class Problem:
    """One node that LRP has no role for: which, why, and what its owner can do.

    ``earlier`` are the last tensors before it that can be explained, the last one first. ``sizes``: only the size of an
    open axis is missing.
    """

    node: str
    op: str
    reason: str
    remedy: str
    earlier: tuple[str, ...] = ()
    sizes: bool = False

    @property
    def advice(self) -> str:
        """The remedy, with the option that explains the last tensor before the node, if there is one."""
        if not self.earlier:
            return self.remedy
        typed = f"{EARLIER} (--output {shlex.quote(printable(self.earlier[0]))})"
        return self.remedy.replace(EARLIER, typed) if EARLIER in self.remedy else f"{self.remedy}, or {typed}"

    def __str__(self) -> str:
        return f"{self.node} ({self.op}): {self.reason}; {self.advice}"


MISFITS = (ValueError, TypeError, LookupError, ArithmeticError)  # what computing with a malformed node raises


def malformed(node: str, op: str, error: Exception) -> InvalidModelError:
    """What there is to say of a node whose attributes or constants do not fit each other."""
    reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__, 200)
    return InvalidModelError(f"node {node} ({op}) is malformed: {reason}; export the model again")


def names_of(given: object, what: str, error: type[OnnxLrpError]) -> tuple[str, ...]:
    """One name or several as a tuple.

    Raises:
        OnnxLrpError: of the given class; it is neither.
    """
    names = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else (given,)
    for name in names:
        if not isinstance(name, str):
            raise error(f"{what} must be names, not {name!r:.80}")
    return tuple(str(name) for name in names)


def require_whole(given: object, what: str, least: int) -> None:
    """See that a number is a whole one, and not too small.

    Raises:
        InputError: it is not.
    """
    if not isinstance(given, int) or given < least:
        raise InputError(f"{what} must be a whole number from {least} on, not {given!r:.80}")


def grouped(problems: Sequence[Problem]) -> list[Problem]:
    """One for each op, reason and remedy, which names the first node: those that no option heals come first."""
    groups: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((problem.op, problem.reason, problem.remedy), []).append(problem)
    found = [
        alike[0] if len(alike) == 1 else replace(alike[0], node=f"{alike[0].node} and {len(alike) - 1} more")
        for alike in groups.values()
    ]
    return sorted(found, key=lambda problem: "--" in problem.remedy)


class UnsupportedModelError(ModelError):
    """At least one node has no role in LRP; ``problems`` lists all, ``profiled`` says what a profile would do."""

    def __init__(self, source: str, problems: Sequence[Problem], profiled: str = "") -> None:
        self.source, self.problems, self.profiled = source, tuple(problems), profiled
        count = f"{len(self.problems)} node{'s' if len(self.problems) > 1 else ''}"
        groups = " | ".join(map(str, grouped(self.problems)))
        hint = f" | {profiled}" if profiled else ""
        super().__init__(f"{source}: unsupported model, {count} without a role: {groups}{hint}")

    def __reduce__(self) -> tuple[type, tuple[str, tuple[Problem, ...], str]]:
        """What a process pool hands over: the arguments, not the message."""
        return type(self), (self.source, self.problems, self.profiled)
