"""Tables as scikit-learn's exporter reads them: numbers, categories, words, missing values, linear models."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import onnx_lrp as lrp
from onnx_lrp.errors import InputError, UnsupportedModelError

ML = "ai.onnx.ml"
W3 = [[1.0, -2.0, 0.5], [0.25, 1.0, -1.0], [2.0, 0.5, 1.5]]
BACKENDS = ["numpy", "torch", "onnx"]
EXACT = "epsilon:epsilon=1e-9"


def table(nodes: list[onnx.NodeProto], inputs: dict[str, int], output: str, width: int = 1) -> onnx.ModelProto:
    given = [helper.make_tensor_value_info(name, kind, ["n", width]) for name, kind in inputs.items()]
    made = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
    weights = [helper.make_tensor("w", TensorProto.FLOAT, [6, 1], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])]
    graph = helper.make_graph(nodes, "g", given, made, weights)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(ML, 3)], ir_version=8
    )


def ml(op: str, inputs: list[str], outputs: list[str], **given: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs, outputs, domain=ML, **given)


def explained(model: onnx.ModelProto, feeds: dict[str, np.ndarray], backend: str, **options: Any) -> lrp.Explanation:
    return lrp.Explainer(model, EXACT, backend=backend, **options)(feeds)


X = np.array([[1, -1, 0.5], [0.25, 2, -1]], np.float32)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_linear_regressor(backend: str) -> None:
    node = ml("LinearRegressor", ["x"], ["y"], coefficients=W3[0], intercepts=[4.0])
    found = explained(table([node], {"x": TensorProto.FLOAT}, "y", 3), {"x": X}, backend)
    np.testing.assert_allclose(found.output, X @ np.array(W3[:1]).T + 4, rtol=1e-5)
    np.testing.assert_allclose(found.inputs["x"], X * W3[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC"])
def test_a_linear_classifier(backend: str, transform: str) -> None:
    node = ml("LinearClassifier", ["x"], ["label", "p"], coefficients=[*W3[0], *W3[1], *W3[2]],
              intercepts=[0.1, 0.2, 0.3], classlabels_ints=[0, 1, 2], post_transform=transform)  # fmt: skip
    model = table([node], {"x": TensorProto.FLOAT}, "p", 3)
    found = explained(model, {"x": X}, backend)
    logits = X @ np.array(W3).T + [0.1, 0.2, 0.3]
    np.testing.assert_allclose(found.output, logits, rtol=1e-5)
    np.testing.assert_allclose(found.inputs["x"], X * np.array(W3)[logits.argmax(1)], rtol=1e-5, atol=1e-6)


def test_two_classes_with_one_row_of_weights() -> None:
    node = ml("LinearClassifier", ["x"], ["label", "p"], coefficients=W3[0], intercepts=[0.1],
              classlabels_ints=[0, 1], post_transform="LOGISTIC")  # fmt: skip
    found = explained(table([node], {"x": TensorProto.FLOAT}, "p", 3), {"x": X}, "numpy")
    z = X @ np.array(W3[0]) + 0.1
    np.testing.assert_allclose(found.output, np.stack([-z, z], 1), rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_support_vector_regressor(backend: str) -> None:
    node = ml("SVMRegressor", ["x"], ["y"], coefficients=[0.5, -1.0], support_vectors=W3[0] + W3[1], rho=[0.25],
              kernel_type="LINEAR", kernel_params=[0.1, 0.0, 3.0], n_supports=2)  # fmt: skip
    found = explained(table([node], {"x": TensorProto.FLOAT}, "y", 3), {"x": X}, backend)
    weight = 0.5 * np.array(W3[0]) - np.array(W3[1])
    np.testing.assert_allclose(found.inputs["x"], X * weight, rtol=1e-5, atol=1e-6)


def test_another_kernel_is_refused() -> None:
    node = ml("SVMRegressor", ["x"], ["y"], coefficients=[0.5], support_vectors=W3[0], rho=[0.25], kernel_type="RBF",
              kernel_params=[0.1, 0.0, 3.0], n_supports=1)  # fmt: skip
    with pytest.raises(UnsupportedModelError, match="a kernel that is not linear"):
        lrp.Explainer(table([node], {"x": TensorProto.FLOAT}, "y", 3))


def columns(kind: int) -> onnx.ModelProto:
    categories = {"cats_strings": ["u", "v"]} if kind == TensorProto.STRING else {"cats_int64s": [3, 7]}
    nodes = [
        ml("OneHotEncoder", ["c"], ["hot"], zeros=1, **categories),
        helper.make_node("Flatten", ["hot"], ["flat"]),
        helper.make_node("Cast", ["b"], ["f"], to=1),
        ml("FeatureVectorizer", ["a", "f", "flat", "f", "a"], ["all"], inputdimensions=[1, 1, 2, 1, 1]),
        helper.make_node("MatMul", ["all", "w"], ["y"]),
    ]
    return table(nodes, {"a": TensorProto.FLOAT, "b": TensorProto.INT64, "c": kind}, "y")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", [TensorProto.STRING, TensorProto.INT64])
def test_columns_of_all_kinds(backend: str, kind: int) -> None:
    words = np.array([["v"], ["u"], ["nobody"]], object)
    c = words if kind == TensorProto.STRING else np.array([[7], [3], [1]])
    feeds = {"a": np.array([[1], [2], [3]], np.float32), "b": np.array([[2], [0], [-1]]), "c": c}
    found = explained(columns(kind), feeds, backend)
    np.testing.assert_allclose(found.inputs["a"], 7 * feeds["a"], rtol=1e-5)  # the first weight and the last
    np.testing.assert_allclose(found.inputs["b"], 7 * feeds["b"], rtol=1e-5)
    np.testing.assert_allclose(found.inputs["c"], [[4], [3], [0]], rtol=1e-5)


def test_words_and_numbers_are_not_mistaken() -> None:
    feeds = {"a": np.ones((1, 1), np.float32), "b": np.ones((1, 1), np.int64), "c": np.ones((1, 1), np.int64)}
    with pytest.raises(InputError, match="'c' has dtype int64, the model declares string; give an array of words"):
        lrp.Explainer(columns(TensorProto.STRING))(feeds)
    with pytest.raises(InputError, match="'c' has a dtype of words, the model declares int64"):
        lrp.Explainer(columns(TensorProto.INT64))({**feeds, "c": np.array([["u"]], object)})


def test_words_that_nothing_encodes_are_refused() -> None:
    nodes = [ml("LabelEncoder", ["c"], ["z"], keys_strings=["u"], values_floats=[1.0]),
             helper.make_node("Neg", ["z"], ["y"])]  # fmt: skip
    with pytest.raises(UnsupportedModelError, match="string tensor that no OneHotEncoder reads"):
        lrp.Explainer(table(nodes, {"c": TensorProto.STRING}, "y"))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("missing", [np.nan, -9.0])
def test_missing_values_absorb(backend: str, missing: float) -> None:
    nodes = [
        ml("Imputer", ["x"], ["full"], imputed_value_floats=[5.0, 6.0, 7.0], replaced_value_float=missing),
        ml("LinearRegressor", ["full"], ["y"], coefficients=W3[0], intercepts=[0.0]),
    ]
    model = table(nodes, {"x": TensorProto.FLOAT}, "y", 3)
    x = X.copy()
    x[0, 1] = missing
    found = explained(model, {"x": x}, backend)
    wanted = X * W3[0]
    wanted[0, 1] = 0
    np.testing.assert_allclose(found.inputs["x"], wanted, rtol=1e-5, atol=1e-6)


def test_missing_values_need_an_imputer() -> None:
    node = ml("LinearRegressor", ["x"], ["y"], coefficients=W3[0], intercepts=[4.0])
    with pytest.raises(InputError, match="NaN"):
        lrp.Explainer(table([node], {"x": TensorProto.FLOAT}, "y", 3))(np.full((1, 3), np.nan, np.float32))


@pytest.mark.parametrize(
    "node",
    [
        ml("LinearRegressor", ["x"], ["y"], coefficients=[1.0, 2.0, 3.0], targets=2),
        ml("LinearClassifier", ["x"], ["label", "y"], coefficients=[1.0, 2.0], intercepts=[0.0, 0.0, 0.0]),
        ml("LinearClassifier", ["x"], ["label", "y"], classlabels_ints=[0, 1]),
        ml("SVMRegressor", ["x"], ["y"], kernel_type="LINEAR"),
    ],
)
def test_what_is_malformed_is_one_line(node: onnx.NodeProto) -> None:
    with pytest.raises(lrp.OnnxLrpError, match=r"malformed|onnxruntime"):
        lrp.check(table([node], {"x": TensorProto.FLOAT}, "y", 3))
