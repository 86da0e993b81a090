"""A profile changes nothing where strict has an answer: the same numbers, bit for bit, over files of real exporters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from onnx_lrp import Explainer, ModelError

ROOT = Path(__file__).resolve().parents[2]
ZOO = ROOT.parent / "shared" / "zoo" / "cases"
EVERY = 8  # of the zoo's files in the plain suite


def same(path: Path, feeds: dict[str, np.ndarray], profile: str) -> bool | None:
    """Whether both give the same; None if strict gives nothing."""
    try:
        strict = Explainer(path, backend="numpy")(feeds)
    except (ModelError, ValueError):
        return None
    under = Explainer(path, backend="numpy", profile=profile)(feeds)
    return all(np.array_equal(strict.inputs[name], under.inputs[name], equal_nan=True) for name in feeds)


def compared(folders: list[Path], profile: str) -> None:
    verdicts = []
    for folder in folders:
        arrays = np.load(folder / "case.npz")
        feeds = {key.partition("::")[2]: arrays[key] for key in arrays.files if key.startswith("input::")}
        verdicts.append((folder.name, same(folder / "model.onnx", feeds, profile)))
    assert [name for name, verdict in verdicts if verdict is False] == []
    assert sum(verdict is True for _, verdict in verdicts) > 0.8 * len(verdicts)


@pytest.mark.skipif(not ZOO.exists(), reason="the exported models are not beside the checkout")
def test_the_same_numbers_on_some_of_the_zoo() -> None:
    compared(sorted(ZOO.iterdir())[::EVERY], "attnlrp")


@pytest.mark.full
@pytest.mark.skipif(not ZOO.exists(), reason="the exported models are not beside the checkout")
@pytest.mark.parametrize("profile", ["attnlrp", "cplrp", "attnlrp:gates=half"])
def test_the_same_numbers_on_all_of_the_zoo(profile: str) -> None:
    compared(sorted(ZOO.iterdir()), profile)
