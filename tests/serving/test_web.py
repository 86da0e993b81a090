"""Models for onnxruntime-web: one file, in an old enough form, or a reason why not."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from served_nets import CNN, FIXED, ROOT, converted, digit, small

import onnx_lrp as lrp
from onnx_lrp.cli.main import main
from onnx_lrp.errors import ConversionError
from onnx_lrp.serving.web import for_web, web_notes

WEB = next(
    (found for p in os.environ.get("NODE_PATH", "").split(os.pathsep) if p
     and (found := Path(p) / "onnxruntime-web").is_dir()), None,
)  # fmt: skip


def required(text: str, **options: Any) -> onnx.ModelProto:
    return lrp.convert(small(text), "epsilon", target_input=True, **options)


def test_an_old_form_that_answers_alike(tmp_path: Path) -> None:
    source = onnx.load(CNN)
    source.ir_version = 10
    for node in source.graph.node:
        node.metadata_props.add(key="origin", value="somewhere")
    converted_model = lrp.convert(source, "epsilon", target_input=True)
    made = for_web(converted_model)
    assert made.ir_version == 8
    assert not any(node.metadata_props for node in made.graph.node)
    assert list(web_notes(made)) == []
    feeds = {"input": digit(), "target": np.array([-1])}
    answers = [
        ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feeds)
        for model in (converted_model, made)
    ]
    for one, other in zip(*answers):
        np.testing.assert_array_equal(one, other)


def test_an_optional_target_is_refused() -> None:
    with pytest.raises(ConversionError, match="optional input 'target'"):
        for_web(converted(target_input=False))


def test_halves_are_said() -> None:
    half = FIXED.replace("float[3, 4] w", "float16[3, 4] w").replace(
        "y = MatMul(x, w)", "v = Cast <to = 1> (w) y = MatMul(x, v)"
    )
    notes = list(web_notes(required(half)))
    assert len(notes) == 1
    assert "float16" in notes[0]
    outer = FIXED.replace("=> (float[2, 4] y)", "=> (float[2, 4] y, float16[2, 4] h)").replace(
        "y = MatMul(x, w)", "y = MatMul(x, w) h = Cast <to = 10> (y)"
    )
    assert ["h: float16" in note for note in web_notes(required(outer))] == [True]


def test_a_new_opset_is_said() -> None:
    model = required(FIXED)
    model.opset_import[0].version = 22
    assert ["opset 22" in note for note in web_notes(model)] == [True]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda model: add_output(model, onnx.TensorProto.BFLOAT16, "odd"), "bfloat16"),
        (lambda model: add_weight(model, onnx.TensorProto.FLOAT8E5M2), "float8e5m2"),
    ],
)
def test_types_that_the_web_lacks(change: Any, complaint: str) -> None:
    model = required(FIXED)
    model.opset_import[0].version, model.ir_version = 19, 9
    change(model)
    with pytest.raises(ConversionError, match=complaint):
        for_web(model)


def add_output(model: onnx.ModelProto, kind: int, name: str) -> None:
    model.graph.node.append(onnx.helper.make_node("Cast", ["y"], [name], to=kind))
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, [2, 4]))


def add_weight(model: onnx.ModelProto, kind: int) -> None:
    model.graph.initializer.append(onnx.helper.make_tensor("eighth", kind, [1], [1.0]))
    model.graph.node.append(onnx.helper.make_node("Cast", ["eighth"], ["unused"], to=onnx.TensorProto.FLOAT))


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["convert", CNN, "web.onnx", "--for", "web", "--preprocess", "zero-one"]) == 0
    assert "inputs: input, target" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["web.onnx"]
    model = onnx.load("web.onnx", load_external_data=False)
    onnx.checker.check_model(model)
    assert model.ir_version <= 8
    assert main(["convert", CNN, "web.onnx", "--for", "web"]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.skipif(WEB is None or shutil.which("node") is None, reason="no onnxruntime-web in NODE_PATH")
@pytest.mark.parametrize("name", ["mnist_cnn", "mnist_resnet"])
def test_wasm_answers_alike(name: str, tmp_path: Path) -> None:
    """The runtime of browsers, in Node; and it is given a target that is not the largest output."""
    model = for_web(lrp.convert(ROOT / "models" / f"{name}.onnx", "default:low=0,high=1", target_input=True))
    onnx.save(model, tmp_path / "model.onnx")
    digit().tofile(tmp_path / "x.bin")
    script = Path(__file__).with_name("wasm.js")
    command = ["node", script, tmp_path / "model.onnx", tmp_path / "x.bin", tmp_path / "r.bin", "8"]
    subprocess.run(command, check=True, timeout=120)
    made = np.fromfile(tmp_path / "r.bin", np.float32).reshape(1, 1, 28, 28)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(["relevance"], {"input": digit(), "target": np.array([8])})[0]
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5 * float(np.abs(expected).max()))
