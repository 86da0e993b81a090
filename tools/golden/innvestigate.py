"""iNNvestigate's epsilon rule in float64, in a process of its own: it needs TensorFlow without eager execution.

Its other rules count biases otherwise than zennit: Alpha1Beta0 takes the whole bias where zennit takes its positive
part, ZPlus takes none. They are no reference.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from .network import Array, digits


def relevances(epsilons: Sequence[float]) -> Array:
    """One relevance per epsilon, (epsilons, N, C, H, W)."""
    import tensorflow as tf

    tf.compat.v1.disable_eager_execution()
    tf.keras.backend.set_floatx("float64")
    from innvestigate.analyzer import LRPEpsilon

    from .tensorflow import module

    task = digits()
    model, pixels = module(task), task.inputs.transpose(0, 2, 3, 1)
    found = []
    for epsilon in epsilons:
        analyzer = LRPEpsilon(model, epsilon=epsilon, neuron_selection_mode="index")
        samples = zip(pixels, task.target)
        found.append(np.concatenate([analyzer.analyze(x[None], neuron_selection=int(i)) for x, i in samples]))
    return np.stack(found).transpose(0, 1, 4, 2, 3)


if __name__ == "__main__":
    np.save(sys.argv[1], relevances([float(epsilon) for epsilon in sys.argv[2:]]))
