"""Pipelines of scikit-learn as skl2onnx exports them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import onnx

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 5)).astype(np.float32)
TWO, THREE, NUMBER = (X[:, 0] > 0).astype(int), X[:, :3].argmax(1), X @ np.arange(5.0)


def pipelines() -> Iterator[tuple[str, Callable[[], onnx.ModelProto]]]:
    """Twenty and more."""
    from sklearn import linear_model, neural_network, preprocessing, svm
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    linear = linear_model
    classifiers = {
        "LogisticRegression": linear.LogisticRegression(), "SGDClassifier": linear.SGDClassifier(loss="log_loss"),
        "Perceptron": linear.Perceptron(), "RidgeClassifier": linear.RidgeClassifier(), "LinearSVC": svm.LinearSVC(),
        "MLPClassifier": neural_network.MLPClassifier(max_iter=50),
    }  # fmt: skip
    for name, model in classifiers.items():
        for classes, y in (("two", TWO), ("three", THREE)):
            yield f"{name}, {classes} classes", partial(exported, model, y)
    yield "SVC, linear kernel", partial(exported, svm.SVC(kernel="linear"), TWO)
    regressors = {
        "LinearRegression": linear.LinearRegression(), "Ridge": linear.Ridge(), "Lasso": linear.Lasso(),
        "ElasticNet": linear.ElasticNet(), "HuberRegressor": linear.HuberRegressor(), "LinearSVR": svm.LinearSVR(),
        "SVR, linear kernel": svm.SVR(kernel="linear"), "SVR, RBF kernel": svm.SVR(),
        "MLPRegressor": neural_network.MLPRegressor(max_iter=50),
    }  # fmt: skip
    for name, model in regressors.items():
        yield name, partial(exported, model, NUMBER)
    scalers = {
        "StandardScaler": preprocessing.StandardScaler(), "MinMaxScaler": preprocessing.MinMaxScaler(),
        "RobustScaler": preprocessing.RobustScaler(), "SimpleImputer": SimpleImputer(),
        "Normalizer": preprocessing.Normalizer(), "PolynomialFeatures": preprocessing.PolynomialFeatures(),
    }  # fmt: skip
    for name, scaler in scalers.items():
        pipe = make_pipeline(scaler, neural_network.MLPClassifier(max_iter=50))
        yield f"{name}, MLPClassifier", partial(exported, pipe, THREE)
    yield "numbers and words", columns


def exported(model: Any, y: np.ndarray) -> onnx.ModelProto:
    from skl2onnx import to_onnx

    model.fit(X, y)
    return to_onnx(model, X[:1], target_opset={"": 17, "ai.onnx.ml": 3})


def columns() -> onnx.ModelProto:
    import pandas
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    data = pandas.DataFrame(
        {"a": X[:, 0], "b": X[:, 1], "c": RNG.integers(0, 4, 200), "d": RNG.choice(["u", "v"], 200)}
    )
    scaled, encoded = ("numbers", StandardScaler(), ["a", "b"]), ("words", OneHotEncoder(), ["c", "d"])
    model = make_pipeline(ColumnTransformer([scaled, encoded]), LogisticRegression()).fit(data, TWO)
    kinds = {"a": FloatTensorType, "b": FloatTensorType, "c": Int64TensorType, "d": StringTensorType}
    types = [(name, kind([None, 1])) for name, kind in kinds.items()]
    return to_onnx(model, initial_types=types, target_opset={"": 17, "ai.onnx.ml": 3})
