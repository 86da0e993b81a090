"""The explanations of a record once more, with the settings that it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..composites import Composite
from ..composites.toml import parse_toml
from ..errors import InputError, OnnxLrpError
from ..explainer import Explainer
from ..explanation import Explanation
from ..model.loading import Source
from ..targets import AnyTarget, Seed, as_region, as_seed


def recorded_explainer(record: Mapping[str, Any], model: Source, fixed: Mapping[str, Any]) -> Explainer:
    """The explainer that a record names.

    Args:
        record: as :func:`onnx_lrp.recording.reading.read_record` gives it.
        model: as for the Explainer.
        fixed: the values of inputs that were held fixed, by name; a record has only their hashes.

    Raises:
        InputError: the record lacks a setting, or one makes no sense.
        OnnxLrpError: as for the Explainer.
    """
    settings = record["settings"]
    missing = {name for name, known in settings["fixed"].items() if known} - set(fixed)
    if missing:
        raise InputError(f"the record holds inputs fixed; give their values again (--fixed {min(missing)}=FILE.npy)")
    if settings.get("composite") is None:
        raise InputError(
            "the record's composite has rules or selectors that no file can hold, so that it cannot be repeated from "
            "the record; explain again in Python, and compare .record()"
        )
    try:
        return Explainer(
            model, Composite(**parse_toml(settings["composite"], "the record's composite")),
            output=settings["output"], backend=settings["backend"], dtype=settings["dtype"], device=settings["device"],
            batchnorm=settings["batchnorm"], pass_ops=tuple(settings["pass_ops"]), facts=settings["facts"],
            fixed={name: fixed.get(name) for name in settings["fixed"]}, shapes=settings["shapes"],
            profile=settings["profile"], threads=settings["threads"], providers=settings["providers"],
        )  # fmt: skip
    except OnnxLrpError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the record's settings make no sense ({error!r:.200}); make the record again") from None


def repeated(
    record: Mapping[str, Any], explainer: Explainer, feeds: Sequence[Mapping[str, np.ndarray]], target: AnyTarget = None
) -> list[Explanation]:
    """Every explanation of a record, of data that it does not hold.

    Args:
        record: as for :func:`recorded_explainer`.
        explainer: that of the record.
        feeds: the inputs by name, of each batch; if the record has more explanations, so many targets were
            explained of each.
        target: the region, where the record has one: of that it has only the name.

    Raises:
        InputError: a seed that was an array, a region that is not given.
        OnnxLrpError: as for a call of the Explainer.
    """
    found = record["explanations"]
    region, names = as_region(target), record["settings"]["regions"]
    if names and (region is None or str(region) not in names):
        raise InputError(f"the record explains the region {names[0]}; give it again (--target)")
    ranks = len(found) // len(feeds)
    seed = _seed(record["settings"]["seed"])
    batches = []
    for i, x in enumerate(feeds):
        parts = found[i * ranks : (i + 1) * ranks]
        targets = [target] if names else [_targets(part) for part in parts]
        wanted, ledger = list(parts[0]["layers"]), bool(parts[0]["ledger"])
        batches.append(explainer.several(dict(x), targets, seed=seed, layers=wanted, ledger=ledger))
    return [explanation for ranked in batches for explanation in ranked]


def _targets(part: Mapping[str, Any]) -> Any:
    """One flat index per sample."""
    return np.array([sample["target"]["index"] for sample in part["samples"]], np.int64)


def _seed(given: Mapping[str, Any]) -> Seed:
    """As it was asked for.

    Raises:
        InputError: an array, or nothing that makes sense.
    """
    kind = given.get("kind")
    if kind == "array":
        raise InputError(
            "the record's seed is an array, of which it holds the hash alone; explain again in Python, and compare "
            ".record()"
        )
    if not isinstance(kind, str):
        raise InputError("the record's seed makes no sense; make the record again")
    if kind == "against":
        return as_seed("logit", against=given.get("classes"))
    return as_seed("logit", baseline=given.get("baseline")) if kind == "baseline" else as_seed(kind)
