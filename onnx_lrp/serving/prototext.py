"""Protocol buffers as text, as far as a Triton configuration needs it: names of others are quoted, byte by byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence


class Bare(str):
    """A word that is not quoted: the name of an enum's value."""


def prototext(message: Mapping[str, object]) -> str:
    """A message as text.

    Args:
        message: fields by name: numbers, booleans, text, :class:`Bare` words, messages, and lists of them.
    """
    return "".join(f"{line}\n" for line in _lines(message))


def _lines(message: Mapping[str, object]) -> Iterator[str]:
    for name, value in message.items():
        if isinstance(value, Mapping):
            yield from _nested(name, value)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield from _repeated(name, value)
        else:
            yield f"{name}: {_scalar(value)}"


def _nested(name: str, message: Mapping[str, object]) -> Iterator[str]:
    yield f"{name} {{"
    yield from (f"  {line}" for line in _lines(message))
    yield "}"


def _repeated(name: str, values: Sequence[object]) -> Iterator[str]:
    """Messages one after the other, numbers in brackets."""
    if any(isinstance(value, Mapping) for value in values):
        for value in values:
            yield from _lines({name: value})
    else:
        yield f"{name}: [{', '.join(map(_scalar, values))}]"


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and not isinstance(value, Bare):
        return f'"{"".join(map(_escaped_byte, value.encode("utf-8", "surrogateescape")))}"'
    return str(value)


def _escaped_byte(byte: int) -> str:
    """Octal unless it is plain ASCII."""
    return chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03o}"
