"""A shortcut is taken where its conditions hold, and not where one of them is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conditions import CONDITIONS
from drawing import fits

from onnx_lrp import Gamma, backends
from onnx_lrp.ops.linear import MatMulMap
from onnx_lrp.propagation.fast import Claims, FastRelevance, LayerWeights, Shortcut
from onnx_lrp.propagation.linear import OUTPUT, LinearRelevance
from onnx_lrp.propagation.shortcuts import SHORTCUTS

each_shortcut = pytest.mark.parametrize("shortcut", SHORTCUTS, ids=lambda s: type(s).__name__)


@each_shortcut
def test_a_shortcut_may_be_taken_where_its_conditions_hold(shortcut: Shortcut) -> None:
    for setting in CONDITIONS[type(shortcut)].fits:
        assert fits(shortcut, setting.layer()), setting


@each_shortcut
def test_a_shortcut_is_not_taken_where_a_condition_is_missing(shortcut: Shortcut) -> None:
    condition = CONDITIONS[type(shortcut)]
    assert condition.changes
    for change in condition.changes:
        assert not fits(shortcut, replace(condition.fits[0], **change).layer()), change


@pytest.mark.parametrize("epsilon", [1e-6, 3e-5])
def test_gamma_of_zero_keeps_its_stabilizer(epsilon: float) -> None:
    """Its denominator is z, which may cancel: ε on the bias of -1024 would be lost in float32."""
    xp = backends.create(backends.Choice("numpy", "float32"))
    a, w, b, r = (np.array([[v]], np.float32) for v in (1.0, 1024 + 2**-13, -1024.0, 1.0))
    layer = LinearRelevance(xp, MatMulMap(), Gamma(gamma=0.0, epsilon=epsilon), a, w, b)
    claims = Claims(nonnegative=True, output=layer.denominator(OUTPUT))
    factors = FastRelevance(layer, claims, LayerWeights(w, b), False, SHORTCUTS).factors(r)
    np.testing.assert_allclose(sum(modifier(xp, a) * c for modifier, c in factors), layer.relevance(r), rtol=1e-5)
