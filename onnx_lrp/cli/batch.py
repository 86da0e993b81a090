"""batch: explain very many inputs into one folder, and go on where it was stopped."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .arguments import (
    BOUNDS,
    COMPOSITES,
    PREPARATION,
    add_against,
    add_computation,
    add_labels,
    add_model,
    add_preprocessing,
    add_seed,
    add_talk,
    add_target,
)
from .words import batch_size, count, from_zero, names

NAME = "batch"
EPILOG = f"""\
INPUT is a folder (with all below it), a pattern ("pics/*.jpg"), a list of paths (FILE.txt, or - from a pipe: one per
line, or as find -print0 writes them), .npy or .npz with one input per row, a table (.csv, .tsv, .parquet), or archives
(.tar, "data-{{000..012}}.tar"); several of one kind are taken together. An input that cannot be explained costs a row
with its error.

OUT gets index.parquet (a row per input), maps.zarr, and batch.json. The same command goes on where it was stopped,
whatever stopped it; what is stored does not depend on that, nor on --workers. In Python: lrp.open_batch("OUT").

{PREPARATION}

{COMPOSITES}
{BOUNDS}

Exit code: 0 done, 1 the model is rejected, 2 data, options or files are wrong, 3 done, but some inputs have an error
(0 with --allow-errors), 130 interrupted (the blocks under way are finished first; a second Ctrl-C does not wait)."""


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``onnx-lrp batch``."""
    add_model(parser)
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help="where the inputs are, see below")
    parser.add_argument("-o", "--out", metavar="OUT", required=True, help="the folder for all results; made if missing")
    _add_inputs(parser)
    _add_question(parser)
    _add_saved(parser)
    add_preprocessing(parser)
    _add_running(parser)
    add_computation(parser)


def run(args: Namespace) -> int:
    """Explain and store; 0 if all went well, 3 if some inputs failed.

    Raises:
        OnnxLrpError: the run cannot begin or go on; what is done stays done.
    """
    import logging

    from .batching import run_batch

    # Where a disk is full, each of zarr's tasks that meets it would say so beside our one line
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    return run_batch(args)


def _add_inputs(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("which inputs")
    group.add_argument(
        "--column", metavar="NAME", help="of a table, the column of paths; of archives, the ending of what is explained"
    )
    group.add_argument(
        "--features", metavar="NAME,...", type=names, help="columns or arrays that are inputs (default: all others)"
    )
    group.add_argument(
        "--label",
        metavar="COLUMN|folder",
        help="where the true class of each input stands: a column, an array of .npz, an ending or a key in an archive, "
        "or the name of its folder",
    )
    group.add_argument(
        "--only",
        metavar="wrong|class=NAME",
        help="explain those whose prediction is not their label, or those of which this class is predicted; all are "
        "predicted first",
    )
    group.add_argument("--sample", metavar="N", type=count, help="explain N of them at random")
    group.add_argument(
        "--random-seed", metavar="N", type=from_zero, default=0, help="of --sample (default: %(default)s)"
    )  # fmt: skip


def _add_question(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("what to explain")
    either = group.add_mutually_exclusive_group()
    add_target(either, "the highest")
    either.add_argument("--target-column", metavar="COLUMN", help="where the target of each input stands")
    add_labels(group)
    add_seed(group)
    add_against(group, "by their index or label")


def _add_saved(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("what to keep")
    group.add_argument(
        "--save",
        metavar="WHAT,...",
        type=names,
        default=("maps",),
        help="maps, png (heatmaps), figure, scores (the explained tensor), topk, or '' for the index alone (default: "
        "maps)",
    )
    group.add_argument(
        "--precision",
        choices=("float16", "float32", "int8"),
        default="float16",
        help="of the maps (default: %(default)s)",
    )
    group.add_argument("--whole", action="store_true", help="keep the colours apart in the maps; else they are summed")
    group.add_argument(
        "--top", metavar="K", type=count, default=5, help="classes that topk keeps (default: %(default)s)"
    )
    group.add_argument("--allow-errors", action="store_true", help="exit with 0 though some inputs have an error")
    group.add_argument("--json", action="store_true", help="print the summary as JSON")
    add_talk(group)


def _add_running(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("how to run")
    group.add_argument(
        "--batch-size",
        metavar="auto|N",
        type=batch_size,
        help="inputs that the model is given at once (default: auto, what is fastest)",
    )
    group.add_argument("--workers", metavar="N", type=count, help="processes (default: 1; of ray, one for each CPU)")
    group.add_argument("--engine", choices=("local", "ray"), default="local", help="default: %(default)s")
