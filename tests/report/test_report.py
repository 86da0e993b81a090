"""``onnx-lrp report``: a page that needs nothing else, and that no name can make do anything."""

from __future__ import annotations

import base64
import hashlib
import importlib
import io
import json
import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from PIL import Image

from onnx_lrp.cli.main import main
from onnx_lrp.pictures.heatmap import colours
from onnx_lrp.propagation.ledger import LedgerEntry
from onnx_lrp.report import page as page_module
from onnx_lrp.report.drawing import map_uri, photo_uri
from onnx_lrp.report.waterfall import waterfall

ROOT = Path(__file__).resolve().parents[2]
MODELS, HOSTILE = ROOT / "models", ROOT.parent / "shared" / "hostile"
CNN = str(MODELS / "mnist_cnn.onnx")
THREE, FOUR = (str(MODELS / "digits" / f"{n}.png") for n in (3, 4))
EVIL = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><script>alert(1)</script>",
    "<svg/onload=alert(1)>", 'x" onmouseover="alert(1)', "{{7*7}}${7*7}{% include 'x' %}", "javascript:alert(1)",
    "</title></style><body onload=alert(1)>", "&lt;b&gt;", "\u202eevil", "L" * 5000, "' onfocus='alert(1)' autofocus='",
]  # fmt: skip
VOID = {"meta", "img", "br", "input", "rect", "link", "hr"}
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Read(HTMLParser):
    """Elements with their attributes, texts by element, and whether everything is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    def text(self, tag: str = "") -> str:
        return "".join(data for name, data in self.texts if not tag or name == tag)


def checked(path: str | Path) -> Read:
    """The page, held against everything that all of them keep."""
    page = Read(Path(path).read_text("utf-8"))
    assert page.of("html") == [{"lang": "en"}]
    for tag, attrs in page.tags:
        for name, value in attrs.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "action", "data", "xlink:href", "srcset", "poster"):
                assert (value or "").startswith(("data:image/", "#")), (tag, value)
    assert {tag for tag, _ in page.tags}.isdisjoint({"link", "iframe", "object", "embed", "base", "form"})
    (script,) = [data for name, data in page.texts if name == "script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [m["content"] or "" for m in page.of("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert "unsafe-inline" not in policy.replace("style-src 'unsafe-inline'", "")
    assert "@import" not in page.text("style")
    assert "url(" not in page.text("style")
    assert all((img.get("alt") or "").strip() for img in page.of("img"))
    levels = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    named = {str(attrs["href"])[1:] for attrs in page.of("a")} | {
        str(attrs["aria-labelledby"]) for _, attrs in page.tags if "aria-labelledby" in attrs
    }
    assert named <= set(ids)
    return page


def report(*argv: str) -> Read:
    assert main(["report", *argv, "-o", "why.html", "-f"]) == 0
    return checked("why.html")


def test_a_report_of_two_digits(capsys: Capture) -> None:
    page = report(CNN, THREE, FOUR, "--layers", "node_relu_1")
    assert "report: why.html (2 samples" in capsys.readouterr().out
    text = page.text()
    for said in (
        "Prediction: 3, probability",
        "Prediction: 4, probability",
        "mnist_cnn.onnx",
        "3.png",
        "ZBox",
        "onnxruntime",
    ):
        assert said in text, said
    assert str(ROOT) not in Path("why.html").read_text("utf-8")
    for n in (0, 1):
        buttons = [b["data-choose"] for b in page.of("button")]
        assert buttons == ["0", "1", "2"] * 2
    assert len([f for f in page.of("figure") if f.get("class") == "map"]) == 6
    assert Path("why.html").stat().st_size < 500_000
    assert main(["report", CNN, THREE, FOUR, "--layers", "node_relu_1", "-o", "again.html"]) == 0
    assert Path("again.html").read_bytes() == Path("why.html").read_bytes()


def test_its_record_verifies(capsys: Capture) -> None:
    page = report(CNN, THREE, "--target", "5", "--top", "2")
    record = next(data for tag, data in page.texts if tag == "pre" and data.startswith("{"))
    Path("why.json").write_text(record, "utf-8")
    assert [e["samples"][0]["target"]["index"] for e in json.loads(record)["explanations"]] == [5, 3]
    assert main(["verify", "why.json", CNN, THREE]) == 0


def test_the_record_of_several_verifies(capsys: Capture) -> None:
    page = report(CNN, THREE, FOUR)
    record = next(data for tag, data in page.texts if tag == "pre" and data.startswith("{"))
    Path("why.json").write_text(record, "utf-8")
    assert main(["verify", "why.json", CNN, THREE, FOUR]) == 0
    assert main(["verify", "why.json", CNN, FOUR, THREE]) == 1


@pytest.mark.parametrize(
    "options", [["--seed", "odds"], ["--against", "5"], ["--against", "8"], ["--top", "1"], ["--top", "99"]]
)
def test_questions(options: list[str]) -> None:
    page = report(CNN, THREE, *options)
    shown = len([f for f in page.of("figure") if f.get("class") == "map"])
    assert shown == {"1": 1, "99": 10}.get(options[1], 3)


def test_names_do_nothing() -> None:
    Path("labels.txt").write_text("\n".join(EVIL[:10]), "utf-8")
    for number, name in enumerate(EVIL):
        model = onnx.load(CNN)
        model.graph.node[0].name = name
        model.graph.output[0].name = name
        for node in model.graph.node:
            node.output[:] = [name if o == "logits" else o for o in node.output]
        onnx.save(model, "evil.onnx")
        file = f"<img src=x onerror=alert({number})>.png"
        shutil.copy(THREE, file)
        page = report("evil.onnx", file, "--labels", "labels.txt")
        assert len(page.of("script")) == 1
        assert file in page.text()
        assert "<svg/onload=alert(1)>" in page.text()


def _hostile() -> list[str]:
    if not (HOSTILE / "gen_names.py").is_file():
        return []
    sys.path.insert(0, str(HOSTILE))
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        return list(importlib.import_module("gen_names").EVIL)
    finally:
        sys.path.remove(str(HOSTILE))
        sys.dont_write_bytecode = before


@pytest.mark.parametrize("name", _hostile())
def test_hostile_models(name: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.syspath_prepend(str(HOSTILE))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    Path("model").mkdir()
    model = importlib.import_module("gen_names").CASES[f"name_{name}"](Path("model"))
    np.save("x.npy", np.ones(1, np.float32))
    code = main(["report", str(model), "x.npy", "-o", "why.html"])
    if code == 0:
        checked("why.html")
    else:  # a name that no runtime takes
        assert capsys.readouterr().err.count("\n") == 1
        assert not Path("why.html").exists()


def test_features_and_several_inputs() -> None:
    body = "{ s = Add(x, w) r = Relu(s) y = MatMul(r, V) }"
    head = '<ir_version: 8, opset_import: ["": 17]> g (float[N, 4] x, float[N, 4] w) => (float[N, 3] y)'
    model = onnx.parser.parse_model(head + body)
    rng = np.random.default_rng(0)
    model.graph.initializer.append(onnx.numpy_helper.from_array(rng.standard_normal((4, 3)).astype(np.float32), "V"))
    onnx.save(model, "m.onnx")
    x, w = (rng.standard_normal((2, 4)).astype(np.float32) for _ in range(2))
    np.savez("x.npz", x=x, w=w)
    page = report("m.onnx", "x.npz")
    assert "Input x" in page.text()
    assert f"{x[1].max():.6g}" in page.text()
    assert "Prediction" in page.text()


def test_tokens() -> None:
    head = '<ir_version: 8, opset_import: ["": 18]> g (int64[n, l] ids) => (float[n, 2] y)'
    model = onnx.parser.parse_model(
        head + "{ e = Gather(table, ids) s = ReduceSum<keepdims=0>(e, axis) y = MatMul(s, w) }"
    )
    table, w = np.eye(4, 3, dtype=np.float32), np.array([[1, 2], [-1, 1], [2, 1]], np.float32)
    arrays = {"table": table, "w": w, "axis": np.array([1])}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(a, name) for name, a in arrays.items())
    onnx.save(model, "t.onnx")
    np.save("ids.npy", np.array([[0, 1, 2], [2, 2, 3]]))
    Path("tokens.txt").write_text("<b> bad fine\nfine fine </span>\n")
    page = report("t.onnx", "ids.npy", "--tokens", "tokens.txt", "--target", "0")
    assert page.of("b") == []
    assert all(word in page.text() for word in ("<b>", "+25 %", "-25 %", "</span>", "+50 %"))


def test_what_is_refused(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save("many.npy", np.zeros((51, 1, 28, 28), np.float32))
    Path("bad.json").write_text('{"rows": 3}')
    for argv, said in [
        ([CNN, *[THREE] * 51], "at most 50; give the first 50"), ([CNN, "many.npy"], "at most 50"),
        ([CNN, THREE, "--quality", "bad.json"], "evaluate --json"),
        ([CNN, THREE, "--quality", "none.json"], "cannot be read"),
        ([CNN, THREE, "--target", "0:3"], "region"), ([CNN, THREE, "--labels", "bad.json"], "1 labels given"),
    ]:  # fmt: skip
        assert main(["report", *argv, "-o", "why.html"]) == 2
        out, err = capsys.readouterr()
        assert said in err
        assert (out, err.count("\n")) == ("", 1)
        assert not Path("why.html").exists()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert main(["report", CNN, THREE]) == 2
    assert "pip install 'onnx_lrp[report]'" in capsys.readouterr().err


def test_the_quality_table() -> None:
    value = {"mean": 0.25, "low": 0.125, "high": 0.375, "count": 9}
    rows = [{"method": "lrp", "measure": "AUC", "value": value, "difference": None},
            {"method": EVIL[0], "measure": "AUC", "value": value, "difference": value}]  # fmt: skip
    content = {"source": "/home/me/m.onnx", "rows": rows, "settings": ["9 samples"], "warnings": ["few samples"]}
    Path("q.json").write_text(json.dumps(content))
    text = report(CNN, THREE, "--quality", "q.json").text()
    for said in ("Evaluated on m.onnx", "0.125 to 0.375", EVIL[0], "few samples"):
        assert said in text


def test_maps_show_the_colours_of_a_heatmap() -> None:
    plane = np.random.default_rng(3).uniform(-2, 2, (20, 30))
    uri = map_uri(plane, 1.5)
    image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert image.mode == "P"
    expected = colours(np.clip(plane / 1.5, -1, 1))
    assert np.abs(np.asarray(image.convert("RGB"), float) - expected).max() <= 4  # of 255 levels one is up to 2.5 apart
    zero = Image.open(io.BytesIO(base64.b64decode(map_uri(np.zeros((9, 9)), 0.0).partition(",")[2])))
    assert np.asarray(zero.convert("RGB")).min() == 255


def test_large_photos_stay_small() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3000, 2000, 3), np.uint8)
    assert len(photo_uri(noise)) < 1_500_000
    assert len(map_uri(noise[..., 0].astype(float) - 128, 128)) < 1_500_000


def test_the_waterfall_ends_at_the_inputs() -> None:
    amounts = [3.0, -1.0, 1e-5, 0.5, 2.0]
    entries = [LedgerEntry(f"n{i}", "Conv", "", 10.0, 10.0 - a, 1.0, "biases") for i, a in enumerate(amounts)]
    bars = waterfall(entries, 10.0, 10.0 - sum(amounts))
    assert [bar.node for bar in bars] == ["target", "n0", "n1", "n3", "n4", "1 other node", "inputs"]
    assert sum(bar.amount for bar in bars[:-1]) == pytest.approx(bars[-1].amount)
    assert all(bar.left >= 0 and bar.left + bar.width <= 100.5 for bar in bars)
    assert [bar.kind for bar in bars[1:4]] == ["loss", "gain", "loss"]
    assert bars[2].left == pytest.approx(70)
    assert bars[2].width == pytest.approx(10)
    assert waterfall([], -4.0, -4.0)[0].width == 100
    many = [LedgerEntry(f"n{i}", "Conv", "", 1.0, 0.5) for i in range(40)]
    assert len(waterfall(many, 20.0, 0.0)) == 19


def test_the_policy_is_of_this_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the page must be able to fail."""
    report(CNN, THREE)
    monkeypatch.setattr(page_module, "POLICY", page_module.POLICY.replace("{hash}", "AAAA"))
    with pytest.raises(AssertionError):
        report(CNN, THREE)


NODES = os.environ.get("NODE_PATH", str(ROOT / "node_modules"))
PACKAGES = [str(Path(NODES) / name) for name in ("playwright-core", "axe-core")]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.slow
@pytest.mark.skipif(
    BROWSER is None or not shutil.which("node") or not all(map(os.path.isdir, PACKAGES)),
    reason="takes chromium, node, and NODE_PATH with playwright-core and axe-core",
)  # fmt: skip
def test_in_a_browser(folder: Path) -> None:
    Path("labels.txt").write_text("\n".join(EVIL[:10]), "utf-8")
    assert main(["report", CNN, THREE, FOUR, "--labels", "labels.txt", "-o", "names.html"]) == 0
    assert main(["report", str(MODELS / "mnist_resnet.onnx"), THREE, "-o", "why.html"]) == 0
    script = str(Path(__file__).with_name("browse.cjs"))
    done = subprocess.run(
        ["node", script, str(BROWSER), "-", "names.html", "why.html"], capture_output=True, text=True, timeout=120,
        env={**os.environ, "NODE_PATH": NODES},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for views in json.loads(done.stdout).values():
        assert len(views) == 4
        for seen in views:
            assert (seen["console"], seen["requests"], seen["dialogs"]) == ([], [], 0)
            assert [v for v in seen["axe"] if v["impact"] in ("serious", "critical")] == []
            assert seen["wide"] <= 0
            assert all(choices == [1, 1, 1] for choices in seen["choices"])
