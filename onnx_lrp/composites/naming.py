"""``NAME[:key=value,...]``: from a preset's name, ours or zennit's, and its parameters to a composite."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..errors import CompositeError
from ..rules import Bound, Relative
from ..text import nearest, printable

if TYPE_CHECKING:
    from typing import Any

Parameter = Bound | str | bool | Relative
Preset = TypeVar("Preset", bound="Callable[..., Any]")
PRESETS: dict[str, Callable[..., Any]] = {}
SWITCHES: dict[str, bool] = {"true": True, "false": False}
LISTS = ("low", "high")  # one number per channel
BIAS = "bias"  # every preset has it
RELATIVE = "std"


def registered(preset: Preset) -> Preset:
    """Note a preset under its function's name."""
    PRESETS[preset.__name__] = preset
    return preset


def known_name(name: str) -> str:
    """The preset's own name; zennit's is understood: ``EpsilonPlusFlat`` is ``epsilon_plus_flat``.

    Raises:
        CompositeError: there is none, with the nearest.
    """
    own = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_")
    if own in PRESETS:
        return own
    raise CompositeError(
        f"unknown composite {printable(name)!r}{nearest(own, PRESETS, 2)}; choose one of {', '.join(PRESETS)}"
    )


def parameters_of(name: str) -> dict[str, Parameter]:
    """The parameters of a preset, and what they are by default."""
    own = {key: p.default for key, p in inspect.signature(PRESETS[name]).parameters.items()}
    return {**own, BIAS: "absorb"}


def made(text: str) -> Any:
    """The composite of ``NAME[:key=value,...]``.

    Raises:
        CompositeError: unknown name or parameter, or a value that does not fit.
    """
    name, _, settings = text.partition(":")
    own = known_name(name.strip())
    return built(own, dict(_setting(item, own) for item in settings.split(",") if item.strip()))


def built(name: str, given: dict[str, Parameter]) -> Any:
    """The composite of a preset's own name.

    Raises:
        CompositeError: as for :func:`made`.
    """
    known = parameters_of(name)
    for key in sorted(set(given) - set(known)):
        meant = nearest(key, known)
        raise CompositeError(f"composite {name} has no parameter {printable(key)}{meant}; it has {', '.join(known)}")
    for key, value in given.items():
        _require_fit(name, key, value, known[key])
    bias = given.get(BIAS, "absorb")
    composite = PRESETS[name](**{key: value for key, value in given.items() if key != BIAS})
    return replace(composite if bias == "absorb" else composite.with_bias(bias), name=name)


def _require_fit(name: str, key: str, value: Parameter, default: object) -> None:
    """A switch is true or false, bias a word, and all else one number, or one per channel."""
    wanted = "true or false" if isinstance(default, bool) else "absorb or ignore" if key == BIAS else "one number"
    relative = isinstance(value, Relative) and key in ("epsilon", "stabilizer")
    number = relative or (isinstance(value, int | float) and not isinstance(value, bool))
    fits = {"true or false": isinstance(value, bool), "absorb or ignore": value in ("absorb", "ignore")}
    if not fits.get(wanted, number or (key in LISTS and not isinstance(value, str) and np.ndim(value) <= 1)):  # type: ignore[arg-type]
        raise CompositeError(f"composite {name}: {key} must be {wanted}, not {_shown(value)}")


def _shown(value: object) -> str:
    return printable("/".join(f"{n:g}" for n in value) if isinstance(value, tuple) else str(value))


def _setting(item: str, name: str) -> tuple[str, Parameter]:
    key, found, text = (part.strip() for part in item.partition("="))
    if not found or not text:
        raise CompositeError(f"composite {name}: {item.strip()!r} is not of the form key=number")
    return key, parameter(text, f"composite {name}: {item.strip()!r} is not of the form key=number")


def parameter(text: str, complaint: str) -> Parameter:
    """A number, ``true`` or ``false``, ``absorb`` or ``ignore``, ``0.1std``, or numbers between slashes.

    Raises:
        CompositeError: it is nothing of these.
    """
    if text in SWITCHES:
        return SWITCHES[text]
    if text in ("absorb", "ignore"):
        return text
    try:
        if text.endswith(RELATIVE):
            return Relative(float(text.removesuffix(RELATIVE)))
        numbers = tuple(float(part) for part in text.split("/"))
    except ValueError:
        raise CompositeError(complaint) from None
    return numbers[0] if len(numbers) == 1 else numbers
