"""convert: compile the explanation into the model, so that any ONNX runtime answers with its reasons."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import COMPOSITES, add_against, add_model, add_seed, add_talk
from .served import SERVING, add_serving, check_serving, is_folder, needs_target, served_notes, write_served
from .telling import tell
from .words import count, names, numbers, rivals

if TYPE_CHECKING:
    import onnx

NAME = "convert"
EPILOG = f"""\
The converted model has all inputs and outputs of the source, and the output 'relevance' ('relevance_NAME' for several
inputs and for layers). Its input 'target' is optional: int64, one index for all samples or one for each; left out, or
-1, it means the largest output. With --against input there is an optional input 'against', alike: the class to hold
the target against; left out, or -1, it means the runner-up. A class that is held against itself makes the run fail.

{SERVING}

{COMPOSITES}
Where z^B needs the bounds low and high, give them, or say with --preprocess how pictures become inputs.

Exit code: 0 done, 1 the model is rejected, 2 files or options are wrong (then nothing is written)."""


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``onnx-lrp convert``."""
    add_model(parser)
    parser.add_argument("out", metavar="OUT", help="the file to write, or the folder (--for)")
    parser.add_argument("--layers", metavar="NAME,...", type=names, default=(), help="nodes or tensors inside, too")
    add_seed(parser, "input")
    add_against(parser, "by their index; or input, which leaves it to a run", rivals)
    parser.add_argument("--targets", metavar="K", type=count, default=1, help="explain K targets at once (default: 1)")
    parser.add_argument(
        "--target-input",
        action="store_true",
        help="target must be given in every run: onnxruntime warns of an optional one when it loads the model",
    )
    parser.add_argument("--low", metavar="X,...", type=numbers, help="lower bound of the input, or one per channel")
    parser.add_argument("--high", metavar="X,...", type=numbers, help="upper bound of the input, or one per channel")
    parser.add_argument(
        "--preprocess", metavar="NAME", help="zero-one, raw, signed, imagenet or caffe: sets the bounds"
    )
    parser.add_argument(
        "--batchnorm",
        choices=("affine", "pass"),
        default="affine",
        help="what an unmerged BatchNormalization does (default: %(default)s)",
    )
    parser.add_argument("--no-facts", action="store_true", help="skip nothing that is provably zero: slower, no less")
    parser.add_argument("-f", "--force", action="store_true", help="replace a file that exists")
    add_serving(parser)
    add_talk(parser)


def run(args: Namespace) -> int:
    """Convert and write.

    Raises:
        OnnxLrpError: something is wrong; then no file was written.
    """
    from ..conversion.convert import convert
    from ..writing import Outputs
    from .holding import held
    from .reading import files_read

    outputs, path = Outputs(args.force, partial(files_read, args)), Path(args.out)
    check_serving(args)
    if not is_folder(args):
        outputs.reserve(path)
    model = convert(
        args.model, _composite(args), output=args.output, layers=args.layers, seed=args.seed, against=args.against,
        baseline=args.baseline, targets=args.targets, target_input=needs_target(args),
        shapes=dict(args.shape), batchnorm=args.batchnorm, pass_ops=args.pass_op, facts=not args.no_facts,
        fixed=held(args), profile=args.profile,
    )  # fmt: skip
    if is_folder(args):
        tell(_about(args, model, write_served(args, model)), args.quiet)
        return 0
    data = _served(args, model).SerializeToString(deterministic=True)
    outputs.add(path, lambda temporary: _write(temporary, data))
    outputs.write()
    tell(_about(args, model, f"{len(data) / 1e6:.1f} MB"), args.quiet)
    return 0


def _served(args: Namespace, model: onnx.ModelProto) -> onnx.ModelProto:
    from ..serving.web import for_web

    return for_web(model) if args.server == "web" else model


def _composite(args: Namespace) -> str:
    from ..composites.pictured import from_preprocessing, with_bounds
    from ..pictures.preprocessing import Preprocessing

    composite = with_bounds(args.composite, args.low, args.high) if args.low or args.high else args.composite
    return from_preprocessing(composite, Preprocessing.create(args.preprocess)) if args.preprocess else composite


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _about(args: Namespace, model: onnx.ModelProto, written: str) -> Iterator[str]:
    """What was written, and how it is used."""
    from ..text import printable, under
    from ..writing import shown

    about = {prop.key.partition(".")[2]: prop.value for prop in model.metadata_props}
    composite = printable(about["composite"].splitlines()[0])
    how = composite + under(about.get("profile", "strict"))
    if not args.quiet:
        yield f"{shown(args.model)}: explains {printable(about['explains'])!r} by {how}"
    yield from (f"note: {printable(about[key], 1000)}" for key in ("note",) if key in about)
    yield from served_notes(args, model)
    yield f"written: {shown(args.out)}, {written}"
    yield f"  inputs: {', '.join(printable(value.name) for value in model.graph.input)}"
    yield f"  outputs: {', '.join(printable(value.name) for value in model.graph.output)}"
