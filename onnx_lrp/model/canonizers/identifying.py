"""Which known activation a function is, judged by its values at many points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...backends.numpy import NumpyBackend
from ...ops import Activation, Operands, Unsupported, role_of

SIZES = np.unique(np.concatenate([np.logspace(-12, 12, 481), np.linspace(0, 30, 601)]))
PROBES = np.unique(np.concatenate([-SIZES, SIZES]))  # ascending, from -1e12 to 1e12
NEAR = np.abs(PROBES) <= 30  # beyond, e^x leaves what float32 can hold


@dataclass(frozen=True)
class NamedActivation:
    """An op and its attributes."""

    op: str
    attributes: Mapping[str, float | str] = field(default_factory=dict)

    def __call__(self) -> np.ndarray:
        """Its values at the probes."""
        role = role_of(Trusted(self.op), dict(self.attributes))
        assert isinstance(role, Activation)
        with np.errstate(all="ignore"):
            return np.asarray(role.function(NumpyBackend(), Probes()))

    def __str__(self) -> str:
        shown = (
            f"{key}={value if isinstance(value, str) else f'{value:.6g}'}" for key, value in self.attributes.items()
        )
        return f"{self.op}({', '.join(shown)})" if self.attributes else self.op


@dataclass(frozen=True)
class Trusted:
    """A place for an activation that relevance may pass (:class:`onnx_lrp.ops.Site`)."""

    op_type: str
    domain: str = ""
    opset: int = 18
    arity: int = 1
    outputs: int = 1
    variable: tuple[int, ...] = (0,)
    hint: str | None = "trusted"
    holds: bool = False

    def has(self, position: int) -> bool:
        """Whether this input is given."""
        return position == 0

    def constant(self, position: int) -> np.ndarray | None:
        """No input is constant."""

    def rank(self, position: int) -> int | None:
        """A list of numbers."""
        return 1

    def is_integer(self, position: int) -> bool:
        """It is a float."""
        return False

    def is_boolean(self, position: int) -> bool:
        """It is a float."""
        return False


class Probes(Operands):
    """The probes as operands of an op."""

    def value(self, position: int) -> np.ndarray:
        """The probes."""
        return PROBES

    def shape(self, position: int) -> tuple[int, ...]:
        """Their number."""
        return PROBES.shape

    def constant(self, position: int) -> np.ndarray | None:
        """No input is constant."""


def identify(results: np.ndarray, numbers: Sequence[float], half: bool) -> NamedActivation | None:
    """The activation that has these values at the probes.

    Args:
        results: values at :data:`PROBES`.
        numbers: constants in the function, among which a threshold must be.
        half: its constants are rounded to 16 bits.
    """
    for activation in _kinked(results, numbers):
        if _same(activation, results, np.s_[:], 1e-3 if half else 1e-12, 0.0):
            return activation
    tolerance = 2e-4 if half else 2e-6  # erf's Gelu and tanh's differ by 5e-4
    for activation in _smooth(results):
        if _same(activation, results, NEAR, tolerance, tolerance):
            return activation
    return None


def _same(activation: NamedActivation, results: np.ndarray, where: object, relative: float, absolute: float) -> bool:
    try:
        expected = activation()
    except Unsupported:
        return False
    return bool(np.allclose(results[where], expected[where], relative, absolute))  # type: ignore[call-overload]


def _at(results: np.ndarray, x: float) -> float:
    return float(results[np.searchsorted(PROBES, x)])


def _kinked(results: np.ndarray, numbers: Sequence[float]) -> Iterator[NamedActivation]:
    """Those made of straight pieces; they must fit everywhere, however near to 0."""
    yield NamedActivation("Relu")
    highest, slope = float(results[-1]), -_at(results, -1.0)
    if 0 < highest < PROBES[-1]:
        yield NamedActivation("Clip", {"min": 0.0, "max": highest})
    if 0 < slope != 1:
        yield NamedActivation("LeakyRelu", {"alpha": slope})
    yield from (NamedActivation("ThresholdedRelu", {"alpha": number}) for number in numbers if 0 < number < PROBES[-1])


def _smooth(results: np.ndarray) -> Iterator[NamedActivation]:
    """Those that relevance passes on somebody's word only."""
    for op in ("Sigmoid", "Tanh", "Gelu", "HardSwish", "Mish", "Softplus", "Softsign", "Selu", "Swish"):
        yield NamedActivation(op)
    yield NamedActivation("Gelu", {"approximate": "tanh"})
    at_one, lowest, at_zero = _at(results, 1.0), -_at(results, -30.0), _at(results, 0.0)
    if 0.52 < at_one < 1:  # at 0.5 it is linear
        yield NamedActivation("Swish", {"alpha": float(np.log(at_one / (1 - at_one)))})
    if 0 < lowest < 30:
        yield NamedActivation("Elu", {"alpha": lowest})
    slope = (_at(results, 0.05) - at_zero) / 0.05
    if 0 < at_zero < 1 and slope > 0:
        yield NamedActivation("HardSigmoid", {"alpha": slope, "beta": at_zero})
