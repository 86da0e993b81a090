"""``onnx-lrp``: parse, run one command, and turn every foreseen failure into one line and an exit code.

Exit codes: 0 done, 1 the model is rejected (unsupported or malformed, or ``compare`` finds that it drifts too far, or
``verify`` that a record does not hold), 2 anything else that the user can mend (paths, data, options), 3 ``batch``
is done, but some inputs have an error in place of an explanation, 130 interrupted, 141 the reader of a pipe went away.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from argparse import Namespace
from collections.abc import Sequence

from .. import __version__
from ..errors import InvalidModelError, OnnxLrpError, UnsupportedModelError
from . import batch, check, compare, completion, convert, doctor, evaluate, explain, report, rules, tune, verify
from .parser import Parser

COMMANDS = (check, explain, batch, report, compare, convert, evaluate, tune, verify, rules, doctor, completion)
REJECTED, FAILED, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments after the program's name; those of the process by default.

    Returns:
        The exit code.
    """
    _never_fail_to_print()
    try:
        return _run(build_parser().parse_args(argv))
    except BrokenPipeError:
        return _pipe_closed()


def build_parser() -> Parser:
    """All commands and options; imports nothing heavy, so that ``--help`` answers at once."""
    parser = Parser("onnx-lrp", description="Explain what a neural network in an ONNX file looks at (LRP).")
    parser.add_argument("--version", action="version", version=f"onnx-lrp {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in COMMANDS:
        about = (module.__doc__ or "").partition("\n")[0].partition(": ")[2]
        command = commands.add_parser(module.NAME, help=about, description=about, epilog=module.EPILOG)
        module.add_arguments(command)
        command.set_defaults(run=module.run, parser=parser)
    return parser


def _run(args: Namespace) -> int:
    try:
        code = int(args.run(args))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        raise
    except OnnxLrpError as error:
        _complain(_named_briefly(str(error), args))
        return REJECTED if isinstance(error, (UnsupportedModelError, InvalidModelError)) else FAILED
    except OSError as error:  # what is written and read says its name; what is left is the terminal, or what it is
        _complain(f"{error.filename or 'standard output'}: {error.strerror or error}"[:1000])
        if error.filename is None:
            _take_everything()
    except MemoryError:
        _complain("not enough memory; explain fewer or smaller inputs at once")
    except KeyboardInterrupt as error:  # of a long run, with how far it came
        _complain(str(error) or "interrupted")
        return INTERRUPTED
    return FAILED


def _named_briefly(message: str, args: Namespace) -> str:
    """The message with long paths of the command line shortened: its reason is what matters."""
    from ..text import LONGEST_PATH, brief, printable

    given = [getattr(args, name, None) for name in ("model", "a", "b", "out")]
    for path in filter(None, (*given, *(getattr(args, "inputs", None) or ()))):
        if len(path) > LONGEST_PATH:
            message = message.replace(printable(path, 4096), brief(path))
    return message


def _complain(message: str) -> None:
    from ..text import printable

    print(f"onnx-lrp: error: {printable(message, 100_000)}", file=sys.stderr)


def _never_fail_to_print() -> None:
    """A terminal that lacks Σ or × gets an escape instead; a stream that is closed takes everything."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _pipe_closed() -> int:
    _take_everything()
    return PIPE_CLOSED


def _take_everything() -> None:
    """Keep Python from complaining at exit that it cannot flush, with an exit code of its own."""
    with contextlib.suppress(OSError, ValueError):  # a stream without a file, as in a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
