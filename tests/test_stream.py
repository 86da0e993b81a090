"""A stream explains what an iterator gives as a call explains each batch of it, in bounded memory."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import onnx_lrp as lrp
from onnx_lrp.errors import InputError, TargetError
from onnx_lrp.explanation import Explanation

HOME = Path(__file__).parents[1]
MODEL = HOME / "models" / "mnist_cnn.onnx"
DIGITS = sorted((HOME / "models" / "digits").glob("*.png"))
X = np.random.default_rng(0).random((10, 1, 28, 28), np.float32)


@pytest.fixture(scope="module")
def explainer() -> lrp.Explainer:
    return lrp.Explainer(MODEL, threads=1)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("onnx_lrp")]


def same(found: Explanation, expected: Explanation) -> None:
    """To the last bit."""
    for name, relevance in expected.inputs.items():
        np.testing.assert_array_equal(found.inputs[name], relevance)
    np.testing.assert_array_equal(found.output, expected.output)
    np.testing.assert_array_equal(found.target, expected.target)


def close(found: list[Explanation], expected: Explanation) -> None:
    """Batches of other sizes than the call's."""
    for name, relevance in expected.inputs.items():
        joined = np.concatenate([e.inputs[name] for e in found])
        np.testing.assert_allclose(joined, relevance, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(np.concatenate([e.target for e in found]), expected.target)


def fixed_batch(count: int) -> onnx.ModelProto:
    model = onnx.load(MODEL)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = count
    return model


def test_samples_are_gathered(explainer: lrp.Explainer) -> None:
    found = list(explainer.stream(iter(X), batch=4))
    assert [len(e) for e in found] == [4, 4, 2]
    for e, start in zip(found, (0, 4, 8)):
        same(e, explainer(X[start : start + 4]))
    close(found, explainer(X))


def test_batches_are_explained_as_they_come_or_cut(explainer: lrp.Explainer) -> None:
    found = list(explainer.stream([X[:3], X[3:10], X[:1]], batch=4))
    assert [len(e) for e in found] == [3, 4, 3, 1]
    for e, x in zip(found, (X[:3], X[3:7], X[7:], X[:1])):
        same(e, explainer(x))


def test_both_kinds_are_told_apart_by_rank(explainer: lrp.Explainer) -> None:
    found = list(explainer.stream([X[0], X[1], X[2:5], X[5]], batch=4))
    assert [len(e) for e in found] == [2, 3, 1]
    close(found, explainer(X[:6]))


def test_paths_pictures_and_bytes(explainer: lrp.Explainer) -> None:
    expected = explainer([str(path) for path in DIGITS])
    pictures = [Image.open(path) for path in DIGITS]
    pixels = [np.asarray(picture) for picture in pictures]
    together = np.stack(pixels)
    batches = [[together[..., None]], [together[:, None]], [together], [one[None] for one in pixels]]
    for items in (DIGITS, [str(path) for path in DIGITS], pictures, pixels, *batches):
        (found,) = explainer.stream(items, batch=len(DIGITS))
        same(found, expected)
        assert found.context is not None
        assert found.context.preprocessing is not None
        assert found.warnings == expected.warnings


def test_arrays_in_files(explainer: lrp.Explainer, tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", X[0])
    np.savez(tmp_path / "some.npz", X[1:4])
    close(list(explainer.stream([tmp_path / "one.npy", tmp_path / "some.npz"])), explainer(X[:4]))


def test_a_dict_by_input_name(explainer: lrp.Explainer) -> None:
    close(list(explainer.stream({explainer.prepared.inputs[0].name: x} for x in X)), explainer(X))


@pytest.mark.parametrize("labelled", [False, True])
def test_a_data_loader(explainer: lrp.Explainer, labelled: bool) -> None:
    torch = pytest.importorskip("torch")
    data = torch.utils.data
    labels = torch.arange(10)
    loader = data.DataLoader(
        data.TensorDataset(*([torch.from_numpy(X), labels] if labelled else [torch.from_numpy(X)])), 4
    )
    for e, start in zip(explainer.stream(loader), (0, 4, 8), strict=True):
        same(e, explainer(X[start : start + 4]))
    if labelled:
        for e, start in zip(explainer.stream(loader, pairs="target"), (0, 4, 8), strict=True):
            same(e, explainer(X[start : start + 4], list(range(start, min(start + 4, 10)))))


def test_pairs_of_single_samples() -> None:
    explainer = lrp.Explainer(MODEL, threads=1, labels=list("abcdefghij"))
    close(list(explainer.stream(zip(X, range(10)), 4)), explainer(X))
    close(list(explainer.stream(zip(X, range(10)), 4, pairs="target")), explainer(X, list(range(10))))
    close(list(explainer.stream(zip(X, "abcdefghij"), 4, pairs="target")), explainer(X, list(range(10))))


def test_what_is_asked_for_is_as_for_a_call(explainer: lrp.Explainer) -> None:
    layer = explainer.plan.steps[1].outputs[0]
    (found,) = explainer.stream([X], target=3, against=5, layers=[layer])
    expected = explainer(X, 3, against=5, layers=[layer])
    same(found, expected)
    np.testing.assert_array_equal(found.layers[layer], expected.layers[layer])


@pytest.mark.parametrize("backend", ["onnx", "numpy"])
@pytest.mark.parametrize("pairs", ["input", "target"])
def test_a_fixed_batch_is_filled_up(backend: str, pairs: Any) -> None:
    explainer = lrp.Explainer(fixed_batch(8), "epsilon_plus", backend=backend, threads=1)
    free = lrp.Explainer(MODEL, "epsilon_plus", backend=backend, threads=1)
    target = None if pairs == "input" else list(range(10))
    for items in (zip(X, range(10)), [(X, np.arange(10))]):
        found = list(explainer.stream(items, pairs=pairs))
        assert [len(e) for e in found] == [8, 2]
        close(found, free(X, target))
        last = found[1]
        assert last.context is not None
        assert [len(a) for a in last.context.data.values()] == [2]
        assert len(last.conservation.target) == len(last.prediction) == 2
        assert last.warnings is not None
    (alone,) = explainer.stream([X[0]])
    close([alone], free(X[:1]))


def test_a_model_that_mixes_its_rows_is_not_filled_up() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17]> g (float[4, 3] x) => (float[1, 3] y) {
            y = ReduceMean <axes = [0], keepdims = 1> (x)
        }""")
    explainer = lrp.Explainer(model, "epsilon", threads=1)
    rows = np.ones((4, 3), np.float32)
    assert [len(e) for e in explainer.stream([rows])] == [1]
    with pytest.raises(InputError, match="does not answer for each of 4 samples"):
        list(explainer.stream([rows[:3]]))


def test_a_batch_ends_where_the_shape_changes() -> None:
    model = onnx.parser.parse_model(
        """
        <ir_version: 8, opset_import: ["" : 17]> g (float[n, 3, t] x) => (float[n, 3] y) {
            z = Relu (x)
            y = ReduceSum <keepdims = 0> (z, axes)
        }""".replace("{", "<int64[1] axes = {2}> {", 1)
    )
    explainer = lrp.Explainer(model, "epsilon", threads=1)
    some = [np.full((3, length), 1.0, np.float32) for length in (4, 4, 5, 5, 5, 5, 4)]
    found = list(explainer.stream(some, batch=3))
    assert [e.inputs["x"].shape for e in found] == [(2, 3, 4), (3, 3, 5), (1, 3, 5), (1, 3, 4)]


TWO = """
    <ir_version: 8, opset_import: ["" : 17]> g (float[n, 4] a, float[n, 4] b) => (float[n, 4] y) {
        y = Add (a, b)
    }"""


def test_two_inputs() -> None:
    explainer = lrp.Explainer(onnx.parser.parse_model(TWO), "epsilon", threads=1)
    a, b = np.random.default_rng(1).random((2, 6, 4), np.float32)
    expected = explainer({"a": a, "b": b})
    for items in (
        [(a, b)], zip(a, b), [[a, b]], ({"a": one, "b": other} for one, other in zip(a, b)), [{"b": b, "a": a}],
    ):  # fmt: skip
        close(list(explainer.stream(items, batch=4)), expected)
    with pytest.raises(InputError, match="some inputs are one sample, others a batch"):
        list(explainer.stream([(a, b[0])]))
    with pytest.raises(InputError, match="different numbers of samples"):
        list(explainer.stream([(a, b[:2])]))
    with pytest.raises(InputError, match="missing input 'b'"):
        list(explainer.stream([{"a": a}]))


def test_an_input_held_fixed_is_shared() -> None:
    text = TWO.replace("float[n, 4] b", "float[4] b")
    explainer = lrp.Explainer(onnx.parser.parse_model(text), "epsilon", fixed=["b"], threads=1)
    a, b = np.random.default_rng(1).random((2, 6, 4), np.float32)
    items = [{"a": row, "b": b[0] if i < 4 else b[1]} for i, row in enumerate(a)]
    found = list(explainer.stream(items))
    assert [len(e) for e in found] == [4, 2]
    np.testing.assert_allclose(found[1].output, a[4:] + b[1], rtol=1e-6)


class Source:
    """Samples without end, that notes what becomes of it."""

    def __init__(self, bad: int = -1, item: Any = None) -> None:
        self.bad, self.item, self.made, self.closed = bad, item, 0, False
        self.threads: set[int] = set()

    def __iter__(self) -> Iterator[Any]:
        try:
            for i in itertools.count():
                self.made += 1
                self.threads.add(threading.get_ident())
                if i == self.bad and self.item is None:
                    raise RuntimeError("the disk is gone")
                yield self.item if i == self.bad else X[i % len(X)]
        finally:
            self.closed = True


def test_no_end_and_a_break(explainer: lrp.Explainer) -> None:
    source = Source()
    for count, _ in enumerate(explainer.stream(source, batch=2)):
        if count == 5:
            break
    assert source.closed
    assert source.made <= (6 + 2) * 2
    assert len(source.threads) == 1


def test_close_and_an_error_of_the_consumer(explainer: lrp.Explainer) -> None:
    source = Source()
    stream = explainer.stream(source, batch=2)
    next(stream)
    stream.close()
    assert source.closed
    source = Source()
    with pytest.raises(KeyError):  # noqa: PT012
        for _ in explainer.stream(source, batch=2):
            raise KeyError
    assert source.closed


@pytest.mark.parametrize(
    ("item", "error", "words"),
    [(None, RuntimeError, "the disk is gone"),
     (X[0, 0, 0], InputError, r"item 5 of the stream: input '.*' has rank 1, shape \(28,\).* rank 3, or batches"),
     ("no.png", InputError, "item 5 of the stream: 'no.png': no such file"),
     ([X[0], X[0], X[0]], InputError, "a list of 3 is neither"),
     ((DIGITS[0], DIGITS[1]), InputError, "a tuple of 2 is neither"),
     ({"other": X[0]}, InputError, "unknown input 'other'"),
     (X[:0], InputError, "no samples"),
     ([1.0], InputError, "rank 0"),
     (object(), InputError, "is a object")],
)  # fmt: skip
def test_an_error_comes_at_its_place(explainer: lrp.Explainer, item: Any, error: type[Exception], words: str) -> None:
    source, found = Source(5, item), list[Explanation]()
    with pytest.raises(error, match=words):
        found.extend(explainer.stream(source, batch=4))  # keeps what came before the error
    assert [len(e) for e in found] == [4, 1]
    assert source.closed


def test_numbers_that_are_not_finite(explainer: lrp.Explainer) -> None:
    stream = explainer.stream([X, X * np.nan, X])
    next(stream)
    with pytest.raises(InputError, match="NaN"):
        next(stream)
    assert list(stream) == []


def test_memory_may_be_used_again(explainer: lrp.Explainer) -> None:
    """By the iterator, for the next item."""

    def reused(batch: bool) -> Iterator[np.ndarray]:
        memory = np.empty_like(X[:1])
        for x in X:
            memory[0] = x
            yield memory if batch else memory[0]

    close(list(explainer.stream(reused(False), batch=4)), explainer(X))
    close(list(explainer.stream(reused(True))), explainer(X))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [({"batch": 0}, InputError, "batch must be"), ({"pairs": "both"}, InputError, "pairs must be"),
     ({"target": [1, 2]}, TargetError, "one target for all"),
     ({"target": ("a", "b")}, TargetError, "one target for all"),
     ({"target": 1, "pairs": "target"}, TargetError, "leave target out"),
     ({"seed": np.ones((1, 10))}, TargetError, "no array as seed")],
)  # fmt: skip
def test_arguments_are_refused_at_once(
    explainer: lrp.Explainer, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        explainer.stream([X], **arguments)


@pytest.mark.parametrize("iterable", ["a.png", 5, {"x": X}])
def test_what_is_no_stream(explainer: lrp.Explainer, iterable: Any) -> None:
    with pytest.raises(InputError, match="a stream is an iterable"):
        explainer.stream(iterable)


@pytest.mark.parametrize(
    ("item", "words"),
    [(X[0], "takes pairs"), ((X[0], 1.5), "must be a class, its index or its name, not a float"),
     ((X, [1, 2]), "10 samples came with 2 classes"), ((X[0], np.eye(10)), "not an array of float64")],
)  # fmt: skip
def test_what_is_no_class(explainer: lrp.Explainer, item: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        list(explainer.stream([item], pairs="target"))


SCRIPT = """
import sys, numpy as np, resource
import onnx_lrp as lrp
explainer = lrp.Explainer({model!r}, threads=1)
rng = np.random.default_rng(0)
made = (rng.random((1, 28, 28), np.float32) for _ in range(int(sys.argv[1])))
for explanation in explainer.stream(made, batch=16):
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no module resource")
def test_memory_does_not_grow() -> None:
    def peak(count: int) -> int:
        script = SCRIPT.format(model=str(MODEL))
        done = subprocess.run([sys.executable, "-c", script, str(count)], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert peak(2000) < 1.1 * peak(200)
