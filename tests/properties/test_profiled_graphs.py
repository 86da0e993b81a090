"""Random graphs under a profile: strict's numbers where strict has any, and one typed error or an answer elsewhere."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from graphs.cases import Case, cases
from graphs.checks import explaining
from graphs.mutations import mutated
from graphs.portions import GENERATE, PORTION, drawn
from hypothesis import strategies as st
from test_mutated_graphs import fed, is_large, one_line

from onnx_lrp import Explanation
from onnx_lrp.errors import OnnxLrpError

GRAPHS = 220
PROFILES = ("attnlrp", "cplrp", "attnlrp:gates=half")


def test_a_profile_changes_no_number_of_strict_s() -> None:
    tally: Counter[str] = Counter()

    def check(case: Case) -> None:
        profile = PROFILES[tally["graphs"] % len(PROFILES)]
        strict, under = (explained(case, chosen) for chosen in ("strict", profile))
        tally.update(graphs=1)
        assert isinstance(strict, Explanation)
        assert isinstance(under, Explanation)
        for name, r in strict.inputs.items():
            np.testing.assert_array_equal(under.inputs[name], r)

    drawn(check, -(-GRAPHS // PORTION), first=1000, how=GENERATE, case=cases())
    assert tally["graphs"] >= GRAPHS


def test_a_broken_graph_is_one_error_or_an_answer() -> None:
    tally: Counter[str] = Counter()

    def check(case: Case, data: st.DataObject) -> None:
        _, broken = mutated(case.model, data.draw)
        try:
            model = onnx.load_from_string(broken)
        except DecodeError:
            return
        if is_large(model):
            return
        stored = {weight.name for weight in model.graph.initializer}
        feeds = {v.name: fed(v, case.feeds) for v in model.graph.input if v.name not in stored}
        found = explained(replace(case, model=model, feeds=feeds), "attnlrp")
        tally.update({"explained" if isinstance(found, Explanation) else "refused": 1})
        if isinstance(found, OnnxLrpError):
            one_line(found)

    drawn(check, -(-GRAPHS // PORTION), first=2000, how=GENERATE, case=cases(), data=st.data())
    assert tally["explained"] > 0.05 * GRAPHS
    assert tally["refused"] > 0.3 * GRAPHS


def explained(case: Case, profile: str) -> Explanation | OnnxLrpError:
    """By NumPy; any exception but ours, and any warning, fails the test."""
    try:
        return explaining(case, "numpy", profile=profile)(case.feeds, case.target, seed=case.seed)
    except OnnxLrpError as error:
        return error
