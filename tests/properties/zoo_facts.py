"""Real exporters' files, where they stand beside the checkout: static facts change nothing. See also many_graphs.py::

python tests/properties/zoo_facts.py --every 1 --save /tmp/violations
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from graphs.cases import Case
from many_graphs import Findings

ROOT = Path(__file__).resolve().parents[2]
ZOO = ROOT.parent / "shared" / "zoo" / "cases"
sys.path.insert(0, str(ROOT / "tools"))

from zoo_adapter import composite  # noqa: E402 - it lies in a folder of its own


def cases_of(folder: Path) -> Iterator[Case]:
    """One for each composite that the file has a reference for."""
    meta = json.loads((folder / "meta.json").read_text())
    if meta.get("optional"):
        return
    model, arrays = onnx.load(folder / "model.onnx"), np.load(folder / "case.npz")
    feeds = {key.partition("::")[2]: arrays[key] for key in arrays.files if key.startswith("input::")}
    for reference in meta["refs"].values():
        params = reference["params"]
        found = composite(reference["composite"], params)
        output, batchnorm = meta["output_name"], params.get("bn", "affine")
        yield Case(model, feeds, found, output, "logit", meta["target"], output=output, batchnorm=batchnorm)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="only every so-manieth file")
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder for the cases that violate a bound")
    given = parser.parse_args()
    findings = Findings(given.save)
    for folder in sorted(ZOO.iterdir())[given.start :: given.every]:
        for case in cases_of(folder):
            findings.add(case)
    print(findings.summary())
    return 1 if findings.tally["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
