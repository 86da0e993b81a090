"""Options of the whole suite."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--torch-device", metavar="NAME", help="also test torch on this device, for example cuda")
