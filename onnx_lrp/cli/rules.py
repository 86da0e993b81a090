"""rules: what composites there are, with formulas, use and source; or one of them, or a file, as a table."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..composites import Composite

NAME = "rules"
EPILOG = """\
A composite is chosen by --composite NAME[:KEY=VALUE,...] or --composite FILE.toml. To make one of your own, let
--save write one to a file, and edit that. Names as zennit writes them (EpsilonPlusFlat) are understood.

Exit code: 0 done, 2 there is no such composite, or the file cannot be written."""


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``onnx-lrp rules``."""
    parser.add_argument("name", metavar="NAME[:KEY=VALUE,...]", nargs="?", help="one composite, or a .toml file")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--save", metavar="FILE.toml", help="write the composite to a file")
    parser.add_argument("-f", "--force", action="store_true", help="replace a file that exists")


def run(args: Namespace) -> int:
    """Print, and write.

    Raises:
        OnnxLrpError: there is no such composite, or the file cannot be written.
    """
    from ..composites import Composite, describe, presets
    from ..errors import CompositeError
    from ..writing import shown

    if args.name is None:
        if args.save:
            raise CompositeError("say which composite to write: onnx-lrp rules default --save FILE.toml")
        print(json.dumps([asdict(info) for info in presets()], indent=2) if args.json else "\n".join(_all()))
        return 0
    if args.name.isidentifier() and not (args.save or args.json):  # one that needs bounds can be shown without
        print(describe(args.name))
        return 0
    composite = Composite.parse(args.name)
    if args.save:
        composite = replace(composite, name=Path(args.save).stem)  # what is edited is another one
        composite.save(args.save, args.force)
    print("\n".join(_table(composite, args.json)))
    if args.save and not args.json:
        print(f"written: {shown(args.save)}")
    return 0


def _all() -> Iterator[str]:
    from ..composites import presets

    for info in presets():
        yield f"{info.name}: {info.what}"
        yield f"    {info.use}"
        yield f"    {', '.join(info.parameters)}"
    yield "onnx-lrp rules NAME shows the rules of one, with their formulas"


def _table(composite: Composite, as_json: bool) -> list[str]:
    if not as_json:
        return str(composite).splitlines()
    rows = [{"selector": str(selector), "rule": str(rule)} for selector, rule in composite.entries]
    return [json.dumps({"name": composite.name, "entries": rows, "otherwise": str(composite.default)}, indent=2)]
