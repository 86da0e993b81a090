"""Spark explains a folder of pictures: ``spark-submit spark_explain.py model.onnx pictures/ maps.parquet``."""

import io
import sys
from functools import cache

import numpy as np
import pandas as pd
from PIL import Image
from pyspark.sql import DataFrame, SparkSession

import onnx_lrp as lrp

SCHEMA = "path string, prediction long, probability double, shape array<long>, relevance binary, error string"
COLUMNS = [field.split()[0] for field in SCHEMA.split(", ")]
explainer = cache(lrp.Explainer)  # one for each of Spark's Python processes, whatever the number of partitions


def explained(model, options, paths, contents):
    """A tuple for each picture; where a batch fails, each of it is tried alone, and a bad one has its error."""
    try:
        pictures = [Image.open(io.BytesIO(b), formats=("PNG", "JPEG", "WEBP", "BMP")) for b in contents]
        e = explainer(model, threads=1, **dict(options))(pictures)
        heat, shares = e.relevance.sum(1, dtype=np.float32), e.probability  # channels summed
        rows = zip(paths, e.prediction.tolist(), shares if shares is not None else [None] * len(e), heat)
        return [(path, best, share, map_.shape, map_.tobytes(), None) for path, best, share, map_ in rows]
    except Exception as error:
        if len(paths) == 1:
            return [(paths[0], None, None, None, None, str(error) or type(error).__name__)]
        return [row for p, c in zip(paths, contents) for row in explained(model, options, [p], [c])]


def explain(table: DataFrame, model: bytes, batch: int = 32, **options) -> DataFrame:
    """Explain a table with the columns ``path`` and ``content``; the options are those of the Explainer."""

    def frames(parts):
        for part in parts:
            paths, contents = part["path"].tolist(), part["content"].tolist()
            for i in range(0, len(part), batch):
                rows = explained(model, tuple(options.items()), paths[i : i + batch], contents[i : i + batch])
                yield pd.DataFrame(rows, columns=COLUMNS, dtype=object)

    return table.mapInPandas(frames, SCHEMA)


if __name__ == "__main__":
    spark = SparkSession.builder.config("spark.sql.execution.arrow.maxRecordsPerBatch", 256).getOrCreate()
    table = spark.read.format("binaryFile").option("recursiveFileLookup", True).load(sys.argv[2])
    with open(sys.argv[1], "rb") as file:
        explain(table.select("path", "content"), file.read()).write.parquet(sys.argv[3])
