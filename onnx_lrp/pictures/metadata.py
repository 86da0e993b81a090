"""What a model's own files say of its pictures and classes: metadata, files beside it, the start of its graph.

Read are the ``metadata_props`` of Ultralytics (``names``, ``imgsz``) and timm (``mean``, ``std``), the files
``preprocessor_config.json`` and ``config.json`` of Hugging Face beside the model, a normalisation at the start of the
graph, and the range that a quantised input is made for.
"""

from __future__ import annotations

import ast
import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..model.graph import array
from ..text import printable
from .preprocessing import PREPROCESSINGS, PictureSize, Preprocessing, named_size

if TYPE_CHECKING:
    import onnx_ir as ir

MOST_JSON_BYTES = 16 << 20
MOST_CLASSES = 1 << 20
PREPROCESSOR, CONFIG = "preprocessor_config.json", "config.json"
BYTE_ENDS = {"UINT8": (0, 255), "INT8": (-128, 127)}
CLOSE = 0.02  # of a range's width: as far as a calibrated range may be from a preset's


@dataclass(frozen=True)
class Finding:
    """How pictures become inputs, and what says so."""

    preprocessing: Preprocessing
    where: str


@dataclass(frozen=True)
class Beside:
    """The files next to a model, as far as they are there and can be read; empty where there are none."""

    preprocessor: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(model: Path | None) -> Beside:
        """Those of the folder of this file."""
        if model is None or not model.name:
            return Beside()
        return Beside(_json(model.with_name(PREPROCESSOR)), _json(model.with_name(CONFIG)))


def found_labels(properties: Mapping[str, str], beside: Beside) -> tuple[str, ...]:
    """The classes' names, fit for a terminal; empty if the model says none, or not all from 0 on."""
    for given in (_literal(properties.get("names", "")), beside.config.get("id2label"),
                  beside.config.get("label_names")):  # fmt: skip
        names = _in_order(given)
        if names:
            return names
    return ()


def said_by(path: Path) -> Finding | None:
    """The surest of what a model's files say of its pictures; None where they say nothing, or cannot be read."""
    import onnx
    import onnx_ir as ir

    with contextlib.suppress(Exception):  # whoever uses the model says what is wrong with it
        model = ir.from_proto(onnx.load(path, load_external_data=False))
        return next(findings(model, Beside.of(path)), None)
    return None


def declared_by(path: Path) -> Sequence[ir.Value]:
    """A model's inputs; none where they cannot be read."""
    import onnx
    import onnx_ir as ir

    with contextlib.suppress(Exception):  # whoever uses the model says what is wrong with it
        return ir.from_proto(onnx.load(path, load_external_data=False)).graph.inputs
    return ()


def size_said_by(path: Path) -> tuple[int, int] | None:
    """The size that a model's metadata names; None where they name none, or cannot be read."""
    import onnx

    with contextlib.suppress(Exception):  # whoever uses the model says what is wrong with it
        properties = onnx.load(path, load_external_data=False).metadata_props
        return named_size({one.key: one.value for one in properties})
    return None


def findings(model: ir.Model, beside: Beside) -> Iterator[Finding]:
    """All that is said of how pictures become inputs, the surest first."""
    properties = model.metadata_props
    sources: tuple[tuple[str, Callable[[], Preprocessing | None]], ...] = (
        (f"{PREPROCESSOR} beside the model", lambda: _hugging_face(beside.preprocessor)),
        ("the model's metadata (mean, std)", lambda: _timm(properties)),
        (f"{CONFIG} beside the model (mean, std)", lambda: _timm(_texts(beside.config.get("pretrained_cfg")))),
        ("the model's metadata (Ultralytics)", lambda: _ultralytics(properties)),
        ("the normalisation at the start of its graph", lambda: _normalised(model)),
        ("the range of its quantised input", lambda: _quantised(model)),
    )
    for where, read in sources:
        try:
            found = read()
        except (InputError, TypeError, ValueError, KeyError, OverflowError):  # what cannot be read says nothing
            continue
        if found is not None:
            yield Finding(found, where)


def _hugging_face(given: Mapping[str, Any]) -> Preprocessing | None:
    """Transformers' image processors: by default rescaled by 1/255, and normalised where a mean is given."""
    if not {"image_mean", "image_std", "do_rescale", "rescale_factor"} & set(given):
        return None
    scale = float(given.get("rescale_factor", 1 / 255)) if given.get("do_rescale", True) else 1.0
    normal = given.get("do_normalize", "image_mean" in given)
    mean, std = (given.get("image_mean"), given.get("image_std")) if normal else (None, None)
    size = given.get("size")
    crops = bool(given.get("do_center_crop")) or (isinstance(size, Mapping) and "shortest_edge" in size)
    sides = given.get("crop_size", size) if given.get("do_center_crop") else size
    return Preprocessing(
        scale, _numbers(mean) or (0.0,), _numbers(std) or (1.0,), fit="crop" if crops else "stretch",
        size=_size(sides),
    )  # fmt: skip


def _timm(given: Mapping[str, str]) -> Preprocessing | None:
    """Mean and std for pixels from 0 to 1, as timm's configurations and torchvision's transforms have them."""
    mean, std = _numbers(given.get("mean")), _numbers(given.get("std"))
    if not mean or not std:
        return None
    return Preprocessing(1.0 if max(mean) > 2 else 1 / 255, mean, std)


def _ultralytics(given: Mapping[str, str]) -> Preprocessing | None:
    """Pixels from 0 to 1, RGB."""
    is_theirs = "ultralytics" in given.get("author", "").lower() or {"names", "imgsz", "stride"} <= set(given)
    return PREPROCESSINGS["zero-one"] if is_theirs else None


def _normalised(model: ir.Model) -> Preprocessing | None:
    """``raw`` where the graph's own mean is one of pixels up to 255, ``zero-one`` where it is one up to 1."""
    node = _only_reader(model.graph.inputs[0]) if model.graph.inputs else None
    factor, shift, subtracts = np.ones(1), np.zeros(1), False
    while node is not None and node.op_type in ("Sub", "Add", "Mul", "Div", "Cast", "Identity", "Transpose"):
        if node.op_type in ("Sub", "Add", "Mul", "Div"):
            number = array(node.inputs[1])
            if number is None or number.size not in (1, 3):
                break
            values = number.reshape(-1).astype(np.float64)
            if node.op_type in ("Mul", "Div"):
                by = values if node.op_type == "Mul" else 1 / values
                factor, shift = factor * by, shift * by
            else:
                shift = shift + (values if node.op_type == "Add" else -values)
                subtracts = True
        node = _only_reader(node.outputs[0])
    if not subtracts or not np.all(factor > 0):
        return None
    mean = float((-shift / factor).max())
    return PREPROCESSINGS["raw" if mean > 1 else "zero-one"] if mean > 0 else None


def _quantised(model: ir.Model) -> Preprocessing | None:
    """The preset whose range a quantised input has: QuantizeLinear right behind it."""
    node = _only_reader(model.graph.inputs[0]) if model.graph.inputs else None
    if node is None or node.op_type != "QuantizeLinear" or len(node.inputs) < 3:
        return None
    scale, zero, place = array(node.inputs[1]), array(node.inputs[2]), node.inputs[2]
    if scale is None or zero is None or scale.size != 1 or place is None or place.dtype is None:
        return None
    if place.dtype.name not in BYTE_ENDS:
        return None
    low, high = ((end - float(zero.item())) * float(scale.item()) for end in BYTE_ENDS[place.dtype.name])
    for preset in PREPROCESSINGS.values():
        black, white = (float(f(b)) for f, b in zip((np.min, np.max), preset.bounds((None, 3, None, None))))
        if max(abs(low - black), abs(high - white)) <= CLOSE * (white - black):
            return preset
    return None


def _only_reader(value: ir.Value) -> ir.Node | None:
    readers = [usage.node for usage in value.uses()]
    return readers[0] if len(readers) == 1 else None


def _json(path: Path) -> Mapping[str, Any]:
    try:
        if not path.is_file() or path.stat().st_size > MOST_JSON_BYTES:
            return {}
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):  # somebody else's file: it says nothing of pictures
        return {}
    return content if isinstance(content, dict) else {}


def _literal(text: str) -> Any:
    """``{0: 'cat', 1: 'dog'}`` as Ultralytics writes it, or JSON."""
    if not text or len(text) > MOST_JSON_BYTES:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _in_order(given: Any) -> tuple[str, ...]:
    if isinstance(given, list):
        given = dict(enumerate(given))
    if not isinstance(given, Mapping) or not 0 < len(given) <= MOST_CLASSES:
        return ()
    by_number = {str(index): name for index, name in given.items()}
    names = [by_number.get(str(i)) for i in range(len(by_number))]
    return tuple(printable(name) for name in names if isinstance(name, str)) if None not in names else ()


def _texts(given: Any) -> Mapping[str, str]:
    return {str(k): str(v) for k, v in given.items()} if isinstance(given, Mapping) else {}


def _numbers(given: Any) -> tuple[float, ...]:
    """Of a list, or of its text."""
    if given is None:
        return ()
    parts = re.findall(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?", given) if isinstance(given, str) else given
    found = tuple(map(float, parts))
    return found[:1] if len(set(found)) == 1 else found


def _size(given: Any) -> PictureSize | None:
    """Height and width of ``224``, ``{"height": 224, "width": 224}`` or ``{"shortest_edge": 224}``."""
    if isinstance(given, Mapping):
        given = (given.get("height") or given.get("shortest_edge"), given.get("width") or given.get("shortest_edge"))
    sides = (given, given) if isinstance(given, int) else given
    if not isinstance(sides, list | tuple) or not all(isinstance(n, int) and n > 0 for n in sides) or len(sides) != 2:
        return None
    return int(sides[0]), int(sides[1])
