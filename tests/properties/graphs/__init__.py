"""Random valid ONNX graphs of everything that docs/ops.md lists, with an input, as a hypothesis strategy."""
