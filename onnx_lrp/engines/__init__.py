"""How a plan is run: as a walk on a backend, or compiled into a model that onnxruntime runs."""
