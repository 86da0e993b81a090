"""Models in float16, with inputs of the same type or of float32; and int8 beside it on a real network."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
import pytest
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16
from quantizing import MODELS, SHARED, TEST, Samples, answer, cosines, digits, distance, overflows, session
from skimage import data, transform

import onnx_lrp as lrp

SQUEEZENET = SHARED / "models" / "squeezenet1_1_imagenet.onnx"
COMPOSITES = ("epsilon_plus", "epsilon", "epsilon_gamma_box:low=0,high=1")
needs_shared = pytest.mark.skipif(not SQUEEZENET.exists(), reason="no models beside the checkout")


@functools.cache
def half(name: str, keep: bool) -> onnx.ModelProto:
    return convert_float_to_float16(onnx.load(MODELS / f"{name}.onnx"), keep_io_types=keep)


@pytest.mark.parametrize("keep", [False, True], ids=["float16 inputs", "float32 inputs"])
@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("name", ["mnist_cnn", "mnist_resnet"])
def test_half(name: str, composite: str, keep: bool) -> None:
    """Weights are rounded, everything is computed in float32: all backends agree, and nearly with the float model."""
    x = digits()[TEST].astype(np.float16)
    x = x.astype(np.float32) if keep else x
    wanted = lrp.explain(MODELS / f"{name}.onnx", x.astype(np.float32), composite=composite).relevance
    reference = lrp.explain(half(name, keep), x, composite=composite, backend="numpy").relevance
    found = cosines(reference, wanted)
    print(f"\n{name} {composite} keep={keep}: cosine min {found.min():.6f}")
    assert np.median(found) > (0.999 if composite == "epsilon" else 0.9999)
    assert found.min() > 0.99  # of two equals, rounding decides which one wins a MaxPool
    for backend in ("torch", "onnx"):
        made = lrp.explain(half(name, keep), x, composite=composite, backend=backend).relevance
        assert distance(made, reference) < 1e-4, backend


@pytest.mark.parametrize("keep", [False, True], ids=["float16 inputs", "float32 inputs"])
def test_converted(keep: bool) -> None:
    """The source's nodes stay in float16; the walk computes in float32 on what they give."""
    x = digits()[TEST].astype(np.float32 if keep else np.float16)
    model = half("mnist_cnn", keep)
    converted = lrp.convert(model, "epsilon_plus")
    kept = sorted(converted.graph.node[: len(model.graph.node)], key=lambda node: node.name)
    assert kept == sorted(model.graph.node, key=lambda node: node.name)
    names = [o.name for o in converted.graph.output]
    made = dict(zip(names, session(converted).run(None, {"input": x})))
    assert made["logits"].dtype == (np.float32 if keep else np.float16)
    assert made["relevance"].dtype == np.float32
    np.testing.assert_allclose(made["logits"], answer(model, {"input": x}), rtol=2e-2, atol=2e-2)
    wanted = lrp.explain(model, x, made["logits"].argmax(1), backend="numpy").relevance
    assert np.median(cosines(made["relevance"], wanted)) > 0.9999
    assert cosines(made["relevance"], wanted).min() > 0.99


@functools.cache
def photos() -> dict[str, np.ndarray]:
    """scikit-image's pictures as SqueezeNet takes them: BGR, 0..255 less the mean."""
    mean = np.array([104, 117, 123]).reshape(3, 1, 1)
    pictures = {name: getattr(data, name)() for name in ("coffee", "chelsea", "astronaut", "rocket")}
    small = {n: transform.resize(p, (224, 224), preserve_range=True, anti_aliasing=True) for n, p in pictures.items()}
    return {n: (p[:, :, ::-1].transpose(2, 0, 1) - mean)[None].astype(np.float32) for n, p in small.items()}


@functools.cache
def int8(form: str) -> bytes:
    """SqueezeNet, per channel, calibrated on the four pictures."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "in.onnx", Path(folder) / "out.onnx"
        onnx.save(onnx.version_converter.convert_version(onnx.load(SQUEEZENET), 13), source)
        quantize_static(source, made, Samples("data_0", (x[0] for x in photos().values())), QuantFormat[form],
                        per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)  # fmt: skip
        return made.read_bytes()


@needs_shared
@pytest.mark.parametrize("composite", ["epsilon_plus", "epsilon"])
@pytest.mark.parametrize("form", ["QDQ", "QOperator", "float16"])
def test_squeezenet(form: str, composite: str) -> None:
    """Reported: how far an explanation drifts. LRP-ε alone drifts far on 26 layers of 8 bits."""
    if form == "QOperator" and overflows():
        pytest.skip("onnxruntime's integer kernels overflow on this processor")
    model = SHARED / "models" / "squeezenet1_1_imagenet_fp16.onnx" if form == "float16" else int8(form)
    for name in ("coffee", "chelsea"):
        x = photos()[name]
        wanted = lrp.explain(SQUEEZENET, x, composite=composite)
        numpy, compiled = (lrp.explain(model, x, composite=composite, backend=b, dtype="float32")
                           for b in ("numpy", "onnx"))  # fmt: skip
        cosine = cosines(compiled.relevance, wanted.relevance)[0]
        print(f"\nSqueezeNet {form} {composite} {name}: cosine to float32 {cosine:.4f}")
        assert compiled.target == wanted.target
        if form != "QOperator":  # whose integer kernels round elsewhere
            assert distance(compiled.relevance, numpy.relevance) < 1e-5
        assert cosine > (0.99999 if form == "float16" else 0.93 if composite == "epsilon_plus" else 0.4)


@needs_shared
def test_squeezenet_in_half_precision_converts() -> None:
    x = photos()["coffee"].astype(np.float16)
    converted = lrp.convert(SHARED / "models" / "squeezenet1_1_imagenet_fp16.onnx", "epsilon_plus")
    names = [o.name for o in converted.graph.output]
    made = dict(zip(names, session(converted).run(None, {"data_0": x})))
    wanted = lrp.explain(SQUEEZENET, x.astype(np.float32)).relevance
    found = cosines(made["relevance"], wanted)[0]
    print(f"\nSqueezeNet float16 converted: cosine to float32 {found:.5f}")
    assert found > 0.999


@needs_shared
def test_squeezenet_in_eight_bits_stays_small() -> None:
    for form in ("QDQ", "QOperator"):
        assert lrp.convert(int8(form), "epsilon_plus").ByteSize() < 1.1 * len(int8(form))
