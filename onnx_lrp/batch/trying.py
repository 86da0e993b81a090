"""What the model makes of the first inputs of a run: it shows sizes, and what all others would fail for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError, OnnxLrpError, VerificationError
from ..explainer import Explainer
from ..explanation import Explanation
from .blocks import Block
from .gathered import Gathered
from .grouping import Reader
from .loading import Prepped

LOOKED_AT = 16  # of the first inputs
_ALIKE = 1e-3  # of the largest number: what the order of additions may change is far smaller


@dataclass(frozen=True)
class Explained:
    """A sample that the model explained, filled up with copies of itself."""

    explainer: Explainer
    reader: Reader
    sample: Prepped
    explanation: Explanation

    def apart(self, samples: Sequence[Prepped]) -> bool:
        """Whether the answer to a sample is the same whatever other samples are in a batch, as far as one can see.

        Args:
            samples: others, to be in a batch with.
        """
        size, own = self.reader.size, self.sample
        if size == 1 or not self.reader.loader.batched:
            return True
        if len(self.explanation) != size:
            return False
        others = (s for s in samples if s.shape == own.shape and s.sha256 != own.sha256)
        for other in others:
            try:
                return _alike(self.explanation, self.explainer(_between(own, other, size)))
            except OnnxLrpError:  # the other one's fault
                continue
        return True


def first_explained(explainer: Explainer, reader: Reader, samples: Sequence[Prepped]) -> Explained:
    """The first of some samples that the model explains, as many copies at once as the reader says.

    Raises:
        OnnxLrpError: it explains none.
    """
    explainer.expects(reader.size)
    for sample in samples:
        try:
            return Explained(
                explainer, reader, sample, explainer(reader.fed(Gathered(Block(0, 0, 1), [0], feeds=sample.feeds)))
            )
        except VerificationError:
            raise
        except OnnxLrpError:
            if sample is samples[-1]:
                raise
    raise InputError("there is no input")


def verify_first(explainer: Explainer, reader: Reader) -> None:
    """See that the model is explained as the runtime runs it, on the input on which a run that begins sees it.

    Left to the first batch, it would depend on where a run goes on whether an input gets an error by that.

    Raises:
        VerificationError: it is not.
    """
    try:
        first_explained(explainer, reader, reader.first(LOOKED_AT))
    except VerificationError:
        raise
    except OnnxLrpError:  # none of these is explained: there are other inputs
        return


def _between(one: Prepped, other: Prepped, size: int) -> dict[str, np.ndarray]:
    """A batch of one sample, and all others another one."""
    return {name: np.concatenate([a, *[other.feeds[name]] * (size - 1)]) for name, a in one.feeds.items()}


def _alike(one: Explanation, two: Explanation) -> bool:
    """Whether both say the same of their first sample."""
    pairs = [(one.output[0], two.output[0]), *((r[0], two.inputs[name][0]) for name, r in one.inputs.items())]
    return all(np.abs(a - b).max(initial=0) <= _ALIKE * np.abs(a).max(initial=0) for a, b in pairs)
