"""Layer-wise Relevance Propagation for any network that can be exported to ONNX."""
