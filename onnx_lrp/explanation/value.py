"""An explanation as a value: relevance of a batch, what it is of, and its account."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OutputError
from ..propagation.ledger import Conservation, LedgerEntry, by_kind
from ..text import printable
from ..writing import shown, write_bytes, write_file
from .context import Context
from .files import read_npz, write_npz
from .probabilities import probabilities_of
from .record import as_bytes, canonical, record_of

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..pictures.preprocessing import Preprocessing


@dataclass(frozen=True, repr=False)
class Explanation:
    """Relevance of a batch; ``len`` counts the samples, ``[i]`` is one of them, ``[:3]`` are three, and they
    can be iterated over.

    Attributes:
        inputs: relevance by input name, each of its input's shape.
        output: the explained tensor (logits), shape (samples, ...).
        target: flat index of the explained element per sample, int64 of shape (samples,).
        layers: relevance by tensor name, for the layers that were asked for.
        conservation: sums at the target and at the inputs, per sample.
        ledger: the account of every node, from the output down, if it was asked for; of all samples together.
        doubts: finds the :attr:`warnings` when somebody asks for them.
        context: where it comes from: model, rules, data; None if it was put together by hand.
    """

    inputs: dict[str, np.ndarray]
    output: np.ndarray
    target: np.ndarray
    layers: dict[str, np.ndarray]
    conservation: Conservation
    ledger: tuple[LedgerEntry, ...] = ()
    doubts: Callable[[], tuple[str, ...]] = field(default=tuple, repr=False, compare=False)
    context: Context | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.target)

    def __getitem__(self, sample: int | slice) -> Explanation:
        """One sample's, as a batch of one, or several's. What has no axis of samples stays whole.

        Raises:
            IndexError: there are not so many.
        """
        count = len(self)
        if isinstance(sample, slice):
            some = sample
        else:
            i = range(count)[sample]
            some = slice(i, i + 1)
        account = self.conservation

        def part(a: np.ndarray) -> np.ndarray:
            return a[some] if a.shape[:1] == (count,) else a

        return replace(
            self, inputs={name: part(r) for name, r in self.inputs.items()}, output=part(self.output),
            target=self.target[some], layers={name: part(r) for name, r in self.layers.items()},
            conservation=Conservation(
                part(account.target), part(account.inputs), None if account.size is None else part(account.size)
            ),
            context=None if self.context is None else self.context.of_samples(some, count),
        )  # fmt: skip

    def __iter__(self) -> Iterator[Explanation]:
        """Sample by sample."""
        return (self[i] for i in range(len(self)))

    @property
    def relevance(self) -> np.ndarray | dict[str, np.ndarray]:
        """Relevance of the input; a dict by name if there are several."""
        return next(iter(self.inputs.values())) if len(self.inputs) == 1 else self.inputs

    @property
    def prediction(self) -> np.ndarray:
        """Flat index of the largest output per sample, int64 of shape (samples,)."""
        return np.asarray(self.output.reshape(len(self.output), -1).argmax(1))

    @property
    def probabilities(self) -> np.ndarray | None:
        """The classes' probabilities, float64 of shape (samples, classes): the model's own where it has a head, else
        the softmax of its logits; None of what is no row of classes.
        """
        return probabilities_of(self.output, None if self.context is None else self.context.own)

    @property
    def probability(self) -> np.ndarray | None:
        """That of the explained class per sample, float64 of shape (samples,); None of what is no row of classes."""
        shares = self.probabilities
        return None if shares is None else shares[np.arange(len(shares)), self.target]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes; empty if they have none."""
        return () if self.context is None else self.context.labels

    @property
    def rules(self) -> tuple[tuple[str, str, str], ...]:
        """(node, op, rule) of every node that took a rule."""
        return () if self.context is None else self.context.rules

    @property
    def absorbed(self) -> dict[str, float]:
        """What did not reach the inputs, by what kept it, over all samples; empty without a ledger."""
        return by_kind(self.ledger)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What gives reason to doubt it, one line each, with a remedy: found when it is first read, which may explain
        one sample once more, to say where relevance got lost.
        """
        return self.doubts()

    def describe(self, index: int) -> str:
        """A class as it is printed: its index, and its label if it has one."""
        return f"{index} ({printable(self.labels[index])})" if 0 <= index < len(self.labels) else str(index)

    def heatmap(self, sample: int = 0, input: str | None = None, percentile: float = 99.5) -> Image:
        """A picture of one sample's relevance, channels summed: red for, blue against, white neutral.

        Colours are full where |R| reaches the given percentile of the picture.

        Raises:
            InputError: the input has no spatial shape.
        """
        from ..pictures.heatmap import heatmap
        from ..pictures.preprocessing import spatial

        name = input if input is not None else next(iter(self.inputs))
        relevance = self.inputs[name]
        layout = (None, *relevance.shape[1:])  # the first axis counts samples
        return heatmap(spatial(relevance[sample], layout), percentile=percentile)

    def figure(
        self, sample: int = 0, *, input: str | None = None, preprocessing: Preprocessing | None = None,
        names: Sequence[str] = (), cmap: str = "bwr", percentile: float = 99.5, smooth: float = 0.0,
        overlay: bool = True, outline: Any = None,
    ) -> Image:  # fmt: skip
        """One sample as a figure to hand over: what was explained, the input, its map, both, and a colour bar.

        A sequence is a strip below its signal, a row of features sorted bars, a volume slices, ids of tokens words.

        Args:
            sample: which one of the batch.
            input: of a model with several inputs, which one; the first by default.
            preprocessing: how the photo became the input; without it values are stretched from black to white.
            names: of the features, or the tokens.
            cmap: ``"bwr"``, ``"puor"`` (for the colour blind), ``"seismic"`` or ``"coldnhot"``.
            percentile: of |R| that gets full colour.
            smooth: blur by so many pixels (time steps).
            overlay: also draw the map over the photo.
            outline: a mask (H, W) of the photo, an area that a segmentation found, say: its edge is drawn.

        Raises:
            InputError: an unknown input or colour map, or numbers and names that do not fit.
            IndexError: there is no such sample.
        """
        from .showing import figure_of

        return figure_of(
            [self], sample=sample, input=input, preprocessing=preprocessing, names=names, cmap=cmap,
            percentile=percentile, smooth=smooth, overlay=overlay, outline=outline,
        )  # fmt: skip

    def plot(self, sample: int = 0, **options: Any) -> Image:
        """The :meth:`figure`, which a notebook shows; ``.show()`` opens it in a window."""
        return self.figure(sample, **options)

    def _repr_png_(self) -> bytes:
        """The first sample's figure, for a notebook."""
        from ..pictures.heatmap import png_bytes

        return png_bytes(self.figure())

    def _repr_html_(self) -> str:
        """The first sample's figure with prediction, account and warnings, for a notebook."""
        from .showing import page_of

        return page_of(self, base64.b64encode(self._repr_png_()).decode())

    def record(self) -> dict[str, Any]:
        """What was computed, of what and how, with hashes: for an auditor; ``.save("why.json")`` writes it as canonical
        JSON, and ``onnx-lrp verify`` repeats it.

        Raises:
            InputError: it was put together by hand.
        """
        return record_of([self])

    def save(self, path: str | os.PathLike[str], force: bool = False) -> None:
        """Write what the name's ending says, at once or not at all: everything as ``.npz``, the first sample's
        :meth:`figure` as ``.png``, or the record as ``.json``.

        Raises:
            OutputError: another ending, the file exists and ``force`` is not set, or it cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() == ".json":
            content = as_bytes(canonical(self.record()))
            return write_file(path, partial(write_bytes, content), force)
        if path.suffix.lower() == ".png":
            from ..pictures.heatmap import save_png

            return save_png(self.figure(), path, force)
        if path.suffix.lower() != ".npz":
            raise OutputError(
                f"{shown(path)}: an explanation is written as .npz (all numbers), .png (a picture) or .json (a record)"
            )
        return write_npz(self, path, force)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Explanation:
        """Read what :meth:`save` wrote as ``.npz``; the ledger is not kept.

        Raises:
            InputError: the file cannot be read, or is something else.
        """
        return Explanation(**read_npz(Path(path)))

    def __getstate__(self) -> dict[str, Any]:
        """The explanation travels without the explainer, its warnings with it."""
        return {**self.__dict__, "doubts": partial(tuple, self.warnings)}

    def __repr__(self) -> str:
        """Three lines: the model, the first sample's prediction, and the account."""
        named = "Explanation" if self.context is None else _source(self.context)
        more = f" and {len(self) - 1} more" if len(self) > 1 else ""
        return f"{named}\n{self._first()}{more}\n{str(self.conservation).partition(chr(10))[0]}"

    def _first(self) -> str:
        best, target = int(self.prediction[0]), int(self.target[0])
        shares = self.probabilities
        sure = "" if shares is None else f", probability {shares[0, best]:.3g}"
        explained = "" if best == target else f", explained {self.describe(target)}"
        return f"predicts {self.describe(best)}{sure}{explained}"


def _source(context: Context) -> str:
    how = f"{context.composite}, {context.backend} {context.dtype}"
    return f"{printable(context.model)}: explains {printable(context.explains)!r} by {how}"
