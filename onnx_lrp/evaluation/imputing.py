"""What takes the place of what is taken away: a blurred picture, the mean, the neighbours, or a token that masks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import InputError
from .forms import Form
from .noisy_linear import ROUGHNESS, solved

Fill = Callable[[np.ndarray], np.ndarray]
Impute = Callable[[np.ndarray], Fill]

IMPUTATIONS = {"pictures": ("blur", "mean", "noisy-linear"), "rows": ("mean",), "tokens": ("mask",)}
WIDTH = 20 / 224  # the blur's standard deviation in lengths of the longest side


def imputation(name: str | None, form: Form, inputs: np.ndarray, mask: int | None = None, seed: int = 0) -> Impute:
    """The imputation of this name: a batch (n, ...) gives a function of a mask, which gives the batch imputed there.

    Args:
        name: ``"blur"`` (Gaussian, a standard deviation of 20 pixels of 224, in proportion), ``"mean"`` (of each
            channel or feature over the evaluated inputs), ``"noisy-linear"`` (Rong et al. 2022), or ``"mask"``; by
            default the first that is there for such inputs.
        form: what the inputs are.
        inputs: all that is evaluated, (n, ...).
        mask: the token id that masks one.
        seed: of the noise.

    Raises:
        InputError: there is no such imputation of such inputs, or tokens without the id that masks.
    """
    names = IMPUTATIONS[form.kind]
    chosen = names[0] if name is None else name
    if chosen not in names:
        raise InputError(f"imputation {chosen!r} is not for {form.kind}; choose {' or '.join(map(repr, names))}")
    if form.kind == "tokens":
        return _constant(np.asarray(_mask_id(mask, inputs)))
    if chosen == "blur":
        return lambda x: _replacing(x, blurred(x, form))
    if chosen == "noisy-linear":
        return lambda x: _noisy_linear(x, form, seed)
    return _constant(channel_means(inputs, form))


def channel_means(inputs: np.ndarray, form: Form) -> np.ndarray:
    """Of each channel of all pictures, or of each feature of all rows; it broadcasts to the inputs."""
    if form.kind != "pictures":
        return np.asarray(inputs.mean(0, dtype=np.float64, keepdims=True))
    return form.restored(form.planes(inputs).mean((0, 2, 3), dtype=np.float64, keepdims=True))


def blurred(x: np.ndarray, form: Form) -> np.ndarray:
    """Pictures under a Gaussian, float64; at the edges its weights within the picture count."""
    planes = form.planes(x).astype(np.float64)
    width = WIDTH * max(planes.shape[2:])
    rows, columns = (_gaussian(size, width) for size in planes.shape[2:])
    return form.restored(rows @ planes @ columns.T)


def _gaussian(size: int, width: float) -> np.ndarray:
    """Row i: how much each of ``size`` pixels counts in pixel i."""
    distance = np.arange(size)[:, None] - np.arange(size)
    weights = np.exp(-((distance / width) ** 2) / 2)
    return np.asarray(weights / weights.sum(1, keepdims=True))


def _noisy_linear(x: np.ndarray, form: Form, seed: int) -> Fill:
    planes = form.planes(x).astype(np.float64)
    mean, spread = planes.mean((2, 3), keepdims=True), planes.std((1, 2, 3), keepdims=True)
    noise = ROUGHNESS * spread * np.random.default_rng(seed).standard_normal(planes.shape)

    def fill(mask: np.ndarray) -> np.ndarray:
        missing = form.planes(mask)
        return _typed(form.restored(solved(planes, missing, mean) + np.where(missing, noise, 0)), x)

    return fill


def _mask_id(mask: int | None, inputs: np.ndarray) -> int:
    if mask is None:
        raise InputError("the inputs are token ids; say which id masks a token (mask=103, --mask 103)")
    if not np.iinfo(inputs.dtype).min <= mask <= np.iinfo(inputs.dtype).max:
        raise InputError(f"mask={mask} is no id of dtype {inputs.dtype}")
    return mask


def _constant(value: np.ndarray) -> Impute:
    return lambda x: _replacing(x, value)


def _replacing(x: np.ndarray, value: np.ndarray) -> Fill:
    typed = _typed(value, x)
    return lambda mask: np.where(mask, typed, x)


def _typed(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """In the inputs' dtype; pixels that are integers are rounded."""
    return (values.round() if x.dtype.kind in "iu" else values).astype(x.dtype)
