"""Real models of others, on every backend: they answer as they should, the account closes, the backends agree.

Not part of a plain ``pytest``, because the models are fetched and some are large: ``pytest -m realmodels``.
"""

from __future__ import annotations

import pytest
from agreement import BAR, BAR64, Agreement, measure
from catalogue import MODELS, DownloadError, MissingModel, RealModel

pytestmark = pytest.mark.realmodels
FORWARD = {False: 1e-4, True: 5e-3}  # of what is shipped in float32, in float16


def measured(model: RealModel, composite: str) -> Agreement:
    try:
        return measure(model, composite)
    except (MissingModel, DownloadError) as error:  # a checksum that is wrong is no reason to skip
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("model", "composite"),
    [pytest.param(m, c, id=f"{m.name}-{c}") for m in MODELS for c in m.composites],
)
def test_backends_agree(model: RealModel, composite: str) -> None:
    found = measured(model, composite)
    assert model.says in (None, found.target)
    assert found.forward <= FORWARD[model.half]
    assert found.unaccounted <= 1e-9
    assert found.distances["torch", "float64"] <= BAR64
    assert found.walk <= BAR  # on the same activations, without exception
    for key in (("torch", "float32"), ("onnx", "float32")):
        assert found.distances[key] <= found.bar, (key, found)
