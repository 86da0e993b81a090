"""Make tests/regression/golden: networks by real exporters, and relevances by the frameworks' own tools.

usage: make_golden.py FRAMEWORK...                    in an environment that has the framework
       make_golden.py all [--environments FOLDER]     makes an environment for each framework, and the files in it

Nothing of onnx_lrp takes part. Each framework needs the packages that tools/golden/requirements/FRAMEWORK.txt pins, on
Python 3.11.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import venv
from pathlib import Path

sys.dont_write_bytecode = True
REQUIREMENTS = Path(__file__).parent / "golden" / "requirements"
FRAMEWORKS = tuple(sorted(path.stem for path in REQUIREMENTS.glob("*.txt")))


def main() -> None:
    """Parse the arguments and make the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("framework", nargs="+", choices=(*FRAMEWORKS, "all"))
    parser.add_argument("--environments", type=Path, default=Path(".cache") / "golden")
    arguments = parser.parse_args()
    if "all" in arguments.framework:
        for framework in FRAMEWORKS:
            in_environment(arguments.environments / framework, framework)
        return
    for framework in arguments.framework:
        importlib.import_module(f"golden.{framework}").main()


def in_environment(folder: Path, framework: str) -> None:
    """Make one framework's files in a virtual environment with the pinned packages."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", REQUIREMENTS / f"{framework}.txt"], check=True)
    subprocess.run([python, __file__, framework], check=True)


if __name__ == "__main__":
    main()
