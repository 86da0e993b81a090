"""A parser that complains in one line."""

from __future__ import annotations

import argparse
import re
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """Errors are one line, as everywhere else; abbreviated options are refused, since they break when one is added."""

    def __init__(self, *args: str, **options: object) -> None:
        options = {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter, **options}
        super().__init__(*args, **options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2."""
        from ..text import printable

        meant = self._meant(message)
        self.exit(2, f"onnx-lrp: error: {printable(message, 2000)}{meant}; see {self.prog} --help\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As argparse does, but each command complains of its own unknown options, and knows what they resemble."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def _meant(self, message: str) -> str:
        """What is like the word that was refused."""
        from ..text import nearest

        if chosen := re.match(r"argument .*: invalid choice: '(.*)' \(choose from (.*)\)", message):
            return nearest(chosen[1], re.findall(r"[\w-]+", chosen[2]))
        if option := re.match(r"unrecognized arguments: (--[\w-]+)", message):
            return nearest(option[1], self._option_string_actions)
        return ""
