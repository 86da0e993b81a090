"""docs/quality.md: the command that makes it, on a small setting; the numbers that it keeps; how they become a page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def quality(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import quality

    return quality


@pytest.fixture
def small(quality, monkeypatch):
    """Only two composites, and numbers by chance: what takes long is not what is tested here."""
    import quality_nets

    both = quality_nets.Net.composites
    monkeypatch.setattr(
        quality_nets.Net, "composites", lambda net: {k: both(net)[k] for k in ("default", "epsilon_plus")}
    )
    monkeypatch.setattr(quality_nets.Net, "against", lambda net: ("random",))
    monkeypatch.setattr("quality_page.looked_up", lambda place, numbers: "?")
    return quality


def tables(page: str) -> list[list[str]]:
    """The lines of each table."""
    return [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", page, flags=re.MULTILINE)]


def test_the_page_is_what_its_numbers_make_it(quality):
    numbers = json.loads((ROOT / "docs" / "quality.json").read_text("utf-8"))
    assert list(numbers) == list(quality.NETS)
    assert (ROOT / "docs" / "quality.md").read_text("utf-8") == quality.page(numbers)


def test_the_page_has_one_table_for_each_net(quality):
    page = (ROOT / "docs" / "quality.md").read_text("utf-8")
    for net in quality.NETS.values():
        section = page.split(f"### {net.title}\n")[1].split("\n### ")[0]
        (table,) = tables(section)
        assert table[2].startswith("| default |")
        assert {"epsilon_plus", "random", "smoothgrad"} <= {line.split(" | ")[0][2:] for line in table}


def test_one_net_is_measured_and_the_others_are_kept(small, tmp_path, capsys):
    out = tmp_path / "quality.md"
    three = {m: {"value": [0.5, 0.25, 0.75]} for m in ("p blur", "p mean", "pointing")}
    kept = {"methods": {"default": {**three, "ms": 1.5}}}
    before = {"mobile_net": {"versions": "an older one", "settings": ["3 inputs"], **kept}, "mnist_resnet": {}}
    out.with_suffix(".json").write_text(json.dumps(before))
    assert small.main(["mnist_resnet", "--limit", "12", "--out", str(out)]) == 0
    found = json.loads(out.with_suffix(".json").read_text())
    assert found["mobile_net"] == before["mobile_net"]
    methods = found["mnist_resnet"]["methods"]
    assert list(methods) == ["default", "epsilon_plus", "random"]
    assert methods["default"]["p blur"]["value"][0] > methods["random"]["p blur"]["value"][0] + 0.1
    assert methods["random"]["p mean"]["less"][2] < 0
    page = out.read_text()
    assert page.count("Not measured yet") == len(small.NETS) - 2
    assert "| default | .500 [.250, .750] |  | .500" in page
    assert "random: p " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["squeezenet"], "name its file: --squeezenet MODEL.onnx"), (["mnist_resnet", "--limit", "0"], "0 pictures")],
)
def test_what_is_missing_is_one_line_and_nothing_is_written(small, tmp_path, capsys, arguments, told):
    assert small.main([*arguments, "--out", str(tmp_path / "quality.md")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert told in line
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_net_is_named(quality, capsys):
    with pytest.raises(SystemExit, match="2"):
        quality.main(["alexnet"])
    assert "no net 'alexnet'; there are all, mnist_resnet" in capsys.readouterr().err


def test_five_photographs_get_student_s_interval(quality):
    """Worked by hand: mean 3, s² = 2.5, t(4) = 2.776."""
    import quality_measure

    half = 2.776 * (2.5 / 5) ** 0.5
    assert quality_measure.interval(np.arange(1.0, 6)) == [3, round(3 - half, 4), round(3 + half, 4)]


def test_crops_of_one_photograph_are_one_sample(quality):
    import quality_measure

    scores = np.array([1.0, 3, 5, 9])
    assert quality_measure.samples(scores, "p blur", 2, np.zeros((1, 4), int)).tolist() == [2, 7]
    assert quality_measure.samples(scores, "p blur", 1, None).tolist() == scores.tolist()
    quarters = np.array([[0.5, 1, 0, 0.25], [1, 1, 0.5, 0.75]])
    photographs = np.array([[0, 1, 2, 3], [4, 0, 2, 1]])
    assert quality_measure.samples(quarters, "pointing", 2, photographs).tolist() == [0.75, 0.875, 0.25, 0.25, 1]
    assert quality_measure.samples(quarters, "pointing", 1, None).tolist() == [0.4375, 0.8125]


def test_quarters_know_their_photographs(quality, monkeypatch):
    """Each picture is one number, which stands in the quarter that is said to show its photograph."""
    import quality_measure

    from onnx_lrp.evaluation.forms import Form
    from onnx_lrp.evaluation.mosaics import mosaics
    from onnx_lrp.evaluation.subject import Subject
    from onnx_lrp.targets import softmaxed

    x = np.repeat(np.arange(5.0), 4)[:, None, None, None] * np.ones((1, 1, 6, 6))
    targets = np.repeat([4, 0, 3, 1, 2], 4)
    targets[[1, 6]] = [0, 2]  # these two are not seen like their photographs' others
    logits = np.eye(6)[targets] + np.random.default_rng(0).uniform(size=(20, 6)) / 2
    form = Form("pictures", "NCHW")
    subject = Subject(None, None, x, targets, logits, form, ())
    chosen, photographs = quality_measure.players_of(subject, 4)
    assert len(chosen.x) == 18
    board = mosaics(chosen.x, softmaxed(chosen.logits), form, larger=True)
    assert np.array_equal(board.pictures[:, 0, 3::6, 3::6].reshape(-1, 4), photographs)
    assert all(len(set(quarters)) == 4 for quarters in photographs.tolist())


def test_absolute_smoothgrad_costs_no_second_run(quality):
    import quality_measure

    calls = []

    def attribute(x, targets):
        calls.append(len(x))
        return -x

    remembered = quality_measure.remembering(attribute)
    x, targets = np.ones((2, 3)), np.array([0, 1])
    assert np.array_equal(remembered(x, targets), remembered(x.copy(), targets.copy()))
    assert calls == [2]
    remembered(x, targets[::-1])
    remembered(x * 2, targets)
    assert calls == [2, 2, 2]


def test_numbers_are_printed_short(quality):
    import quality_page

    assert quality_page.cell([0.5, -0.25, 1.0]) == ".500 [-.250, 1.000]"
    assert quality_page.difference([0.125, 0.0625, 0.25]) == "+.125 [+.062, +.250] \\*"
    assert quality_page.difference([0.125, 0.0625, 0.25], -1) == "-.125 [-.250, -.062] \\*"
    assert quality_page.difference([0.125, -0.0625, 0.25]) == "+.125 [-.062, +.250]"


def test_what_the_text_looks_up_must_be_there(quality):
    import quality_page

    numbers = {"mobile_net": {"methods": {"gamma": {"pointing": {"value": [0.5, 0.25, 0.75], "less": [-1, -2, 0]}}}}}
    assert quality_page.looked_up("mobile_net; gamma; pointing", numbers) == ".500 [.250, .750]"
    assert quality_page.looked_up("mobile_net; gamma; pointing; less", numbers) == "-1.000 [-2.000, +.000]"
    assert quality_page.looked_up("mobile_net; gamma; pointing; behind", numbers) == "+1.000 [+.000, +2.000]"
    assert quality_page.looked_up("squeezenet; gamma; pointing", numbers) == "–"
    for place in ("mobile_net; gama; pointing", "no_net; gamma; pointing"):
        with pytest.raises(KeyError):
            quality_page.looked_up(place, numbers)
