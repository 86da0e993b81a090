"""What the command line says beside its results: where it goes, how much of it, and what it takes a word for."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest

import onnx_lrp as lrp
from onnx_lrp.cli.main import build_parser, main
from onnx_lrp.cli.parser import Parser
from onnx_lrp.text import brief, nearest

MODELS = Path(__file__).resolve().parents[2] / "models"
CNN, RESNET = str(MODELS / "mnist_cnn.onnx"), str(MODELS / "mnist_resnet.onnx")
THREE = str(MODELS / "digits" / "3.png")

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complaint(capsys: Capture, *argv: str) -> str:
    try:
        code = main(argv)
    except SystemExit as error:
        code = int(error.code or 0)
    printed, said = capsys.readouterr()
    assert code == 2
    assert not printed
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (["explian", CNN, THREE], "did you mean explain?; see onnx-lrp --help"),
        (["explain", CNN, THREE, "--seed", "logt"], "did you mean logit?; see onnx-lrp explain --help"),
        (["check", CNN, "--outptu", "x"], "did you mean --output?; see onnx-lrp check --help"),
        (["explain", CNN, THREE, "--preprocess", "imagnet"], "did you mean imagenet?; choose from "),
        (["explain", CNN, THREE, "--profile", "atnlrp"], "did you mean attnlrp?; choose one of "),
        (["explain", CNN, THREE, "--composite", "epsilonn"], "did you mean epsilon"),
        (["explain", CNN, THREE, "--labels", "names.txt", "--target", "thre"], "give an index, or one of 'three'"),
        (["evaluate", CNN, THREE, "--measures", "fliping"], "did you mean flipping?; there are "),
        (["evaluate", CNN, THREE, "--against", "salience"], "did you mean saliency?; there are "),
    ],
)
def test_a_misspelt_word_is_recognised(argv: list[str], meant: str, capsys: Capture) -> None:
    Path("names.txt").write_text("zero one two three four five six seven eight nine".replace(" ", "\n"))
    assert meant in complaint(capsys, *argv)


def test_what_is_like_nothing_suggests_nothing(capsys: Capture) -> None:
    assert "did you mean" not in complaint(capsys, "xyz")
    assert "did you mean" not in complaint(capsys, "check", CNN, "--qqqqq")
    assert nearest("qqq", ["logit"]) == ""


def test_quiet_prints_results_only(capsys: Capture) -> None:
    x = np.zeros((1, 1, 28, 28), np.float32)
    x[:, :, 10:16, 10:16] = 1
    np.save("x.npy", x)
    assert main(["explain", CNN, "x.npy", "--no-heatmap"]) == 0
    printed, said = capsys.readouterr()
    assert "warning: 95 %" in said
    assert "note: the input's bounds" in said
    assert main(["explain", CNN, "x.npy", "--no-heatmap", "--quiet"]) == 0
    assert capsys.readouterr() == (printed.partition("\n")[2], "")
    assert main(["explain", CNN, "x.npy", "--no-heatmap", "--json"]) == 0
    printed, said = capsys.readouterr()
    assert said == ""
    assert any("bounds are not known" in note for note in json.loads(printed)["notes"])


def test_every_command_can_be_quiet(capsys: Capture) -> None:
    assert main(["check", "-q", RESNET]) == 0
    assert capsys.readouterr() == (f"{RESNET}: supported, explains 'logits'\n", "")
    assert main(["convert", "-q", CNN, "out.onnx"]) == 0
    assert capsys.readouterr().out.startswith("written: out.onnx, ")
    assert main(["compare", "-q", CNN, CNN, THREE, "--no-layers"]) == 0
    assert capsys.readouterr().out.startswith("A: ")
    assert main(["evaluate", "-q", CNN, THREE, "--measures", "sparseness", "--composites", "epsilon"]) == 0
    printed, said = capsys.readouterr()
    assert "pictures prepared" not in printed
    assert said == ""


def test_compare_says_how_models_were_rewritten(capsys: Capture) -> None:
    assert main(["compare", "-v", RESNET, RESNET, THREE, "--no-layers"]) == 0
    said = capsys.readouterr().err
    assert [said.count(f"note: {name}: BatchNormalization") for name in "AB"] == [9, 9]


def test_a_long_path_leaves_room_for_the_reason(capsys: Capture, folder: Path) -> None:
    deep = folder / ("a" * 90) / ("b" * 80)
    deep.mkdir(parents=True)
    for name in ("model.onnx", "x.npy"):
        (deep / name).write_bytes(b"nothing of the kind")
    assert complaint(capsys, "check", str(deep / "model.onnx")).startswith(f"onnx-lrp: error: …/{'b' * 80}/model.onnx:")
    assert complaint(capsys, "explain", CNN, str(deep / "x.npy")).startswith(f"onnx-lrp: error: '…/{'b' * 80}/x.npy': ")
    assert len(complaint(capsys, "check", str(deep / f"{'c' * 200}.onnx"))) < 160


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("models/net.onnx", "models/net.onnx"),
        ("/one/two/three/four/net.onnx", "…/four/net.onnx"),
        ("/one/two/three/a_long_folder_name/net.onnx", "…/net.onnx"),
        ("x" * 19 + "y" * 21, "…/xxxxxxxxx…yyyyyyyyy"),
        ("a\nb", "a\\nb"),
    ],
)
def test_brief(path: str, shown: str) -> None:
    assert brief(path, 20) == shown


def test_a_refusal_groups_equal_reasons(capsys: Capture) -> None:
    chain = "".join(f"h{i + 1} = Tanh (h{i})\n" for i in range(50))
    text = f"""<ir_version: 8, opset_import: ["": 17]> g (float[1,3] h0) => (float[1,3] y)
        {{ {chain} y = Relu (h50) }}"""
    onnx.save(onnx.parser.parse_model(text), "tanhs.onnx")
    assert main(["check", "tanhs.onnx"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "50" in lines[0]
    assert len([line for line in lines if "Tanh" in line]) == 1
    with pytest.raises(lrp.UnsupportedModelError, match=r"50 nodes .* and 49 more"):
        lrp.Explainer("tanhs.onnx")


def options_of(command: str) -> set[str]:
    """What the help of a command says."""
    (group,) = (action for action in build_parser()._actions if action.dest == "command")
    parser = group.choices[command]  # type: ignore[index, call-overload]
    assert isinstance(parser, Parser)
    return set(parser._option_string_actions)


def completed(script: str, *words: str) -> list[str]:
    """What bash would offer behind these words."""
    line = " ".join(f"'{word}'" for word in words)
    run = f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _onnx_lrp; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    env = {"PATH": os.environ["PATH"]}
    return subprocess.run(["bash", "-c", run], check=True, capture_output=True, text=True, env=env).stdout.split()


def test_bash_completes_commands_options_and_values(capsys: Capture) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert completed(script, "onnx-lrp", "ex") == ["explain"]
    assert completed(script, "onnx-lrp", "explain", "--see") == ["--seed"]
    assert set(completed(script, "onnx-lrp", "convert", "--")) == {o for o in options_of("convert") if len(o) > 2}
    assert completed(script, "onnx-lrp", "explain", "m.onnx", "--seed", "m") == ["margin"]
    assert completed(script, "onnx-lrp", "rules", "lay") == ["layered"]
    assert completed(script, "onnx-lrp", "check", "--composite", "attnlrp_") == ["attnlrp_vit"]
    assert completed(script, "onnx-lrp", "explain", "m.onnx", "dig") == []  # bash itself offers files


def test_other_shells_have_every_option(capsys: Capture) -> None:
    assert main(["completion", "fish"]) == 0
    script = capsys.readouterr().out
    for command in ("check", "explain", "compare"):
        lines = [line for line in script.splitlines() if f"from {command}'" in line]
        said = {f"--{word}" for line in lines for word in [line.partition(" -l ")[2].partition(" ")[0]] if word}
        assert said == {option for option in options_of(command) if option.startswith("--")}
    assert " -l seed -r -a 'logit one odds margin probability'" in script
    assert main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("autoload -U +X bashcompinit && bashcompinit\n_onnx_lrp() {")
