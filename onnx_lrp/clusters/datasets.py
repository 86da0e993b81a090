"""A dataset of Ray Data, explained row by row in a pool of workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import InputError, names_of
from ..explainer import Explainer
from ..model.loading import Source
from ..targets import AnyTarget, Seed
from ..text import nearest, printable
from .rows import RowExplainer
from .starting import loaded_ray, start_ray, workers
from .tables import cells_of, table_of, values_of

SAVED_OF_ROWS = ("relevance", "scores")


def explain_dataset(
    dataset: Any,
    model: Source | Explainer,
    *,
    column: str | Mapping[str, str] = "image",
    id_column: str | None = None,
    target: AnyTarget | str = None,
    target_column: str | None = None,
    seed: Seed | None = None,
    whole: bool = False,
    save: str | Iterable[str] = "relevance",
    batch_size: int = 32,
    concurrency: int | None = None,
    cpus: float = 1,
    gpus: float = 0,
    **explainer_options: Any,
) -> Any:
    """Explain every row of a dataset of Ray Data.

    A row that cannot be explained has its ``error``, and the job goes on. A worker process that dies is started again,
    by Ray Data and without limit: with a row that ends its worker every time, the job does not end.

    Args:
        dataset: a ``ray.data.Dataset``.
        model: path, bytes, ``onnx.ModelProto``, or an :class:`onnx_lrp.Explainer`; it travels to each machine once.
        column: what is explained: arrays without an axis of samples, uint8 pictures, bytes of encoded
            pictures, or paths that every machine can read. For a model with several inputs, the column by input.
        id_column: the one column to keep beside the answers; by default all but those of ``column`` are kept.
        target: as for a call of the Explainer: what is explained where a row has no target of its own.
        target_column: holds each row's own target, an index or a label; empty cells take ``target``.
        seed: as for a call.
        whole: keep the channels of pictures apart in the maps; else they are summed.
        save: ``"relevance"``, ``"scores"`` (the explained tensor), both, or ``()``.
        batch_size: rows that the model is given at once.
        concurrency: how many workers; by default as many as leave a CPU free for reading.
        cpus: for each worker, and its number of threads.
        gpus: for each worker; it needs an execution provider that uses them.
        explainer_options: those of the Explainer, if the model is not one.

    Returns:
        A lazy ``ray.data.Dataset`` with the columns ``prediction``, ``probability``, ``target``, ``start``,
        ``absorbed``, ``error``, a tensor column ``relevance`` (float32; for several inputs ``relevance/NAME`` each; NaN
        in a row with an error) and, if wanted, ``scores``. Ray Data keeps the order of rows only if it is told to.

    Raises:
        InputError: no such column, or something else to save.
        BackendError: Ray is missing, or has not as many CPUs.
        OnnxLrpError: as for the Explainer.
    """
    ray = loaded_ray()
    kept = _kept(save)
    if isinstance(model, Explainer) and explainer_options:
        raise InputError(f"an Explainer has its options already; leave out {', '.join(map(repr, explainer_options))}")
    threads = max(1, int(cpus))
    if isinstance(model, Explainer):
        explainer = model.with_threads(threads)
    else:
        explainer = Explainer(model, **{"threads": threads, **explainer_options})
    columns = {"": column} if isinstance(column, str) else dict(column)
    _check_columns(dataset, [*columns.values(), *filter(None, (id_column, target_column))])
    start_ray()
    count, share = workers(concurrency, cpus)
    rows = ray.put(RowExplainer(explainer, target, seed, whole))
    return dataset.map_batches(
        RowWorker, fn_constructor_args=(rows, columns, id_column, target_column, kept, batch_size),
        batch_size=batch_size, batch_format="pyarrow", compute=ray.data.ActorPoolStrategy(size=count),
        num_cpus=share, num_gpus=gpus or None,
    )  # fmt: skip


class RowWorker:
    """Explains batches of rows in a worker process, with one Explainer.

    Args:
        rows: where the store of Ray has the :class:`RowExplainer`.
        columns: the column by input.
        id_column: the one that is kept; None: all.
        target_column: that of the rows' own targets.
        kept: some of ``SAVED_OF_ROWS``.
        batch_size: rows in most batches.
    """

    def __init__(
        self, rows: Any, columns: dict[str, str], id_column: str | None, target_column: str | None,
        kept: frozenset[str], batch_size: int,
    ) -> None:  # fmt: skip
        import ray

        self._rows: RowExplainer = ray.get(rows)
        self._rows.expect(batch_size)
        self._columns, self._id, self._targets, self._kept = columns, id_column, target_column, kept

    def __call__(self, table: Any) -> Any:
        """The answers to a table of pyarrow, as one."""
        targets = None if self._targets is None else values_of(table, self._targets)
        answers = self._rows(cells_of(table, self._columns), targets)
        others = [name for name in table.column_names if name not in self._columns.values()]
        beside = others if self._id is None else [self._id]
        shapes = self._rows.shapes() if "relevance" in self._kept else {}
        return table_of(table.select(beside), answers, shapes, "scores" in self._kept)


def _kept(save: str | Iterable[str]) -> frozenset[str]:
    names = names_of(save, "save", InputError)
    unknown = [name for name in names if name not in SAVED_OF_ROWS]
    if unknown:
        raise InputError(
            f"cannot save {unknown[0]!r}{nearest(unknown[0], SAVED_OF_ROWS)}; choose from {', '.join(SAVED_OF_ROWS)}"
        )
    return frozenset(names)


def _check_columns(dataset: Any, names: Iterable[str]) -> None:
    """As far as the dataset knows its columns already."""
    there = dataset.columns(fetch_if_missing=False)
    for name in names:
        if there is not None and name not in there:
            raise InputError(
                f"the dataset has no column {name!r}{nearest(name, there)}; it has {', '.join(map(printable, there))}"
            )
