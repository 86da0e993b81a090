"""Sentences on the command line, and relevance as a row of tokens."""

from __future__ import annotations

import html
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from onnx_lrp.cli.main import main
from onnx_lrp.errors import InputError
from onnx_lrp.tokens.rows import TokenRow
from onnx_lrp.tokens.tokenizing import read_tokens

Capture = pytest.CaptureFixture[str]
WORDS = ["[PAD]", "[UNK]", "cats", "dogs", "like", "<b>", "fish"]
BODY = """<ir_version: 8, opset_import: ["" : 18]>
g (int64[n,l] input_ids, int64[n,l] attention_mask) => (float[n,2] y) {
  e = Gather(table, input_ids) m = Cast<to=1>(attention_mask) u = Unsqueeze(m, last)
  k = Mul(e, u) s = ReduceSum<keepdims=0>(k, middle) y = MatMul(s, w)
}"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng, model = np.random.default_rng(0), onnx.parser.parse_model(BODY)
    numbers = {"table": rng.normal(size=(len(WORDS), 4)).astype(np.float32), "w": np.ones((4, 2), np.float32),
               "last": np.array([-1]), "middle": np.array([1])}  # fmt: skip
    model.graph.initializer.extend(onnx.numpy_helper.from_array(a, name) for name, a in numbers.items())
    onnx.save(model, "text.onnx")
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save("tokenizer.json")
    Path("lines.txt").write_text("cats like fish\n\ndogs like <b> birds cats\n")
    return tmp_path


def run(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    code = main(["explain", *arguments, "--profile", "attnlrp"])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_sentences_become_rows_of_tokens(capsys: Capture, folder: Path) -> None:
    code, out, _ = run(capsys, "text.onnx", "lines.txt", "--tokenizer", "tokenizer.json", "--target", "0")
    assert code == 0
    rows = [line.strip() for line in out.splitlines() if "tokens:" in line]
    assert [row.split()[1::2] for row in rows] == [["cats", "like", "fish"], ["dogs", "like", "<b>", "[UNK]", "cats"]]
    shares = [sum(abs(int(word.rstrip("%"))) for word in row.split()[2::2]) for row in rows]
    assert all(abs(share - 100) <= 3 for share in shares)
    pictures = sorted(path.name for path in folder.glob("*.png"))
    assert pictures == ["lines_0_default.png", "lines_1_default.png"]
    with Image.open(pictures[0]) as short, Image.open(pictures[1]) as long:
        assert long.size >= short.size > (500, 200)  # with a title and a colour bar
    run(capsys, "text.onnx", "lines.txt", "--tokenizer", "tokenizer.json", "--target", "0", "--bare", "-o", "b.png")
    with Image.open("b_lines_0.png") as short, Image.open("b_lines_1.png") as long:
        assert long.width > short.width > 100


def test_a_page_escapes_what_tokens_say(capsys: Capture, folder: Path) -> None:
    code, _, _ = run(capsys, "text.onnx", "lines.txt", "--tokenizer", "tokenizer.json", "-o", "page.html")
    assert code == 0
    page = (folder / "page_lines_1.html").read_text("utf-8")
    assert html.escape("<b>") in page
    assert "<b>" not in page
    assert page.count("<span ") == 5


def test_tokens_of_ids_that_are_fed(capsys: Capture, folder: Path) -> None:
    np.savez("ids.npz", input_ids=np.array([[2, 4, 6]]), attention_mask=np.ones((1, 3), np.int64))
    Path("tokens.txt").write_text("▁cats Ġlike fish\n")
    code, out, _ = run(capsys, "text.onnx", "ids.npz", "--tokens", "tokens.txt", "--no-heatmap")
    assert (code, "tokens: cats" in out) == (0, True)
    assert not list(folder.glob("*.png"))
    code, out, _ = run(capsys, "text.onnx", "ids.npz", "--tokens", "tokens.txt")
    assert code == 0
    assert "cats" in out
    np.savez("more.npz", input_ids=np.array([[3, 4]]), attention_mask=np.ones((1, 2), np.int64))
    Path("tokens.txt").write_text("cats like fish\ndogs like\n")
    code, out, _ = run(capsys, "text.onnx", "ids.npz", "more.npz", "--tokens", "tokens.txt", "--no-heatmap")
    rows = [line.split()[1::2] for line in out.splitlines() if "tokens:" in line]
    assert rows == [["cats", "like", "fish"], ["dogs", "like"]]
    Path("tokens.txt").write_text("cats like\n")
    code, _, error = run(capsys, "text.onnx", "ids.npz", "--tokens", "tokens.txt", "--no-heatmap")
    assert (code, "2 tokens for 3 ids" in error) == (2, True)
    Path("tokens.txt").write_text("cats like fish and more\n")
    code, _, error = run(capsys, "text.onnx", "ids.npz", "--tokens", "tokens.txt", "--force")
    assert (code, "5 tokens for 3 ids" in error) == (2, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tokenizer", "none.json"], "no such tokenizer"),
        (["--tokenizer", "text.onnx"], "not a tokenizer.json"),
        ([], "unknown file type '.txt'"),
        (["--tokens", "none.txt"], "no such file of tokens"),
    ],
)
def test_what_cannot_be_read_is_one_line(capsys: Capture, folder: Path, options: list[str], message: str) -> None:
    code, out, error = run(capsys, "text.onnx", "lines.txt", *options)
    assert (code, out, message in error, error.count("\n")) == (2, "", True, 1)
    assert not list(folder.glob("*.png"))


def test_colours_only_where_the_terminal_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    row = TokenRow(["good", "bad"], np.array([3.0, -1.0]))
    assert row.terminal(coloured=False) == "good +75%  bad -25%"
    assert row.terminal(coloured=True).count("\x1b[48;2;") == 2
    assert TokenRow(["x"], np.zeros(1)).terminal(coloured=False) == "x +0%"
    with monkeypatch.context() as closed:
        closed.setattr("sys.stdout", None)
        assert row.terminal() == row.terminal(coloured=False)
    with pytest.raises(InputError, match="1 tokens for 2 ids"):
        TokenRow(["x"], np.zeros(2))


def test_long_texts_go_on_in_the_next_line() -> None:
    picture = TokenRow(["word"] * 60, np.linspace(-1, 1, 60)).picture()
    assert picture.width == 1200
    assert picture.height > 200


def test_files_of_tokens_have_a_line_per_sample(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a b\n\nc\n")
    assert read_tokens(str(tmp_path / "t.txt")) == [["a", "b"], ["c"]]
