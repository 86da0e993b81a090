"""``convert --for``: the converted model where it is served."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .arguments import add_labels
from .words import count

if TYPE_CHECKING:
    import onnx

SERVERS = ("triton", "kserve", "web")
SERVING = """\
--for triton writes OUT as a folder, Triton's model repository; --for kserve a folder with that repository, the
InferenceService and a request; --for web a file for onnxruntime-web. There 'target' is given in every request, -1 for
the largest output: with an open batch Triton takes no optional input, and JavaScript's onnxruntime ignores them."""
# Options that say something to some servers only
_MEANT_FOR = {"name": ("triton", "kserve"), "max_batch": ("triton", "kserve"), "labels": ("triton", "kserve"),
              "storage_uri": ("kserve",)}  # fmt: skip


def add_serving(parser: ArgumentParser) -> None:
    """--for and what goes with it."""
    group = parser.add_argument_group("where it is served")
    group.add_argument("--for", dest="server", choices=SERVERS, help="what OUT is made for (default: any onnxruntime)")
    group.add_argument("--name", metavar="NAME", help="what requests call it (default: the file's name)")
    group.add_argument("--max-batch", metavar="N", type=count, help="samples that Triton may batch (default: 32)")
    add_labels(group)
    group.add_argument("--storage-uri", metavar="URI", help="where KServe finds OUT/models (default: a placeholder)")


def check_serving(args: Namespace) -> None:
    """Whether the options go together.

    Raises:
        InputError: one says nothing to this server.
        OutputError: the folder must not be written.
    """
    from ..serving.folder import check_new_folder

    for option, servers in _MEANT_FOR.items():
        if getattr(args, option) is not None and args.server not in servers:
            known = " or ".join(f"--for {server}" for server in servers)
            raise InputError(f"--{option.replace('_', '-')} goes with {known} only; leave it out, or add that")
    if is_folder(args):
        check_new_folder(Path(args.out), args.force)


def is_folder(args: Namespace) -> bool:
    """Whether OUT is one."""
    return args.server in ("triton", "kserve")


def needs_target(args: Namespace) -> bool:
    """Whether every run has to give the target: as it was asked, or since a server takes no optional input."""
    return args.target_input or (args.server is not None and args.seed != "input")


def write_served(args: Namespace, model: onnx.ModelProto) -> str:
    """Write the folder.

    Returns:
        What is in it, in words.

    Raises:
        OnnxLrpError: the model cannot be served so, or the folder cannot be written.
    """
    from ..serving.folder import write_folder
    from ..serving.kserve import STORAGE, kserve_files
    from ..serving.triton import LONGEST_NAME, MOST_BATCHED, triton_files
    from .reading import files_read

    stem = re.sub(r"[^\w.-]+", "_", Path(args.model).stem, flags=re.ASCII).lstrip("._-")
    name = args.name or stem[:LONGEST_NAME] or "model"
    labels, most = _labels(args, model), args.max_batch or MOST_BATCHED
    if args.server == "kserve":
        files = kserve_files(model, name, labels, most, args.storage_uri or STORAGE)
    else:
        files = triton_files(model, name, labels, most)
    write_folder(Path(args.out), files, args.force, files_read(args))
    return f"{sum(map(len, files.values())) / 1e6:.1f} MB: {', '.join(sorted(files))}"


def served_notes(args: Namespace, model: onnx.ModelProto) -> Iterator[str]:
    """What is worth knowing of the model where it is served."""
    from ..serving.signature import signature_of
    from ..serving.web import web_notes

    if is_folder(args) and not signature_of(model).batched:
        yield "note: Triton makes no batches of it (max_batch_size: 0): a first axis is fixed, or samples are not apart"
    if args.server == "web":
        yield from (f"note: {note}" for note in web_notes(model))
    if args.server == "kserve" and not args.storage_uri:
        yield "note: write into inferenceservice.yaml where OUT/models will lie (or give --storage-uri)"


def _labels(args: Namespace, model: onnx.ModelProto) -> tuple[str, ...]:
    """Those that were given, else those of the model's own files, if they are names of what it answers."""
    from ..pictures.labels import read_labels
    from ..pictures.metadata import Beside, found_labels
    from ..serving.signature import signature_of
    from ..serving.triton import named_output

    if args.labels is not None:
        return read_labels(args.labels)
    found = found_labels({prop.key: prop.value for prop in model.metadata_props}, Beside.of(Path(args.model)))
    return found if found and named_output(signature_of(model), found) else ()
