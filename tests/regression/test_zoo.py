"""The zoo of real exporters' files with native float64 references, where it stands beside the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPARE = ROOT.parent / "shared" / "zoo" / "compare.py"
RUNS = [  # backend, dtype, precision of the reference, what
    ("numpy", "float64", "f64", "cases"),
    ("torch", "float32", "f32", "cases"),
    ("onnx", "float32", "f32", "cases"),
    ("numpy", "float64", "f64", "reject"),
    ("torch", "float64", "f64", "reject"),
    ("onnx", "float32", "f32", "reject"),
]
BY_HAND = [("torch", "float64", "f64", "cases"), ("numpy", "float32", "f32", "cases")]
Row = dict[str, Any]

pytestmark = pytest.mark.skipif(not COMPARE.exists(), reason="no zoo beside the checkout")


def rows(backend: str, dtype: str, precision: str, what: str, made: Path) -> list[Row]:
    """One row for each file and composite."""
    command = [sys.executable, COMPARE, ROOT / "tools" / "zoo_adapter.py", "--precision", precision, "--only", what]
    environment = {**os.environ, "LRP_BACKEND": backend, "LRP_DTYPE": dtype}
    run = subprocess.run(
        [*command, "--quiet", "--json", made], env=environment, capture_output=True, text=True, check=False
    )
    assert made.exists(), run.stdout[-2000:] + run.stderr[-2000:]
    found: list[Row] = json.loads(made.read_text())
    return found


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, ...], Future[list[Row]]]]:
    """All runs, as many at once as there are processors, the longest first."""
    folder = tmp_path_factory.mktemp("zoo")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        order = sorted(RUNS, key=lambda run: (run[3] != "cases", run[0] != "onnx"))
        yield {run: pool.submit(rows, *run, folder / f"{'-'.join(run)}.json") for run in order}


CHANGED = {"reject/nonlin_abs"}  # |x| is max(x, 0) + max(-x, 0), which was explained all the time


@pytest.mark.parametrize("run", RUNS, ids="-".join)
def test_zoo(run: tuple[str, ...], judged: dict[tuple[str, ...], Future[list[Row]]]) -> None:
    if run[0] == "torch":
        pytest.importorskip("torch")
    is_right(run, judged[run].result())


@pytest.mark.full
@pytest.mark.parametrize("run", BY_HAND, ids="-".join)
def test_zoo_in_the_other_precisions(run: tuple[str, ...], tmp_path: Path) -> None:
    is_right(run, rows(*run, tmp_path / "found.json"))


def is_right(run: tuple[str, ...], found: list[Row]) -> None:
    assert found
    assert not [row for row in found if row["verdict"] not in ("pass", "unsup") and row["case"] not in CHANGED]
    if run[3] == "cases":
        optional = {path.parent.name for path in COMPARE.parent.glob("cases/*/meta.json") if is_optional(path)}
        refused = {row["case"] for row in found if row["verdict"] == "unsup"}
        assert refused <= optional
        assert 4 * len(refused) <= len(optional)


def is_optional(meta: Path) -> bool:
    return bool(json.loads(meta.read_text()).get("optional"))
