"""Profiles: the user's word for what is explained beyond ReLU nets. ``strict``, the default, allows nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import CompositeError
from ..text import nearest

OPTIONS = {"softmax": ("taylor", "held"), "gates": ("signal", "half")}
DEFAULTS: dict[str, dict[str, str]] = {
    "strict": {},
    "attnlrp": {"softmax": "taylor", "gates": "signal"},
    "cplrp": {"softmax": "held", "gates": "signal"},
}


@dataclass(frozen=True)
class Profile:
    """What counts as a constant beside weights.

    ``softmax``: linearised at the recorded point (``"taylor"``, AttnLRP, Achtibat et al. 2024), or ``"held"`` where it
    weighs (CP-LRP, Ali et al. 2022). ``gates``: of a gate and a signal the signal gets everything (``"signal"``, Arras
    et al. 2017), or each gets half (``"half"``). Factors that normalise are held in either case.
    """

    name: str = "strict"
    softmax: str = "taylor"
    gates: str = "signal"

    def __bool__(self) -> bool:
        """Whether it allows anything."""
        return self.name != "strict"

    def __str__(self) -> str:
        default = DEFAULTS[self.name]
        given = ",".join(f"{key}={getattr(self, key)}" for key in default if getattr(self, key) != default[key])
        return f"{self.name}:{given}" if given else self.name

    @staticmethod
    def parse(text: str | Profile) -> Profile:
        """A profile from ``NAME[:key=value,...]``: ``strict``, ``attnlrp``, ``cplrp``, ``attnlrp:gates=half``.

        Raises:
            CompositeError: no such profile, option or value.
        """
        if isinstance(text, Profile):
            return text
        name, _, settings = text.partition(":") if isinstance(text, str) else ("", "", "")
        name = name.strip()
        if name not in DEFAULTS:
            raise CompositeError(
                f"no profile {text!r:.80}{nearest(name, DEFAULTS)}; choose one of {', '.join(DEFAULTS)}"
            )
        given: dict[str, Any] = dict(DEFAULTS[name])
        for item in filter(str.strip, settings.split(",")):
            key, _, value = (word.strip() for word in item.partition("="))
            if key not in DEFAULTS[name] or value not in OPTIONS[key]:
                known = "; ".join(f"{key}={' or '.join(OPTIONS[key])}" for key in DEFAULTS[name]) or "none"
                raise CompositeError(f"profile {name} has no option {item.strip()!r:.80}; it has {known}")
            given[key] = value
        return Profile(name, **given)


STRICT = Profile()
