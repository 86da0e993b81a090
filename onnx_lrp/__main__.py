"""``python -m onnx_lrp`` is the command ``onnx-lrp``."""

from __future__ import annotations

import sys


def command_line() -> int:
    """Run the command line; an interruption while it is being imported is no traceback either."""
    try:
        from .cli.main import main

        return main()
    except KeyboardInterrupt:
        if sys.stderr is not None:  # it may be closed
            sys.stderr.write("onnx-lrp: error: interrupted\n")
        return 130


if __name__ == "__main__":
    raise SystemExit(command_line())
