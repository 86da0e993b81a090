"""What is asked of a run, checked before anything is made."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ..engines.compiled import CompiledEngine
from ..errors import BackendError, InputError, require_whole
from ..explainer import Explainer
from ..model.processors import available_cpus
from ..text import nearest, printable
from .folder import Folder
from .items import InputSource
from .order import PRECISIONS, SAVED
from .progress import ProgressCallback
from .selecting import Selection

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Run:
    """What is asked for.

    Attributes:
        explainer: what explains.
        source: of the inputs.
        folder: where everything goes.
        order: the arguments of an :class:`Order` but for its batch and block.
        batch: how many samples the model is given at once; None leaves it to us.
        selection: which of the inputs are wanted.
        workers: processes; None is one here, and on a cluster as many as there are processors to spare.
        engine: one of ``ENGINES``.
        once: the source can be listed only once, as what comes through a pipe.
        told: how far it is.
        lanes: batches that each process explains at once.
    """

    explainer: Explainer
    source: InputSource
    folder: Folder
    order: dict[str, Any]
    batch: int | None = None
    selection: Selection = field(default_factory=Selection)
    workers: int | None = None
    engine: str = "local"
    once: bool = False
    told: ProgressCallback = lambda *_: None
    lanes: int = 1

    def __post_init__(self) -> None:
        strange = sorted(set(self.order["save"]) - set(SAVED))
        if strange:
            raise InputError(f"--save {_unknown(strange[0], SAVED)}")
        if self.order["precision"] not in PRECISIONS:
            raise InputError(f"--precision {_unknown(self.order['precision'], PRECISIONS)}")
        if self.engine not in ENGINES:
            raise BackendError(f"--engine {_unknown(self.engine, ENGINES)}")
        numbers = {"--batch-size": self.batch, "--workers": self.workers, "--top": self.order["top"]}
        for option, number in numbers.items():
            if number is not None:
                require_whole(number, option, 1)


def in_lanes(run: Run) -> Run:
    """The same, with its threads spread over batches: two batches by a thread each are done sooner than one after the
    other by two, and each is computed in the same order whatever their number.
    """
    if not isinstance(run.explainer.engine, CompiledEngine):
        return run
    threads = run.explainer.options.threads or available_cpus()
    lanes = 1 if run.engine == "ray" else max(1, threads // (run.workers or 1))
    return replace(run, explainer=run.explainer.with_threads(1), lanes=lanes)


def on_fallback(run: Run) -> Run:
    """The same, without lanes where its model was not compiled after all: the walk has threads of its own."""
    return run if isinstance(run.explainer.engine, CompiledEngine) else replace(run, lanes=1)


def _unknown(word: str, known: tuple[str, ...]) -> str:
    return f"{printable(word)!r} is none of {', '.join(known)}{nearest(word, known)}"
