"""How the package is built: a short first page, imports that go one way, and one meaning for every name."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import onnx_lrp

HOME = Path(onnx_lrp.__file__).parent
MODULES = {".".join(path.relative_to(HOME).with_suffix("").parts): path for path in sorted(HOME.rglob("*.py"))}
# What every command has
COMMANDS = {"NAME", "EPILOG", "add_arguments", "run"}


def imported(name: str, path: Path) -> Iterator[str]:
    """The package's modules that a module imports, inside of functions and for types alone, too."""
    package = name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1] + (node.module.split(".") if node.module else [])
            for alias in node.names:
                found = [".".join(base + extra) for extra in ([alias.name], ["__init__"], [])]
                yield from [module for module in found if module in MODULES][:1]


def defined(path: Path) -> Iterator[str]:
    """Public names that a module defines."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_the_first_page_is_short() -> None:
    assert len(list(HOME.glob("*.py"))) <= 12


def test_imports_go_one_way() -> None:
    """The package itself imports its public names on first use, and counts as the top."""
    graph = {name: set(imported(name, path)) - {name} for name, path in MODULES.items()}
    graph.pop("__init__")
    graph = {name: reads - {"__init__"} for name, reads in graph.items()}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert len(order) == len(MODULES) - 1


def test_a_public_name_has_one_meaning() -> None:
    names = Counter(
        name
        for module, path in MODULES.items()
        for name in set(defined(path))
        if not name.startswith("_") and not (module.startswith("cli.") and name in COMMANDS)
    )
    assert sorted(name for name, count in names.items() if count > 1) == []
