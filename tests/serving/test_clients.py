"""The example's clients print the same two lines, in whatever language can be run here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from served_nets import CNN, COMPOSITE, EXAMPLE, converted, digit

import onnx_lrp as lrp

LONGEST = 40
LINES = re.compile(r"prediction (\d+) logit (\S+)\nstrongest pixel row (\d+) column (\d+) relevance (\S+)\n")
CLIENTS = ("client.cpp", "client.mjs", "Client.cs")
HOME = Path(os.environ.get("ORT_HOME", "/nowhere"))
NODE = any((Path(p) / "onnxruntime-node").is_dir() for p in os.environ.get("NODE_PATH", "").split(os.pathsep) if p)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    onnx.save(converted(), tmp_path / "mnist.onnx")
    digit().tofile(tmp_path / "3.bin")
    return [str(tmp_path / "mnist.onnx"), str(tmp_path / "3.bin")]


def require_right(printed: str) -> None:
    """As our own backend says."""
    explained = lrp.Explainer(CNN, COMPOSITE, backend="numpy")(digit())
    relevance = explained.relevance[0, 0]
    row, column = np.unravel_index(relevance.argmax(), relevance.shape)
    shown = LINES.search((EXAMPLE / "README.md").read_text())
    found = LINES.fullmatch(printed)
    assert found, printed
    assert shown
    for client in (found, shown):  # the last digit is the processor's
        assert [int(client[i]) for i in (1, 3, 4)] == [explained.target[0], row, column]
        assert float(client[2]) == pytest.approx(float(np.max(explained.output[0])), abs=2e-4)
        assert float(client[5]) == pytest.approx(float(relevance.max()), abs=2e-4)


def run(*command: object) -> str:
    return subprocess.run(
        [str(part) for part in command], check=True, timeout=240, capture_output=True, text=True
    ).stdout


@pytest.mark.skipif(
    not (HOME / "include" / "onnxruntime_cxx_api.h").is_file() or shutil.which("g++") is None,
    reason="no g++, or no onnxruntime in ORT_HOME",
)
def test_cpp(files: list[str], tmp_path: Path) -> None:
    library = HOME / "lib"
    options = [
        "-std=c++17",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{HOME}/include",
        f"-L{library}",
        f"-Wl,-rpath,{library}",
    ]
    run("g++", *options, EXAMPLE / "client.cpp", "-lonnxruntime", "-o", tmp_path / "client")
    require_right(run(tmp_path / "client", *files))
    wrong = subprocess.run([str(tmp_path / "client"), files[1], files[1]], capture_output=True, text=True)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("client: ")


@pytest.mark.skipif(not NODE or shutil.which("node") is None, reason="no onnxruntime-node in NODE_PATH")
def test_javascript(files: list[str]) -> None:
    require_right(run("node", EXAMPLE / "client.mjs", *files))


@pytest.mark.skipif(
    shutil.which("dotnet") is None or "DOTNET_REASONS" not in os.environ,
    reason="no dotnet, or no project with onnxruntime's package in DOTNET_REASONS",
)
def test_csharp(files: list[str], tmp_path: Path) -> None:
    project = shutil.copytree(os.environ["DOTNET_REASONS"], tmp_path / "reasons")
    shutil.copy(EXAMPLE / "Client.cs", project)
    require_right(run("dotnet", "run", "--project", project, *files))


@pytest.mark.parametrize("name", CLIENTS)
def test_clients_are_short_and_ask_for_what_there_is(name: str) -> None:
    text = (EXAMPLE / name).read_text()
    assert text.count("\n") <= LONGEST
    named = {value.name for value in (*converted().graph.input, *converted().graph.output)}
    assert named == {"input", "target", "logits", "relevance"}
    assert all(re.search(rf"\b{word}\b", text) for word in named)
    assert text.count("{") == text.count("}")
