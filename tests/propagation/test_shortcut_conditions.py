"""A shortcut is taken where its conditions hold, and not where one of them is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conditions import CONDITIONS
from drawing import fits

from onnx_lrp.propagation.fast import Shortcut
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
