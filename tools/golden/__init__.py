"""What makes the golden files of tests/regression/golden: networks as plain data, and one module per framework.

Nothing here imports onnx_lrp: the results are independent of it.
"""
