"""A run's blocks, done by a pool of Ray's workers."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..batch.blocks import Block, BlockWork, Done
from ..errors import BackendError, OnnxLrpError
from ..text import printable
from .starting import loaded_ray, start_ray, workers
from .survival import Survivor

MOST_TOGETHER = 16  # blocks that a worker takes at a time; a bundle is begun again where a worker dies
ROUNDS = 8  # bundles for each worker, so that all end at about the same time


def run_blocks(
    work: BlockWork,
    blocks: Iterable[Block],
    *,
    concurrency: int | None = None,
    progress: Callable[[Done], Any] | None = None,
) -> Generator[Done, None, None]:
    """Do all blocks in worker processes of Ray, on this machine or a cluster; they come as they are done.

    A worker that is killed is started again, and loses nothing. Rows that kill it every time get an error.

    Args:
        work: explains and stores a block; its folder has to be one that all workers see.
        blocks: what there is to do.
        concurrency: how many workers; by default as many as leave a CPU free.
        progress: is told of each block.

    Raises:
        BackendError: Ray is missing, has not as many CPUs, or its workers cannot be started.
        OnnxLrpError: what the work raised.
    """
    listed = list(blocks)
    if not listed:
        return
    ray, started = loaded_ray(), start_ray()
    journals = Path(work.folder.path).absolute() / "journals"
    shutil.rmtree(journals, ignore_errors=True)
    journals.mkdir(parents=True)
    try:
        count, share = workers(concurrency)
        with _quiet_data(ray), _said(ray):
            dataset = _dataset(ray, work, listed, journals, count, share)
            for row in dataset.iter_rows():
                if row["raised"] is not None:
                    raise pickle.loads(row["raised"])
                done = Done(Block(row["number"], row["start"], row["stop"]), row["failed"])
                if progress is not None:
                    progress(done)
                yield done
    finally:
        if started:
            ray.shutdown()
        shutil.rmtree(journals, ignore_errors=True)


def _dataset(
    ray: Any, work: BlockWork, blocks: Sequence[Block], journals: Path, count: int, share: float
) -> Any:  # fmt: skip
    size = max(1, min(MOST_TOGETHER, len(blocks) // (count * ROUNDS)))
    bundles = [blocks[i : i + size] for i in range(0, len(blocks), size)]
    items = [{"blocks": json.dumps([[b.number, b.start, b.stop] for b in bundle])} for bundle in bundles]
    dataset = ray.data.from_items(items, override_num_blocks=len(items))
    pool = ray.data.ActorPoolStrategy(size=min(count, len(items)), max_tasks_in_flight_per_actor=2)
    return dataset.map_batches(
        BundleWorker, fn_constructor_args=(ray.put(work), str(journals), os.getcwd()), batch_size=1,
        batch_format="pyarrow", compute=pool, num_cpus=share,
    )  # fmt: skip


class BundleWorker:
    """Does bundles of blocks in a worker process.

    Args:
        work: where the store of Ray has the work.
        journals: the folder with the bundles' journals.
        home: where relative paths begin; a cluster's workers start elsewhere. One that is not there is of no use.
    """

    def __init__(self, work: Any, journals: str, home: str) -> None:
        import ray

        with contextlib.suppress(OSError):
            os.chdir(home)
        self._survivor = Survivor(ray.get(work), Path(journals))

    def __call__(self, table: Any) -> Any:
        """What was done of a bundle: a table of pyarrow with one row per block, or with what was raised on purpose."""
        import pyarrow as pa

        (text,) = table.column("blocks").to_pylist()
        rows: list[tuple[Any, ...]] = []
        try:
            for done in self._survivor([Block(*numbers) for numbers in json.loads(text)]):
                block = done.block
                rows.append((block.number, block.start, block.stop, done.failed, None))
        except OnnxLrpError as error:  # as an exception, Ray would wrap it beyond recognition
            rows = [(-1, 0, 0, 0, pickle.dumps(error))]
        names = ("number", "start", "stop", "failed", "raised")
        fields = [(name, pa.binary() if name == "raised" else pa.int64()) for name in names]
        return pa.table(dict(zip(names, map(list, zip(*rows)))), schema=pa.schema(fields))


@contextlib.contextmanager
def _quiet_data(ray: Any) -> Iterator[None]:
    """Without Ray Data's own bars and reports, which the run's progress replaces."""
    context, logger = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    bars, level = context.enable_progress_bars, logger.level
    context.enable_progress_bars = False
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.enable_progress_bars = bars
        logger.setLevel(level)


@contextlib.contextmanager
def _said(ray: Any) -> Iterator[None]:
    """Workers that cannot be started, in one line; what is a bug in the work stays as Ray tells it."""
    try:
        yield
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError as error:
        last = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
        raise BackendError(
            f"Ray's workers cannot work: {printable(last.strip(), 300)}; is the same onnx_lrp installed where they run?"
        ) from error
