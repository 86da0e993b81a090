"""For Ray Data: a dataset's rows explained by a pool of workers, one Explainer in each process.

>>> import onnx_lrp as lrp, ray  # doctest: +SKIP
>>> pictures = ray.data.read_binary_files("photos/", include_paths=True)  # doctest: +SKIP
>>> maps = lrp.ray.explain(pictures, "model.onnx", column="bytes", preprocessing="imagenet")  # doctest: +SKIP
>>> maps.write_parquet("maps/")  # doctest: +SKIP
"""

from .clusters.datasets import explain_dataset as explain
from .clusters.pool import run_blocks

__all__ = ["explain", "run_blocks"]
