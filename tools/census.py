"""Which networks of the wild are accepted, and why the others are not: ``python tools/census.py --out FILE.jsonl``.

Networks have random weights; they are exported, checked, and, where they are accepted and piecewise linear, explained
with ε → 0 in float64 and held against the framework's own gradient × input. What is done already is not done again, so
that a run can be broken off. ``--table`` prints the counts of a file. Packages that are missing are skipped by name.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "census_nets"))

import exporting
import families

PROFILE = "attnlrp"  # under which is tried what strict refuses
LONGEST = 600  # seconds for one network


def main() -> None:
    """Run, or print the table of what ran."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--families", default=",".join(families.ALL))
    parser.add_argument("--exporters", default="jit,dynamo")
    parser.add_argument("--only", default="", help="part of a network's name")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out.exists() else []
    if args.table:
        print("\n".join(table(rows)))
        return
    done = {(row["family"], row["name"], row["exporter"]) for row in rows}
    warnings.filterwarnings("ignore")
    signal.signal(signal.SIGALRM, _too_long)
    with args.out.open("a") as out:
        for family in args.families.split(","):
            for name, build in families.ALL[family]():
                for exporter in families.exporters(family, args.exporters.split(",")):
                    if (family, name, exporter) not in done and args.only in name:
                        row = {"family": family, "name": name, "exporter": exporter, **judged(build, exporter)}
                        out.write(json.dumps(row) + "\n")
                        out.flush()
                        said = (row.get("left") or [row.get("why", "")])[0][:150]
                        print(family, name, exporter, row["verdict"], row.get("profile", ""), said, flush=True)


def judged(build: Any, exporter: str) -> dict[str, Any]:
    """The verdict on one network, in one export: accepted, refused, or what went wrong on the way."""
    signal.alarm(LONGEST)
    try:
        net = build()
        model = exporting.exported(net, exporter)
    except Exception as error:
        return {"verdict": "not exported", "why": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    finally:
        signal.alarm(0)
    signal.alarm(LONGEST)
    began = time.perf_counter()
    try:
        found = exporting.checked(model)
        seconds = time.perf_counter() - began
        if found["verdict"] == "accepted":
            found |= exporting.compared(net, model)
        elif found["verdict"] == "refused":
            found |= exporting.profiled(net, model, PROFILE)
        return {**found, "seconds": round(seconds, 2)}
    except Exception:
        return {"verdict": "raw error", "why": traceback.format_exc()[-400:]}
    finally:
        signal.alarm(0)


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Counts by family, and what was refused for."""
    verdicts = ("accepted", "refused", "error", "raw error", "not exported")
    heads = (
        *verdicts[:2],
        "of these with the profile",
        *verdicts[2:],
        "slowest check",
        "worst against gradient × input",
    )
    yield f"| family | networks | exports | {' | '.join(heads)} |"
    yield "|---|" + "---|" * (len(heads) + 2)
    for family in dict.fromkeys(row["family"] for row in rows):
        own = [row for row in rows if row["family"] == family]
        count = Counter(row["verdict"] for row in own)
        slowest = max((row.get("seconds", 0) for row in own), default=0)
        worst = max((row["error"] for row in own if row.get("error") is not None), default=None)
        names = len({row["name"] for row in own})
        under = sum(row.get("profile") == "explained" for row in own)
        counts = " | ".join(str(count[verdict]) for verdict in verdicts[:2])
        counts += f" | {under} | " + " | ".join(str(count[verdict]) for verdict in verdicts[2:])
        off = "" if worst is None else f"{worst:.0e}"
        yield f"| {family} | {names} | {len(own)} | {counts} | {slowest:.1f} s | {off} |"
    tried = [row for row in rows if row["verdict"] != "not exported"]
    good = sum(row["verdict"] == "accepted" or row.get("profile") == "explained" for row in tried)
    share = f"{good} of {len(tried)}, {100 * good / max(len(tried), 1):.1f} %"
    yield f"\nExplained, strictly or under the profile: {share}.\n"
    for title, key in (("refused for", "reasons"), (f"refused under {PROFILE} for", "left")):
        yield f"| {title} | exports |"
        yield "|---|---|"
        refused = [{reason.partition(" (")[0] for reason in row[key]} for row in rows if row.get(key)]
        reasons = Counter(reason for each in refused for reason in each)
        yield from (f"| {reason} | {count} |" for reason, count in reasons.most_common())
        yield ""


def _too_long(signum: int, frame: object) -> None:
    raise TimeoutError(f"more than {LONGEST} s")


if __name__ == "__main__":
    main()
