"""The page: a template that Jinja2 fills, escaping every name, under a policy that fetches and runs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError

HERE = Path(__file__).parent
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"  # noqa: E501


def require_jinja() -> Any:
    """The package jinja2.

    Raises:
        InputError: it is missing.
    """
    try:
        import jinja2
    except ImportError:
        raise InputError("a report takes the package jinja2: pip install 'onnx_lrp[report]'") from None
    return jinja2


def render(content: Mapping[str, Any]) -> str:
    """The whole page.

    Args:
        content: as :func:`onnx_lrp.report.content.content_of` gives it.

    Raises:
        InputError: jinja2 is missing.
    """
    jinja2 = require_jinja()
    script, style = ((HERE / name).read_text("utf-8") for name in ("page.js", "page.css"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        loader=jinja2.FileSystemLoader(HERE, "utf-8"),
    )  # fmt: skip
    environment.filters.update(number=_number, percent=_percent)
    from markupsafe import Markup

    found: str = environment.get_template("page.html.jinja").render(
        content, policy=POLICY.format(hash=digest), script=Markup(script), style=Markup(style)
    )  # the two files of this folder, nobody else's text
    return found


def _number(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")


def _percent(share: float | None) -> str:
    """A probability; one that rounds to 0 or 1 says so."""
    if share is None:
        return ""
    if 0 < share < 0.001:
        return "< 0.1 %"
    return "> 99.9 %" if 0.999 < share < 1 else f"{100 * share:.1f} %"
