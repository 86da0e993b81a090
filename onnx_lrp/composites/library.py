"""The presets: composites by the names that the field knows (Kohlbrenner et al. 2020, Montavon et al. 2019).

Layers that no entry matches (average pooling, unmerged BatchNormalization, merges) get Epsilon. One ε is for all
denominators of a composite; ``stabilizer`` is another one for the rules that are not Epsilon, for averages and for
merges, and is ``epsilon`` where it is not given. With ``dense_heads`` a convolution of a map of one pixel, which is a
dense layer in effect, counts as one; without, the op's type decides, as in zennit. ``bias="ignore"``, which every
preset takes, leaves biases out of all denominators.
"""

from __future__ import annotations

from ..errors import CompositeError
from ..rules import AlphaBeta, Bound, Epsilon, Flat, Gamma, Rule, Stabilizer, WSquare, ZBox, Zero, ZPlus
from .bounds import Bounded
from .composite import Composite
from .layers import CONVOLUTION, DENSE, DIAGONAL, WEIGHTED
from .naming import Parameter, built, known_name, registered
from .selectors import Selector

FIRST = Selector(WEIGHTED, first=True, strict=False)
INPUT = Selector(WEIGHTED, first=True, place="input", strict=False)
DENSE_HEAD = Selector(CONVOLUTION, dense=True, strict=False)


def preset(name: str, **parameters: Parameter) -> Composite:
    """A preset by name, ours or zennit's.

    Raises:
        CompositeError: unknown name or parameter, or a value that does not fit.
    """
    composite: Composite = built(known_name(name), parameters)
    return composite


@registered
def default(
    low: Bound | None = None,
    high: Bound | None = None,
    epsilon: Stabilizer = 1e-6,
    stabilizer: Stabilizer | None = None,
    dense_heads: bool = True,
) -> Composite:
    """``epsilon_plus``, with ε on what is dense in effect, and z^B on the first layer where the bounds are known."""
    other = _either(stabilizer, epsilon)
    return epsilon_plus(epsilon, stabilizer, dense_heads).with_entries((INPUT, Bounded(low, high, epsilon=other)))


@registered
def epsilon(epsilon: Stabilizer = 1e-6, stabilizer: Stabilizer | None = None) -> Composite:
    """Epsilon on every layer (Bach et al. 2015)."""
    return _everywhere(Epsilon(epsilon), _either(stabilizer, epsilon), DIAGONAL)


@registered
def gamma(gamma: float = 0.25, epsilon: Stabilizer = 1e-6, stabilizer: Stabilizer | None = None) -> Composite:
    """Gamma on every layer, but for averages and merges."""
    return _everywhere(Gamma(gamma, epsilon=_either(stabilizer, epsilon)), _either(stabilizer, epsilon))


@registered
def zplus(epsilon: Stabilizer = 1e-6, stabilizer: Stabilizer | None = None) -> Composite:
    """z⁺ on every layer, but for averages and merges (Montavon et al. 2017)."""
    return _everywhere(ZPlus(epsilon=_either(stabilizer, epsilon)), _either(stabilizer, epsilon))


@registered
def alpha_beta(
    alpha: float = 2.0, beta: float = 1.0, epsilon: Stabilizer = 1e-6, stabilizer: Stabilizer | None = None
) -> Composite:
    """αβ on every layer, but for averages and merges (Bach et al. 2015)."""
    return _everywhere(AlphaBeta(alpha, beta, epsilon=_either(stabilizer, epsilon)), _either(stabilizer, epsilon))


@registered
def epsilon_plus(
    epsilon: Stabilizer = 1e-6, stabilizer: Stabilizer | None = None, dense_heads: bool = False
) -> Composite:
    """z⁺ on convolutions, Epsilon on dense layers (Kohlbrenner et al. 2020)."""
    other = _either(stabilizer, epsilon)
    return _two(ZPlus(epsilon=other), epsilon, other, dense_heads)


@registered
def epsilon_plus_flat(
    epsilon: Stabilizer = 1e-6, stabilizer: Stabilizer | None = None, dense_heads: bool = False
) -> Composite:
    """``epsilon_plus`` with Flat on the first weighted layer."""
    flat = Flat(epsilon=_either(stabilizer, epsilon))
    return epsilon_plus(epsilon, stabilizer, dense_heads).with_entries((FIRST, flat))


@registered
def epsilon_alpha2_beta1(
    epsilon: Stabilizer = 1e-6, stabilizer: Stabilizer | None = None, dense_heads: bool = False
) -> Composite:
    """α=2, β=1 on convolutions, Epsilon on dense layers (Kohlbrenner et al. 2020)."""
    other = _either(stabilizer, epsilon)
    return _two(AlphaBeta(2.0, 1.0, epsilon=other), epsilon, other, dense_heads)


@registered
def epsilon_alpha2_beta1_flat(
    epsilon: Stabilizer = 1e-6, stabilizer: Stabilizer | None = None, dense_heads: bool = False
) -> Composite:
    """``epsilon_alpha2_beta1`` with Flat on the first weighted layer."""
    flat = Flat(epsilon=_either(stabilizer, epsilon))
    return epsilon_alpha2_beta1(epsilon, stabilizer, dense_heads).with_entries((FIRST, flat))


@registered
def epsilon_gamma_box(
    low: Bound | None = None,
    high: Bound | None = None,
    gamma: float = 0.25,
    epsilon: Stabilizer = 1e-6,
    stabilizer: Stabilizer | None = None,
    dense_heads: bool = False,
) -> Composite:
    """z^B on the first convolution, γ on the others, Epsilon on dense layers (Montavon et al. 2019)."""
    if low is None or high is None:
        raise CompositeError(
            "epsilon_gamma_box needs the bounds of the input: epsilon_gamma_box:low=NUMBER,high=NUMBER "
            "(one per channel as 1/2/3); `onnx-lrp explain` takes them from the preprocessing of a picture"
        )
    other = _either(stabilizer, epsilon)
    box = (Selector(CONVOLUTION, first=True, strict=False), ZBox(low, high, epsilon=other))
    return _two(Gamma(gamma, epsilon=other), epsilon, other, dense_heads).with_entries(box)


@registered
def layered(
    low: Bound | None = None,
    high: Bound | None = None,
    gamma: float = 0.25,
    epsilon: Stabilizer = 1e-6,
    boundary: float = 0.5,
    stabilizer: Stabilizer | None = None,
) -> Composite:
    """Four zones by depth (Montavon et al. 2019): z^B (w² without bounds), γ, above ``boundary`` ε, LRP-0 on top."""
    if not 0 <= boundary <= 1:
        raise CompositeError(f"layered: boundary must be between 0 and 1, not {boundary}")
    if (low is None) != (high is None):
        raise CompositeError("layered needs both bounds of the input, low and high, or none of them")
    other = _either(stabilizer, epsilon)
    bottom: Rule = WSquare(epsilon=other) if low is None or high is None else ZBox(low, high, epsilon=other)
    return Composite(
        "layered",
        (
            (Selector(WEIGHTED, depth=(1.0, 1.0), strict=False), Zero()),
            (Selector(WEIGHTED, depth=(0.0, 0.0), strict=False), bottom),
            (Selector(WEIGHTED, depth=(0.0, boundary), strict=False), Gamma(gamma, epsilon=other)),
            (Selector(WEIGHTED, strict=False), Epsilon(epsilon)),
        ),
        Epsilon(other),
    )


@registered
def attnlrp(epsilon: Stabilizer = 1e-9, stabilizer: Stabilizer | None = None) -> Composite:
    """Epsilon on every layer, with a small ε: for attention, under a profile (Achtibat et al. 2024)."""
    return _everywhere(Epsilon(epsilon), _either(stabilizer, epsilon), DIAGONAL)


@registered
def attnlrp_vit(
    conv: float = 0.25, linear: float = 0.05, epsilon: Stabilizer = 1e-9, stabilizer: Stabilizer | None = None
) -> Composite:
    """γ on convolutions and dense layers, Epsilon on all else: for vision transformers (Achtibat et al. 2024, A.2)."""
    other = _either(stabilizer, epsilon)
    dense = (Selector(WEIGHTED, dense=True, strict=False), Gamma(linear, epsilon=other))
    return Composite("", (dense, (Selector(CONVOLUTION, strict=False), Gamma(conv, epsilon=other))), Epsilon(other))


def _either(stabilizer: Stabilizer | None, epsilon: Stabilizer) -> Stabilizer:
    return epsilon if stabilizer is None else stabilizer


def _everywhere(rule: Rule, stabilizer: Stabilizer, diagonal: tuple[str, ...] = ("Mul", "Div")) -> Composite:
    """A BatchNormalization that could not be merged takes ε, as in the other presets."""
    return Composite("", ((Selector(WEIGHTED + diagonal, strict=False), rule),), Epsilon(stabilizer))


def _two(convolution: Rule, epsilon: Stabilizer, stabilizer: Stabilizer, dense_heads: bool) -> Composite:
    head = ((DENSE_HEAD, Epsilon(epsilon)),) if dense_heads else ()
    layers = ((Selector(CONVOLUTION, strict=False), convolution), (Selector(DENSE, strict=False), Epsilon(epsilon)))
    return Composite("", (*head, *layers), Epsilon(stabilizer))
