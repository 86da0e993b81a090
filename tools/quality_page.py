"""docs/quality.md from its numbers: a text whose numbers are looked up, an overview, and a table for each net."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quality_nets import NETS

TEXT = Path(__file__).with_name("quality_text.md")
MEASURES = {"p blur": "p, blur", "p mean": "p, mean", "pointing": "pointing"}
RIVALS = ("epsilon_plus", "saliency", "gradient-input", "smoothgrad", "smoothgrad, absolute", "integrated-gradients",
          "grad-cam", "occlusion", "random")  # fmt: skip
NONE = "–"
Numbers = dict[str, Any]


def page(numbers: Numbers) -> str:
    """The whole page.

    Args:
        numbers: by net, see :func:`quality_measure.measured`; of a net that is not there it says so.

    Raises:
        KeyError: the text looks up a method or a measure that there is not.
    """
    text = re.sub(r"\{([^{}\n]+)\}", lambda found: looked_up(found[1], numbers), TEXT.read_text(encoding="utf-8"))
    sections = "\n".join(line for net in NETS for line in section(net, numbers.get(net)))
    overviews = "\n".join(line for measure in MEASURES for line in overview(measure, numbers))
    return text.replace("<!-- overview -->", overviews).replace("<!-- tables -->", sections)


def looked_up(place: str, numbers: Numbers) -> str:
    """``net; method; measure``; then ``; less`` for the difference to `default`, or ``; behind`` for its negative."""
    net, method, measure, *less = place.split("; ")
    if net not in NETS:
        raise KeyError(net)
    if net not in numbers:
        return NONE
    found = numbers[net]["methods"][method][measure]
    return difference(found["less"], -1 if less == ["behind"] else 1, star="") if less else cell(found["value"])


def overview(measure: str, numbers: Numbers) -> Iterator[str]:
    """By how much `default` is better than each other method, on each net."""
    yield f"`default` less each other method, {MEASURES[measure]}:\n"
    yield f"| | {' | '.join(NETS)} |"
    yield f"|---|{'--:|' * len(NETS)}"
    for rival in RIVALS:
        found = [numbers.get(net, {}).get("methods", {}).get(rival, {}).get(measure) for net in NETS]
        yield f"| {rival} | {' | '.join(NONE if f is None else difference(f['less'], -1) for f in found)} |"
    yield ""


def section(name: str, found: Numbers | None) -> Iterator[str]:
    """One net: what was measured, and the table."""
    net = NETS[name]
    yield f"### {net.title}\n\n{net.about}"
    if found is None:
        yield f"Not measured yet: `python tools/quality.py {name}`.\n"
        return
    yield "".join(f"{line[0].upper()}{line[1:]}. " for line in found["settings"]).rstrip()
    yield f"Made with {found['versions']}.\n"
    yield f"| method | {' | '.join(f'{title} | less default' for title in MEASURES.values())} | ms |"
    yield f"|---|{'--:|' * (2 * len(MEASURES) + 1)}"
    for method, row in found["methods"].items():
        cells = [text for measure in MEASURES for text in pair(row.get(measure))]
        yield f"| {method} | {' | '.join(cells)} | {row['ms']} |"
    yield ""


def pair(found: Numbers | None) -> tuple[str, str]:
    """A value, and its difference to that of the first method; dashes where there is none."""
    if found is None:
        return NONE, NONE
    return cell(found["value"]), difference(found["less"]) if "less" in found else ""


def difference(three: list[float], sign: int = 1, star: str = " \\*") -> str:
    """With a star where the interval leaves 0 out."""
    mean, low, high = (sign * number for number in (three if sign > 0 else (three[0], three[2], three[1])))
    return cell([mean, low, high], signed=True) + star * (low > 0 or high < 0)


def cell(three: list[float], signed: bool = False) -> str:
    """``mean [low, high]``; 0.5 is .500."""
    mean, low, high = (re.sub(r"(?<!\d)0\.", ".", f"{n:{'+' if signed else ''}.3f}") for n in three)
    return f"{mean} [{low}, {high}]"
