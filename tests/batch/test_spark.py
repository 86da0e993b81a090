"""The recipe for Spark runs on a local Spark."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnx_lrp as lrp

pyspark = pytest.importorskip("pyspark")
pytest.importorskip("pandas")
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(shutil.which("java") is None and not os.environ.get("JAVA_HOME"), reason="no Java"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "mnist_cnn.onnx"
DIGITS = sorted((ROOT / "models" / "digits").glob("*.png"))
RECIPE = ROOT / "examples" / "spark_explain.py"


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(RECIPE.parent)]))
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        builder = pyspark.sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
        session = builder.config("spark.driver.memory", "1g").config("spark.driver.bindAddress", "127.0.0.1")
        session = session.config("spark.driver.host", "127.0.0.1").getOrCreate()
        yield session
        session.stop()


@pytest.fixture(scope="module")
def recipe() -> Any:
    spec = importlib.util.spec_from_file_location("spark_explain", RECIPE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["spark_explain"] = module
    spec.loader.exec_module(module)
    return module


def test_the_recipe_explains_as_the_explainer_does(spark: Any, recipe: Any, tmp_path: Path) -> None:
    for path in DIGITS:
        shutil.copy(path, tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    table = spark.read.format("binaryFile").load(str(tmp_path)).select("path", "content")
    found = recipe.explain(table, MODEL.read_bytes(), preprocessing="zero-one").toPandas()
    found = found.assign(name=found["path"].str.rsplit("/", n=1).str[-1]).sort_values("name").set_index("name")
    broken = found.loc["broken.png"]
    assert "cannot identify" in broken["error"]
    assert np.isnan(broken["probability"])
    good = found.drop("broken.png")
    assert good["error"].isna().all()
    assert good["prediction"].tolist() == list(range(len(DIGITS)))
    expected = lrp.explain(MODEL, list(DIGITS), preprocessing="zero-one")
    maps = [np.frombuffer(row.relevance, np.float32).reshape(row.shape) for row in good.itertuples()]
    np.testing.assert_allclose(np.stack(maps), expected.relevance.sum(1), atol=1e-5)
    np.testing.assert_allclose(good["probability"].to_numpy(float), expected.probability, atol=1e-5)
