"""explain draws figures: composites side by side, colour maps, blur, names, and what does not go together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from onnx_lrp.cli.main import main
from onnx_lrp.pictures.colormaps import ORANGE, RED
from onnx_lrp.pictures.heatmap import heatmap

MODELS = Path(__file__).parents[2] / "models"
CNN, THREE = str(MODELS / "mnist_cnn.onnx"), str(MODELS / "digits" / "3.png")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
        g (float[N, 3] x) => (float[N, 3] y) { y = Relu(x) }""")
    onnx.save(model, "row.onnx")
    np.save("row.npy", np.array([[1.0, 3.0, 2.0]], np.float32))
    return tmp_path


def run(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["explain", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def pictures() -> list[str]:
    return sorted(path.name for path in Path().glob("*.png"))


def test_several_composites_are_one_figure(capsys: Capture) -> None:
    options = ["--composites", "epsilon; gamma:gamma=1 ;epsilon_gamma_box", "--save-relevance", "r.npz"]
    code, out, _ = run(capsys, CNN, THREE, *options)
    assert (code, pictures()) == (0, ["3_composites.png"])
    assert "explains 'logits' by epsilon, gamma, epsilon_gamma_box" in out
    assert out.count("  explained by ") == 3
    assert out.count("figure: ") == 1
    kept = [np.load(f"r_{name}.npz")["relevance::input"] for name in ("0-epsilon", "1-gamma", "2-epsilon_gamma_box")]
    assert len({round(float(np.abs(r).sum()), 3) for r in kept}) == 3
    alone = run(capsys, CNN, THREE, "--composite", "epsilon_gamma_box", "--no-heatmap", "--save-relevance", "one.npz")
    assert alone[0] == 0
    np.testing.assert_allclose(np.load("one.npz")["relevance::input"], kept[2], atol=1e-6)
    code, out, _ = run(capsys, CNN, THREE, "--composites", "epsilon;gamma", "--json", "-f")
    (sample,) = json.loads(out)["samples"]
    assert [one["composite"] for one in sample["explained"]] == ["epsilon", "gamma"]


def test_colours_and_blur(capsys: Capture) -> None:
    strongest = {}
    for cmap, shade in (("bwr", RED[-1]), ("puor", ORANGE[-1])):
        assert run(capsys, CNN, THREE, "--bare", "--cmap", cmap, "-o", f"{cmap}.png")[0] == 0
        with Image.open(f"{cmap}.png") as image:
            strongest[cmap] = shade in {colour for _, colour in image.convert("RGB").getcolors(1 << 16) or []}
    assert strongest == {"bwr": True, "puor": True}
    command = ["--bare", "--smooth", "2", "-o", "smooth.png", "--save-relevance", "r.npz"]
    assert run(capsys, CNN, THREE, *command)[0] == 0
    blurred = gaussian_filter(np.load("r.npz")["relevance::input"][0, 0].astype(float), 2, mode="reflect", radius=8)
    with Image.open("smooth.png") as image:
        assert np.abs(np.asarray(image.convert("RGB"), int) - np.asarray(heatmap(blurred, percentile=99.5))).max() <= 1
    assert run(capsys, CNN, THREE, "--smooth", "2", "--cmap", "puor")[0] == 0


def test_a_row_of_features_with_names(capsys: Capture) -> None:
    Path("names.txt").write_text("height\nweight\nage\n")
    code, out, _ = run(capsys, "row.onnx", "row.npy", "--names", "names.txt")
    assert (code, pictures()) == (0, ["row_default.png"])
    assert "is no picture; its 3 features" in out
    named = Path("row_default.png").read_bytes()
    assert run(capsys, "row.onnx", "row.npy", "-f")[0] == 0
    assert Path("row_default.png").read_bytes() != named
    assert run(capsys, "row.onnx", "row.npy", "--bare", "-f")[1].count("figure") == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cmap", "sesmic"], "did you mean seismic?"),
        (["--smooth", "-1"], "smooth is -1"),
        (["--smooth", "29"], "from 0 to 28"),
        (["--smooth", "nan", "--bare"], "from 0 to 28"),
        (["--composites", "epsilon;gama"], "did you mean gamma"),
        (["--composites", "epsilon;gamma", "--top", "2"], "leave out --composite and --top"),
        (["--composites", "epsilon;gamma", "--composite", "zplus"], "leave out --composite and --top"),
        (["--composites", "epsilon;gamma", "--bare"], "leave out --bare and --overlay"),
        (["--composites", "epsilon;epsilon", "-o", "nowhere/x.png"], "does not exist"),
        (["--names", "none.txt"], "no such file"),
        (["-o", "page.html"], "a page shows tokens"),
    ],
)
def test_what_does_not_go(capsys: Capture, options: list[str], message: str) -> None:
    code, out, err = run(capsys, CNN, THREE, *options)
    assert (code, out, message in err, err.count("\n")) == (2, "", True, 1)
    assert pictures() == []


def test_names_that_do_not_fit(capsys: Capture) -> None:
    Path("names.txt").write_text("height\nweight\n")
    code, _, err = run(capsys, "row.onnx", "row.npy", "--names", "names.txt")
    assert (code, "2 names given for 3 features" in err) == (2, True)
    assert pictures() == []


def test_a_region_has_an_outline_and_a_title(capsys: Capture) -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
        g (float[1, 1, 8, 8] x) => (float[1, 1, 8, 8] y) { y = Relu(x) }""")
    onnx.save(model, "segment.onnx")
    np.save("x.npy", np.ones((1, 1, 8, 8), np.float32))
    assert run(capsys, "segment.onnx", "x.npy", "--target", "0,2:6,2:6", "-o", "a.png")[0] == 0
    assert run(capsys, "segment.onnx", "x.npy", "--target", "0,:,:", "-o", "b.png")[0] == 0
    a, b = (np.asarray(Image.open(name).convert("L")).astype(int) for name in ("a.png", "b.png"))
    photo = np.s_[120:420, 20:340]
    assert np.ptp(b[photo]) == 0
    assert set(np.unique(a[photo])) >= {0, 255}
