"""onnxruntime: one session, one run, and its failures as our errors."""

from __future__ import annotations

import ctypes
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from ..errors import BackendError, InvalidModelError, OutputError
from ..staging import temporary
from ..text import printable
from .denormals import spare_this_thread

LARGE = 2**24  # bytes of weights of which a message would be several copies


_by_default = {"threads": 0}


def take_threads(threads: int) -> None:
    """Have every session of this process take so many threads where nobody says how many: it is one of several."""
    _by_default["threads"] = threads


@dataclass(frozen=True)
class SessionOptions:
    """How onnxruntime runs: number of threads (0: its default), execution providers, and whether it may fuse nodes."""

    threads: int = 0
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    optimized: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.threads, int) or self.threads < 0:
            raise BackendError(f"threads must be a whole number, 0 for onnxruntime's default, not {self.threads!r:.80}")


def make_session(
    model: bytes | Path,
    options: SessionOptions,
    source: str,
    sizes: Mapping[str, int] | None = None,
    unsafe: Sequence[str] = (),
    **config: str,
) -> Any:
    """An onnxruntime session.

    Args:
        model: the message or its path.
        options: how to run.
        source: what to call the model in messages.
        sizes: those of named open axes, as far as they are known.
        config: entries of onnxruntime's session configuration, with ``_`` for the dot.
        unsafe: fusions that would change what this model answers.

    Raises:
        InvalidModelError: onnxruntime refuses the model.
    """
    import onnxruntime as ort

    # it drops one of two pairs in a row, with another scale, or not, as is fetched
    disabled = ["DoubleQDQPairsRemover", *unsafe]
    settings = ort.SessionOptions()
    settings.log_severity_level = 4  # what matters is raised
    settings.intra_op_num_threads = options.threads or _by_default["threads"]
    settings.add_session_config_entry("session.set_denormal_as_zero", "1")
    if not options.optimized:
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    # quantised models as the standard says: integer kernels round elsewhere, and what is fetched decides where they run
    settings.add_session_config_entry("session.disable_quant_qdq", "1")
    settings.add_session_config_entry("session.force_spinning_stop", "1")  # after a run, idle threads slow others
    for key, value in config.items():
        settings.add_session_config_entry(key.replace("_", ".", 1), value)
    for name, size in (sizes or {}).items():
        settings.add_free_dimension_override_by_name(name, size)
    spare_this_thread()
    try:
        return ort.InferenceSession(model, settings, providers=list(options.providers), disabled_optimizers=disabled)
    except Exception as error:  # onnxruntime's own classes share no base but Exception
        raise InvalidModelError(f"{source}: onnxruntime refuses the model: {_reason(error)}") from None


def open_session(
    model: ir.Model, options: SessionOptions, source: str, sizes: Mapping[str, int] | None = None, **config: str
) -> Any:
    """The same for a model in memory; large weights pass through a file, from which onnxruntime maps them.

    With the sizes, or else without: where they are fixed, onnxruntime may infer shapes that it does not make.

    Raises:
        InvalidModelError: onnxruntime refuses the model.
        OutputError: there is no room for the file.
    """
    unsafe = _unsafe_fusions(model)
    weights = [value.const_value for value in model.graph.initializers.values()]
    if sum(tensor.nbytes for tensor in weights if tensor is not None) < LARGE:
        return _first_of(ir.to_proto(model).SerializeToString(), options, source, sizes, config, unsafe)
    folder = temporary(Path(tempfile.gettempdir()))
    try:
        folder.mkdir(mode=0o700)
        ir.save(model, folder / "model.onnx", external_data="weights", size_threshold_bytes=2**16)
        give_back_memory()
        return _first_of(folder / "model.onnx", options, source, sizes, config, unsafe)
    except OSError as error:
        raise OutputError(
            f"{folder}: a copy of the model cannot be written: {error.strerror or error}; set TMPDIR to another folder"
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        give_back_memory()


def _unsafe_fusions(model: ir.Model) -> tuple[str, ...]:
    """onnxruntime 1.32 fuses a Transpose into the MatMul behind it, and then reads a vector there the wrong way; or a
    Transpose that leaves everything in its place into a Gemm (its issue 32228)."""
    vectors = stays = False
    for node in model.graph:
        if node.op_type in ("MatMul", "FusedMatMul"):
            vectors |= any(v is not None and v.const_value is not None and v.const_value.shape.rank() == 1
                           for v in node.inputs)  # fmt: skip
        elif node.op_type == "Transpose" and "perm" in node.attributes:
            order = list(node.attributes["perm"].as_ints())
            stays |= order == sorted(order)
    return ("MatmulTransposeFusion",) * vectors + ("GemmTransposeFusion",) * stays


def _first_of(
    model: bytes | Path,
    options: SessionOptions,
    source: str,
    sizes: Mapping[str, int] | None,
    config: dict[str, str],
    unsafe: Sequence[str],
) -> Any:
    try:
        return make_session(model, options, source, sizes, unsafe, **config)
    except InvalidModelError:
        if not sizes:
            raise
        return make_session(model, options, source, None, unsafe, **config)


def give_back_memory() -> None:
    """Have the C library return freed memory to the system: loading a model frees several times its size."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def run(session: Any, outputs: Sequence[str], feeds: Mapping[str, np.ndarray], source: str) -> list[np.ndarray]:
    """Run a session on inputs in whatever float type; each is cast to the type that the session declares.

    Raises:
        InvalidModelError: onnxruntime fails.
    """
    types = {i.name: TYPES.get(i.type) for i in (*session.get_inputs(), *session.get_overridable_initializers())}
    with np.errstate(over="ignore"):  # what goes beyond the type gives an answer that is not finite
        cast = {name: a.astype(types[name], copy=False) for name, a in feeds.items() if name in types}
    try:
        return list(session.run(list(outputs), cast))
    except Exception as error:
        raise InvalidModelError(f"{source}: onnxruntime fails on this input: {_reason(error)}") from None


TYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8,
    "tensor(int16)": np.int16, "tensor(uint16)": np.uint16, "tensor(uint32)": np.uint32, "tensor(uint64)": np.uint64,
    "tensor(bool)": np.bool_, "tensor(string)": np.object_,
}  # fmt: skip


def _reason(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return printable(lines[0] if lines else type(error).__name__, 300)
