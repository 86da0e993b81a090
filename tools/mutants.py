"""Break every shortcut and every fact on purpose, one at a time, and see whether the tests notice.

    python tools/mutants.py --jobs 2
    python tools/mutants.py --list
    python tools/mutants.py --only open-gate-unmasked --tests tests/propagation

What is broken, and how, stands in ``mutations.py``. A copy of the checkout is broken, never the checkout itself.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mutations import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[1]
TESTS = (  # the quick ones first: the first failure ends a run
    "tests/propagation", "tests/engines", "tests/test_rules.py", "tests/test_composites.py", "tests/test_explainer.py",
    "tests/conversion",
    "tests/properties", "tests/ops", "tests/model", "tests/regression",
)  # fmt: skip


def copied(folder: Path) -> None:
    """The tracked files of the checkout, as they are now."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def tested(folder: Path, tests: Sequence[str]) -> str | None:
    """The first test that fails in a copy; None if all pass.

    Raises:
        RuntimeError: the copy is not what the tests import, or lacks the tests.
    """
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    python = [sys.executable, "-m"]
    where = [sys.executable, "-c", "import onnx_lrp; print(onnx_lrp.__file__)"]
    found = subprocess.run(where, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if found.returncode == 0 and not Path(found.stdout.strip()).is_relative_to(folder):
        raise RuntimeError(f"tests would import {found.stdout.strip()}, which is not in {folder}")
    if missing := [test for test in tests if not (folder / test.partition("::")[0]).exists()]:
        raise RuntimeError(f"no {missing[0]} among the tracked files")
    command = [*python, "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if run.returncode == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", run.stdout, flags=re.MULTILINE)
    return failed.group(1) if failed else f"exit code {run.returncode}"


def judged(mutant: Mutant, folder: Path, tests: Sequence[str]) -> str | None:
    """The test that notices the mutant, or None; the copy is whole again afterwards."""
    path = folder / mutant.file
    whole = path.read_text(encoding="utf-8")
    path.write_text(mutant.applied(whole), encoding="utf-8")
    try:
        return tested(folder, tests)
    finally:
        path.write_text(whole, encoding="utf-8")


def verdicts(mutants: Sequence[Mutant], tests: Sequence[str], jobs: int) -> Iterator[tuple[Mutant, str | None]]:
    """Every mutant with the test that notices it, in order; each job has a copy of its own."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as home, ThreadPoolExecutor(jobs) as pool:
        copies: Queue[Path] = Queue()
        for i in range(jobs):
            copied(Path(home) / str(i))
            copies.put(Path(home) / str(i))

        def one(mutant: Mutant) -> str | None:
            folder = copies.get()
            try:
                return judged(mutant, folder, tests)
            finally:
                copies.put(folder)

        yield from zip(mutants, pool.map(one, mutants))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these mutants alone")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--tests", nargs="+", default=TESTS, help="what may notice them")
    parser.add_argument("--list", action="store_true", help="print the mutants and stop")
    return parser.parse_args()


def main() -> int:
    """0 if every mutant is noticed but those that are shown to be equivalent."""
    options = arguments()
    chosen = [m for m in MUTANTS if not options.only or m.name in options.only]
    if options.list or not chosen:
        print(
            "\n".join(f"{m.name:36} {m.file}" + (f"  equivalent: {m.equivalent}" * bool(m.equivalent)) for m in chosen)
        )
        return 0 if chosen else 2
    alive = [m for m in chosen if not m.equivalent]
    survived = 0
    for mutant, test in verdicts(alive, options.tests, options.jobs):
        survived += test is None
        print(f"{mutant.name:36} {'SURVIVED' if test is None else f'found by {test}'}", flush=True)
    equivalent = len(chosen) - len(alive)
    print(f"{len(chosen)} mutants: {len(alive) - survived} found, {equivalent} equivalent, {survived} survived")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
