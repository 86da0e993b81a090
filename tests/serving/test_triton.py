"""A Triton repository: what Triton's own protocol buffers read in it, and what its ONNX backend would compare."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from served_nets import CNN, FIXED, OPEN_BATCH, converted, small

import onnx_lrp as lrp
from onnx_lrp.cli.main import main
from onnx_lrp.errors import ConversionError, InputError
from onnx_lrp.serving.prototext import prototext
from onnx_lrp.serving.triton import triton_files

TYPES = {"tensor(float)": "TYPE_FP32", "tensor(int64)": "TYPE_INT64", "tensor(double)": "TYPE_FP64",
         "tensor(float16)": "TYPE_FP16", "tensor(uint8)": "TYPE_UINT8", "tensor(int32)": "TYPE_INT32",
         "tensor(uint32)": "TYPE_UINT32", "tensor(bool)": "TYPE_BOOL"}  # fmt: skip


def parsed(text: bytes) -> Any:
    pytest.importorskip("grpc")
    pytest.importorskip("tritonclient")
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    return text_format.Parse(text.decode(), model_config_pb2.ModelConfig())


def kind_name(port: Any) -> str:
    return str(type(port).DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[port.data_type].name)


def require_alike(config: Any, model: bytes) -> None:
    """What Triton compares when it loads a model: names, types, and shapes with the batch before them."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    for ports, own in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        assert [port.name for port in ports] == [arg.name for arg in own]
        for port, arg in zip(ports, own):
            assert kind_name(port) == TYPES[arg.type]
            assert not getattr(port, "optional", False)
            dims: Sequence[int] = port.reshape.shape if port.HasField("reshape") else port.dims
            whole = [-1, *dims] if config.max_batch_size else list(dims)
            assert whole == [n if isinstance(n, int) else -1 for n in arg.shape]
            assert len(port.dims) >= 1  # Triton refuses none


def warm_up(config: Any, folder: dict[str, bytes], model: bytes) -> dict[str, np.ndarray]:
    """Run what Triton would run first."""
    session, (warmup,) = ort.InferenceSession(model, providers=["CPUExecutionProvider"]), config.model_warmup
    feeds = {}
    kinds = {"TYPE_FP32": np.float32, "TYPE_INT64": np.int64, "TYPE_FP64": np.float64, "TYPE_FP16": np.float16,
             "TYPE_UINT8": np.uint8, "TYPE_INT32": np.int32, "TYPE_UINT32": np.uint32,
             "TYPE_BOOL": np.bool_}  # fmt: skip
    for port in config.input:
        given = warmup.inputs[port.name]
        shape = [warmup.batch_size] * bool(config.max_batch_size) + list(given.dims)
        kind = kinds[kind_name(given)]
        path = f"{config.name}/warmup/{given.input_data_file}"
        data = np.frombuffer(folder[path], kind) if given.input_data_file else np.zeros(shape, kind)
        assert data.size == np.prod(shape)  # Triton refuses a file of another size
        feeds[port.name] = data.reshape([warmup.batch_size] if port.HasField("reshape") else shape)
    return dict(zip([port.name for port in config.output], session.run(None, feeds)))


def test_an_open_batch() -> None:
    labels = [f"digit {i}" for i in range(10)]
    files = triton_files(converted(), "mnist", labels, 16)
    assert set(files) == {
        "mnist/1/model.onnx", "mnist/config.pbtxt", "mnist/labels.txt", "mnist/warmup/target",
    }  # fmt: skip
    assert files["mnist/labels.txt"].decode().splitlines() == labels
    config, model = parsed(files["mnist/config.pbtxt"]), files["mnist/1/model.onnx"]
    assert (config.name, config.platform, config.backend) == ("mnist", "onnxruntime_onnx", "onnxruntime")
    assert config.max_batch_size == 16
    assert config.HasField("dynamic_batching")
    assert [(group.count, group.kind) for group in config.instance_group] == [(1, 0)]
    assert {port.name: port.label_filename for port in config.output} == {"logits": "labels.txt", "relevance": ""}
    assert [list(port.dims) for port in config.input] == [[1, 28, 28], [1]]
    assert config.input[1].reshape.shape == []
    assert config.parameters["onnx_lrp.explains"].string_value == "logits"
    require_alike(config, model)
    assert np.isfinite(warm_up(config, files, model)["relevance"]).all()


def test_every_label_is_one_line() -> None:
    """Triton splits at line feeds only, other readers at more; spaces and empty names are names, too."""
    labels = ["a\nb", "c\r", "d\u2028e", " f ", "", "\udcff", "ä", "h", "i", ""]
    text = triton_files(converted(), "mnist", labels)["mnist/labels.txt"].decode()
    assert text.split("\n") == ["a\\nb", "c\\r", "d\\u2028e", " f ", "", "\\udcff", "ä", "h", "i", "", ""]
    assert len(text.splitlines()) == 10


def test_a_batch_of_requests_is_answered_like_each() -> None:
    """What the dynamic batcher makes: requests one after the other, each with its target."""
    model = triton_files(converted(), "mnist")["mnist/1/model.onnx"]
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).uniform(size=(3, 1, 28, 28)).astype(np.float32)
    targets = np.array([-1, 4, 7])
    together = session.run(["relevance"], {"input": x, "target": targets})[0]
    for i in range(3):
        alone = session.run(["relevance"], {"input": x[i : i + 1], "target": targets[i : i + 1]})[0]
        np.testing.assert_allclose(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)


def test_a_fixed_batch_has_full_shapes_and_an_optional_target() -> None:
    files = triton_files(lrp.convert(small(FIXED), "epsilon"), "dense")
    config = parsed(files["dense/config.pbtxt"])
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    assert {port.name: (list(port.dims), port.optional) for port in config.input} == {
        "x": ([2, 3], False), "target": ([-1], True),
    }  # fmt: skip
    assert [list(port.dims) for port in config.output] == [[2, 4], [2, 3]]
    assert list(config.model_warmup[0].inputs) == ["x"]


@pytest.mark.parametrize("text", [FIXED, OPEN_BATCH])
@pytest.mark.parametrize("options", [{"targets": 2}, {"seed": "input"}, {"against": "input"}, {"layers": ["y"]}])
def test_every_kind_of_question_warms_up(text: str, options: dict[str, Any]) -> None:
    required = options.get("seed") != "input"
    files = triton_files(lrp.convert(small(text), "epsilon", target_input=required, **options), "dense")
    config, model = parsed(files["dense/config.pbtxt"]), files["dense/1/model.onnx"]
    assert bool(config.max_batch_size) == (text == OPEN_BATCH)
    require_alike(config, model)
    warm_up(config, files, model)


def test_an_optional_target_is_refused_where_batches_are_made() -> None:
    with pytest.raises(ConversionError, match="target_input=True"):
        triton_files(converted(target_input=False), "mnist")


@pytest.mark.parametrize(
    ("declared", "made"),
    [("float[M, 2] q", "s = Constant <value_ints = [-1, 2]> () q = Reshape(y, s)"),
     ("int64[K, 2] q", "i = NonZero(y) q = Transpose(i)"),
     ("float[N, 4] q", "a = Constant <value_ints = [0]> () m = ReduceMean <keepdims = 1> (y, a) q = Sub(y, m)"),
     ("uint8[N, 4] q", "q, s, p = DynamicQuantizeLinear(y)")],
    ids=["two rows per sample", "as many as are found", "less the mean of all", "on one scale"],
)  # fmt: skip
def test_where_samples_are_not_apart_no_batch_is_made(declared: str, made: str) -> None:
    """Triton would hand a request rows of others' answers, or answers that depend on others' pictures."""
    text = OPEN_BATCH.replace("y)\n", f"y, {declared})\n").replace("y = MatMul(x, w)", f"y = MatMul(x, w) {made}")
    files = triton_files(lrp.convert(small(text), "epsilon", target_input=True), "dense")
    config = parsed(files["dense/config.pbtxt"])
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    assert {port.name: port.dims[0] for port in config.output}["q"] == -1
    require_alike(config, files["dense/1/model.onnx"])
    warm_up(config, files, files["dense/1/model.onnx"])


@pytest.mark.parametrize("kind", ["double", "float16", "uint8", "int32", "uint32", "bool"])
def test_every_type_of_number(kind: str) -> None:
    text = OPEN_BATCH.replace("3] x)", f"3] x, {kind}[N, 2] z)").replace("y)\n", f"y, {kind}[N, 2] q)\n")
    text = text.replace("y = MatMul(x, w)", "y = MatMul(x, w) q = Identity(z)")
    files = triton_files(lrp.convert(small(text), "epsilon", target_input=True), "dense")
    config = parsed(files["dense/config.pbtxt"])
    assert config.max_batch_size > 0
    require_alike(config, files["dense/1/model.onnx"])
    warm_up(config, files, files["dense/1/model.onnx"])


def test_a_source_s_own_input_named_target_is_none_of_ours() -> None:
    text = OPEN_BATCH.replace("x)", "x, int64[N, 2] target)").replace("y)\n", "y, float[N, 2, 1] q)\n")
    text = text.replace("y = MatMul(x, w)", "y = MatMul(x, w) z = Constant <value = float[3, 1] {1, 2, 3}> () "
                        "q = Gather(z, target)")  # fmt: skip
    files = triton_files(lrp.convert(small(text), "epsilon", target_input=True), "dense")
    config = parsed(files["dense/config.pbtxt"])
    assert {name: given.input_data_file for name, given in config.model_warmup[0].inputs.items()} == {
        "x": "", "target": "", "lrp_target": "lrp_target",
    }  # fmt: skip
    assert config.max_batch_size > 0


def test_the_sizes_of_a_picture_are_those_that_were_given() -> None:
    """The warm-up of a model with open height and width pools what it is given, not one pixel."""
    net = small(
        "g (float[N, 1, H, W] x) => (float[N, 1, A, B] y) <float[1, 1, 3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9}>"
        "{ c = Conv <kernel_shape = [3, 3]> (x, w) y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (c) }"
    )
    with pytest.raises(ConversionError, match="--shape x=N"):
        lrp.convert(net, "epsilon", target_input=True)
    files = triton_files(lrp.convert(net, "epsilon", target_input=True, shapes={"x": ["N", 1, 10, 8]}), "net")
    config = parsed(files["net/config.pbtxt"])
    assert list(config.model_warmup[0].inputs["x"].dims) == [1, 10, 8]
    require_alike(config, files["net/1/model.onnx"])
    assert warm_up(config, files, files["net/1/model.onnx"])["relevance"].shape == (1, 1, 10, 8)


def test_classes_may_be_channels() -> None:
    """As in networks that are convolutions to the end: (N, classes, 1, 1)."""
    text = OPEN_BATCH.replace("=> (float[N, 4] y)", "=> (float[N, 4, 1, 1] y)").replace(
        "y = MatMul(x, w)", "s = Constant <value_ints = [-1, 4, 1, 1]> () v = MatMul(x, w) y = Reshape(v, s)"
    )
    files = triton_files(lrp.convert(small(text), "epsilon", target_input=True), "dense", list("abcd"))
    config = parsed(files["dense/config.pbtxt"])
    assert [port.label_filename for port in config.output] == ["labels.txt", ""]
    require_alike(config, files["dense/1/model.onnx"])


@pytest.mark.parametrize(("count", "files"), [(4, ["1", "config.pbtxt", "labels.txt"]), (5, ["1", "config.pbtxt"])])
def test_the_model_s_own_names(count: int, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are taken if they are names of what it answers."""
    monkeypatch.chdir(tmp_path)
    model = small(OPEN_BATCH)
    model.metadata_props.add(key="names", value=str({i: f"class {i}" for i in range(count)}))
    onnx.save(model, "net.onnx")
    assert main(["convert", "net.onnx", "out", "--for", "triton", "--composite", "epsilon", "-q"]) == 0
    assert sorted(path.name for path in Path("out/net").iterdir() if path.name != "warmup") == files


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="labels"):
        triton_files(converted(), "mnist", ["a", "b"])
    with pytest.raises(InputError, match="no name"):
        triton_files(converted(), "../up")
    with pytest.raises(InputError, match="at most 200"):
        triton_files(converted(), "m" * 201)
    with pytest.raises(InputError, match="at least one"):
        triton_files(converted(), "mnist", max_batch=0)


@pytest.mark.parametrize("kind", ["FLOAT8E5M2", "BFLOAT16"])
def test_a_type_that_triton_lacks_is_refused(kind: str) -> None:
    """bfloat16 is one of Triton's types, but its ONNX backend does not load a model with it."""
    model, number = lrp.convert(small(FIXED), "epsilon"), onnx.TensorProto.DataType.Value(kind)
    model.graph.node.append(onnx.helper.make_node("Cast", ["y"], ["odd"], to=number))
    model.graph.output.append(onnx.helper.make_tensor_value_info("odd", number, [2, 4]))
    model.opset_import[0].version, model.ir_version = 19, 9
    with pytest.raises(ConversionError, match=f"'odd' holds {kind.lower()}.*; export the model with another type"):
        triton_files(model, "dense")


def test_names_of_others_cannot_break_out() -> None:
    wild = "a\"\n}\\ é\x00 '{}"
    config = parsed(prototext({"name": wild.replace("\x00", ""), "max_batch_size": 3}).encode())
    assert config.name == wild.replace("\x00", "")
    assert config.max_batch_size == 3
    model = copy.deepcopy(lrp.convert(small(FIXED.replace("x", "in_x")), "epsilon"))
    for value in (*model.graph.input, *(node for node in model.graph.node)):
        if isinstance(value, onnx.ValueInfoProto) and value.name == "in_x":
            value.name = wild.replace("\x00", "")
        elif isinstance(value, onnx.NodeProto):
            value.input[:] = [wild.replace("\x00", "") if name == "in_x" else name for name in value.input]
    assert parsed(triton_files(model, "dense")["dense/config.pbtxt"]).input[0].name == wild.replace("\x00", "")


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("names.txt").write_text("".join(f"{i}\n" for i in range(10)))
    command = ["convert", CNN, "repository", "--for", "triton", "--preprocess", "zero-one"]
    assert main([*command, "--name", "digits", "--max-batch", "4", "--labels", "names.txt"]) == 0
    assert "digits/config.pbtxt" in capsys.readouterr().out
    config = parsed(Path("repository/digits/config.pbtxt").read_bytes())
    assert config.max_batch_size == 4
    require_alike(config, Path("repository/digits/1/model.onnx").read_bytes())
    before = Path("repository/digits/config.pbtxt").stat().st_mtime_ns
    assert main(command) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*command, "--force"]) == 2  # another name: the files of the first would be lost
    assert "would be lost" in capsys.readouterr().err
    assert Path("repository/digits/config.pbtxt").stat().st_mtime_ns == before
    assert main([*command, "--force", "--name", "digits", "--labels", "names.txt"]) == 0
    assert sorted(path.name for path in Path().iterdir()) == ["names.txt", "repository"]


def test_what_is_not_batched_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """And a file's name that is too long for a model is cut."""
    monkeypatch.chdir(tmp_path)
    for text, said in ((FIXED, True), (OPEN_BATCH, False)):
        onnx.save(small(text), f"{'n' * 220}.onnx")
        assert main(["convert", f"{'n' * 220}.onnx", f"{said}", "--for", "triton", "--composite", "epsilon"]) == 0
        assert ("makes no batches" in "".join(capsys.readouterr())) == said
        assert [path.name for path in Path(f"{said}").iterdir()] == ["n" * 200]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--max-batch", "4"], "--for triton"),
        (["--for", "web", "--labels", "imagenet"], "--for triton"),
        (["--for", "triton", "--storage-uri", "s3://b/m"], "--for kserve"),
        (["--for", "triton", "--labels", "imagenet"], "labels"),
        (["--for", "kserve", "--storage-uri", "nowhere"], "no address"),
        (["--for", "tritn"], "did you mean triton"),
    ],
)
def test_options_that_do_not_fit(
    options: list[str], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["convert", CNN, "out", *options])
    except SystemExit as error:
        code = int(error.code or 0)
    assert code == 2
    assert complaint in capsys.readouterr().err
    assert list(Path().iterdir()) == []
