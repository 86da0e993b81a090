"""What the measures ask of a model and of an explanation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Predict = Callable[[np.ndarray], np.ndarray]
Attribute = Callable[[np.ndarray, np.ndarray], np.ndarray]
