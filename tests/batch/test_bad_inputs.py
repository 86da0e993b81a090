"""Bad inputs among good ones, through the whole of a run: each costs its own row, and no other row shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commanding import DIGITS, MODELS, typed
from PIL import Image
from smallnets import samples_for, small_net
from test_hostile_inputs import png_of_size

import onnx_lrp as lrp
from onnx_lrp.cli.main import main
from onnx_lrp.errors import InputError, OnnxLrpError

pytest.importorskip("zarr")
pytest.importorskip("pyarrow")


@pytest.fixture(autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def noise(*shape: int, mode: str | None = None) -> Image.Image:
    rng = np.random.default_rng(sum(shape))
    image = Image.fromarray(rng.integers(0, 256, shape, np.uint8))
    return image if mode is None else Image.frombytes(mode, shape[1::-1], rng.bytes(int(np.prod(shape))))


def test_a_corrupt_picture_among_a_thousand_costs_one_row() -> None:
    rng = np.random.default_rng(0)
    digits = [np.asarray(Image.open(path).convert("L"), int) for path in sorted((MODELS / "digits").glob("*.png"))]
    Path("in").mkdir()
    for i in range(1000):
        noisy = digits[i % len(digits)] + rng.integers(-20, 20, (28, 28))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(f"in/{i:04}.png", compress_level=1)
    options = [str(DIGITS), "in", "--save", "maps,scores,topk", "--threads", "1", "-q", "-o"]
    assert main(["batch", *options, "sound"]) == 0
    data = Path("in/0500.png").read_bytes()
    Path("in/0500.png").write_bytes(data[:60] + bytes(60) + data[120:])
    first = typed(DIGITS, "in", "-o", "out", "--save", "maps,scores,topk")
    assert first.returncode == 3
    assert "failed: 1\n  in/0500.png: cannot be read (" in first.stderr + first.stdout
    assert main(["batch", *options, "out", "--allow-errors"]) == 0
    sound, run = lrp.open_batch("sound"), lrp.open_batch("out")
    [bad] = run.errors
    assert (bad.row, bad.input, bad.prediction) == (500, "in/0500.png", None)
    assert np.isnan(bad.map).all()
    assert np.isnan(bad.scores).all()
    others = np.delete(np.arange(1000), 500)
    np.testing.assert_array_equal(run.numpy()[others], sound.numpy()[others])
    assert run.index.take(others).equals(sound.index.take(others))


def odd_pictures() -> None:
    """Into the folder ``odd``."""
    folder = Path("odd")
    folder.mkdir()
    noise(28, 28).save(folder / "grey.png")
    noise(40, 30, 3).save(folder / "rgb.jpg")
    noise(30, 30, 4).save(folder / "rgba.png")
    noise(28, 28, 2, mode="LA").save(folder / "la.png")
    noise(20, 20, 4, mode="CMYK").save(folder / "cmyk.jpg")
    noise(30, 30, 3).convert("P").save(folder / "palette.png", transparency=3)
    values = np.random.default_rng(1).integers(0, 65536, (33, 35), np.uint16)
    Image.fromarray(values).save(folder / "sixteen.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(40, 20, 3).save(folder / "rotated.jpg", exif=exif)
    Image.new("L", (1, 1), 200).save(folder / "pixel.png")
    Image.new("1", (28, 28), 1).save(folder / "bit.png")
    noise(5, 300, 3).save(folder / "wide.bmp")
    noise(9, 9, 3).save(folder / "still.webp")
    noise(9, 9, 3).save(folder / "moving.webp", save_all=True, append_images=[noise(8, 9, 3).resize((9, 9))])
    noise(9, 9, 3).save(folder / "moving.gif", save_all=True, append_images=[noise(8, 9, 3).resize((9, 9))])
    noise(9, 9, 3).save(folder / "a.tiff")
    (folder / "huge.png").write_bytes(png_of_size(17_000, 10_000, rows=10))
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("<html>")
    rng = np.random.default_rng(2)
    np.save(folder / "bytes.npy", rng.integers(0, 256, (28, 28), np.uint8))
    np.save(folder / "sample.npy", rng.random((1, 1, 28, 28), np.float32))
    np.save(folder / "nan.npy", np.full((1, 1, 28, 28), np.nan, np.float32))
    np.save(folder / "other.npy", rng.random((1, 1, 29, 28), np.float32))
    np.save(folder / "object.npy", np.array([{}], object), allow_pickle=True)


def alone(explainer: lrp.Explainer, path: str) -> Any:
    """The explanation of a file, or why there is none."""
    try:
        return explainer(path if not path.endswith(".npy") else np.load(path))
    except (OnnxLrpError, ValueError) as error:
        return error


def test_every_odd_picture_is_right_or_one_error_as_it_is_alone() -> None:
    odd_pictures()
    assert main(["batch", str(DIGITS), "odd", "-o", "out", "--save", "maps,scores", "--threads", "1", "-q"]) == 3
    run, explainer = lrp.open_batch("out"), lrp.Explainer(DIGITS, preprocessing="zero-one", threads=1)
    assert len(run) == 23
    for row in run:
        found = alone(explainer, row.input)
        if isinstance(found, Exception):
            assert row.error is not None, row.input
            assert Path(row.input).suffix == ".npy" or row.error == str(found)
            continue
        assert row.error is None, row.error
        relevance = found.inputs["input"][0].sum(0)
        np.testing.assert_allclose(row.map, relevance, atol=6e-4 * np.abs(relevance).max())
        np.testing.assert_allclose(row.scores, found.output[0], atol=1e-5)
    assert sorted(Path(row.input).name for row in run.errors) == [
        "a.tiff", "empty.png", "huge.png", "moving.gif", "moving.webp", "nan.npy", "object.npy", "other.npy",
        "text.jpg",
    ]  # fmt: skip


def test_a_name_with_a_line_break_is_said_once() -> None:
    Path("list.txt").write_bytes(b"a\nb.png\0")
    with pytest.raises(InputError, match=r"the last of them: 'a\\nb.png': no such file; check the path$"):
        lrp.explain_all(DIGITS, "list.txt", "out")
    np.savez("c.npz", other=np.zeros(3))
    Path("list.txt").write_bytes(b"c.npz\0")
    with pytest.raises(InputError, match=r"the last of them: c.npz: holds nothing for the model's input 'input', only"):
        lrp.explain_all(DIGITS, "list.txt", "out")


def test_errors_of_arrays_say_what_to_do() -> None:
    Path("in").mkdir()
    x = np.random.default_rng(0).random((1, 28, 28, 1), np.float32)
    sound = x.transpose(0, 3, 1, 2)
    np.save("in/0.npy", sound)
    np.save("in/1.npy", x)
    np.save("in/2.npy", sound[..., 1:])
    np.save("in/3.npy", sound * np.nan)
    np.savez("in/4.npz", a=sound, b=sound)
    run = lrp.explain_all(DIGITS, "in", "out", save=())
    remedies = [None if row.error is None else row.error.rpartition("; ")[2] for row in run]
    assert remedies == [
        None, "put its axes in this order: x.transpose(0, 3, 1, 2)", "give an array of this shape",
        "LRP needs finite numbers, so mend or leave out this input",
        "call the array so: numpy.savez('x.npz', **{'input': x})",
    ]  # fmt: skip
    assert all("'input'" in row.error for row in run.errors)


@pytest.mark.parametrize("size", [1, 4])
def test_a_file_with_several_samples_is_an_error(size: int) -> None:
    Path("in").mkdir()
    for i in range(3):
        np.save(f"in/{i}.npy", np.random.default_rng(i).random((2, 1, 28, 28), np.float32))
    np.save("in/3.npy", np.random.default_rng(3).random((1, 28, 28), np.float32))
    run = lrp.explain_all(DIGITS, "in", "out", batch=size, save=())
    assert [row.error is None for row in run] == [False, False, False, True]


@pytest.mark.parametrize("name", ["table", "eight", "unbatched"])
def test_numbers_without_an_axis_are_errors(name: str, tmp_path: Path) -> None:
    x = samples_for(name, 4)["x"]
    np.save("x.npy", x)
    np.save("x1.npy", x[:, 0])
    run = lrp.explain_all(small_net(name, tmp_path), ["x.npy", "x1.npy"], "out")
    assert [row.row for row in run.errors] == [4, 5, 6, 7]
    assert all("has rank 0, shape ()" in row.error for row in run.errors)


def test_a_row_that_fails_costs_few_calls_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    explain = lrp.Explainer.__call__

    def counted(self: lrp.Explainer, *arguments: Any, **options: Any) -> Any:
        calls.append(1)
        return explain(self, *arguments, **options)

    monkeypatch.setattr(lrp.Explainer, "__call__", counted)
    x = samples_for("table", 256)["x"]
    x[100] = np.nan
    run = lrp.explain_all(small_net("table", tmp_path), x, "out", batch=64)
    assert [row.row for row in run.errors] == [100]
    assert len(calls) < 30


def test_rows_that_fail_leave_all_others_as_they_are(tmp_path: Path) -> None:
    model, x = small_net("table", tmp_path), samples_for("table", 200)["x"]
    sound = lrp.explain_all(model, x, "sound", batch=16, precision="float32")
    x[[3, 77, 78]] = np.nan
    x[199] = np.inf
    run = lrp.explain_all(model, x, "out", batch=16, precision="float32")
    assert [row.row for row in run.errors] == [3, 77, 78, 199]
    others = np.delete(np.arange(200), [3, 77, 78, 199])
    np.testing.assert_array_equal(run.numpy()[others], sound.numpy()[others])
    assert run.index.take(others).equals(sound.index.take(others))


def test_inputs_of_another_size_than_the_first_are_errors(tmp_path: Path) -> None:
    model = small_net("sequence", tmp_path)
    Path("in").mkdir()
    for i, length in enumerate((5, 5, 7, 5, 3)):
        np.save(f"in/{i}.npy", np.random.default_rng(i).random((length, 4), np.float32))
    run = lrp.explain_all(model, "in", "out")
    assert [row.row for row in run.errors] == [2, 4]
    assert all("give all inputs one shape" in row.error for row in run.errors)
    for i in (0, 1, 3):
        found = lrp.Explainer(model)(np.load(f"in/{i}.npy")[None]).relevance[0]
        np.testing.assert_allclose(run[i].map, found, atol=6e-4 * np.abs(found).max())
    without = lrp.explain_all(model, "in", "without", save=("topk",))
    assert not len(without.errors)
