"""Where a line goes: results to standard output, notes and warnings to standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable

REMARKS = ("note: ", "warning: ")


def tell(lines: Iterable[str], quiet: bool = False) -> None:
    """Print results; notes and warnings beside them, so that a pipe gets none, and if ``quiet`` not at all."""
    for line in lines:
        if not line.startswith(REMARKS):
            print(line)
        elif not quiet:
            print(line, file=sys.stderr)
