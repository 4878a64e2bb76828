"""The false-alarm study, joined: what sound releases score, the limit that follows, and what it still catches.

`parity study false-alarms run` measures one pair of releases; here several measurements become `false-alarms.json`.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from parity import records
from parity.core.errors import NotComparableError, RecordError
from parity.core.storage import write_atomically
from parity.records import PASS, published
from parity.records.numbers import rows_text, short

DATA = published.FALSE_ALARMS
MARGIN = 1.25
"""How far above the highest sound score the limit must stay: another machine's kernels add in another order."""
BINS_PER_DOUBLING = 2
"""Of the histogram of scores."""

Row = dict[str, Any]


def limit_for(highest: float) -> float:
    """Return the limit that follows from the highest sound score: the next power of two, `MARGIN` included."""
    return 2.0 ** math.ceil(math.log2(MARGIN * highest))


def read(folder: Path) -> dict[str, Row]:
    """Return what `parity study false-alarms run` measured, by cell.

    Raises:
        NotComparableError: there is nothing.
        RecordError: a file is cut off, or not of a study.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            measured = json.loads(path.read_text(encoding="utf-8"))
            for row in (*measured["checks"], *measured["powers"]):
                for name in ("score", "smallest_relative_error"):
                    if name in row:
                        row[name] = records.number(row[name])
            found[path.stem] = {name: measured[name] for name in ("seeds", "versions", "remedy", "checks", "powers")}
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise RecordError(f"{path} is no file of parity study, or cut off: {error!r}. Measure it again.") from None
    if not found:
        raise NotComparableError(f"{folder} has no file of parity study. Measure: tox run-parallel -m false-alarms")
    return found


def limits_for(scores: Iterable[Row]) -> dict[str, float]:
    """Return the limit of each probe that follows from rows with the highest score of a probe.

    A probe that is exact has none.
    """
    highest: dict[str, float] = {}
    for row in scores:
        highest[row["probe"]] = max(row["highest"], highest.get(row["probe"], 0.0))
    return {probe: limit_for(score) for probe, score in sorted(highest.items()) if score}


def join(studies: dict[str, Row], limits: Mapping[str, float]) -> Row:
    """Return the study of all pairs as JSON data.

    Args:
        studies: by cell, what was measured; see `read`.
        limits: the limits that the project uses, by probe.

    Raises:
        NotComparableError: there is no score to take a limit from.
    """
    checks = [{"cell": cell, **row} for cell, study in studies.items() for row in study["checks"]]
    scored = [row for row in checks if row["score"] is not None and math.isfinite(row["score"])]
    powers = list(_by_weight([row for study in studies.values() for row in study["powers"]], limits))
    if not any(row["score"] for row in scored):
        raise NotComparableError(
            "no check has a finite score over 0, and no limit follows. Measure: parity study false-alarms."
        )
    highest = max(scored, key=lambda row: row["score"])
    alarms = [row for row in checks if row["status"] != PASS or not (row["score"] or 0.0) <= _limit(row, limits)]
    scores = list(_by_probe(scored))
    return {
        "schema": published.SCHEMAS[DATA],
        "case": "reference",
        "limits": dict(limits),
        "margin": MARGIN,
        "follow": limits_for(scores),
        "checks": len(checks),
        "false_alarms": [_place(row) for row in alarms],
        "kinks": [_place(row) for row in checks if row.get("kink")],
        "highest": _place(highest),
        "held_out": _held_out(scored),
        "pairs": [_pair(cell, study, checks) for cell, study in studies.items()],
        "scores": scores,
        "histogram": _histogram(scored),
        "power": list(_powers(powers)),
        "weights": [{**row, "smallest_relative_error": short(row["smallest_relative_error"])} for row in powers],
    }


def _limit(row: Row, limits: Mapping[str, float]) -> float:
    return limits.get(row["probe"], 0.0)  # the rest is exact


def _held_out(scored: list[Row]) -> Row:
    """Return the limit that follows from even seeds alone, and how many other trainings would raise an alarm.

    It is that of the highest score of all probes.
    """
    known = limit_for(max(row["score"] for row in scored if row["seed"] % 2 == 0) or 1.0)
    others: dict[tuple[str, int], float] = {}
    for row in scored:
        if row["seed"] % 2:
            key = row["cell"], row["seed"]
            others[key] = max(row["score"], others.get(key, 0.0))
    return {"limit": known, "trainings": len(others), "alarmed": sum(high > known for high in others.values())}


def _place(row: Row) -> Row:
    kept = ("cell", "seed", "runtime", "probe", "batch_size", "leaf", "status", "score")
    return {name: short(row[name]) for name in kept}


def _pair(cell: str, study: Row, checks: list[Row]) -> Row:
    own = [row for row in checks if row["cell"] == cell]
    highest = max((row for row in own if row["score"] is not None), key=lambda row: row["score"])
    versions = study["versions"]
    return {
        "cell": cell, "jax": versions["jax"], "tensorflow": versions["tensorflow"], "remedy": study["remedy"],
        "trainings": study["seeds"], "checks": len(own), "highest": short(highest["score"]),
        "where": f"{highest['probe']} {highest['leaf']} on {highest['runtime']} at batch size {highest['batch_size']}",
    }  # fmt: skip


def _by_probe(scored: list[Row]) -> Iterator[Row]:
    for probe, runtime, size in sorted({(r["probe"], r["runtime"], r["batch_size"]) for r in scored}):
        own = [r for r in scored if (r["probe"], r["runtime"], r["batch_size"]) == (probe, runtime, size)]
        values = sorted(r["score"] for r in own)
        yield {
            "probe": probe, "runtime": runtime, "batch_size": size, "checks": len(own),
            **{name: short(_quantile(values, q)) for name, q in (("median", 0.5), ("p99", 0.99), ("highest", 1.0))},
        }  # fmt: skip


def _quantile(ordered: Sequence[float], q: float) -> float:
    """Return the smallest value that at least the share `q` does not exceed."""
    return ordered[max(math.ceil(q * len(ordered)) - 1, 0)]


def _histogram(scored: Iterable[Row]) -> list[Row]:
    """Return how many scores lie in each bin; a score of 0 has a bin of its own."""
    counts = Counter(
        (row["runtime"], math.ceil(BINS_PER_DOUBLING * math.log2(row["score"])) if row["score"] else None)
        for row in scored
    )
    return [
        {"runtime": runtime, "up_to": 0.0 if edge is None else short(2 ** (edge / BINS_PER_DOUBLING)), "checks": n}
        for (runtime, edge), n in sorted(counts.items(), key=lambda item: (item[0][0], item[0][1] or -math.inf))
    ]


def _by_weight(rows: list[Row], limits: Mapping[str, float]) -> Iterator[Row]:
    """Per probe, batch size and weight tensor the smallest error that is caught, the worst over pairs and trainings.

    An answer that moves linearly does so with the limit: measured at one limit, the error for another follows.
    """
    worst: dict[tuple[str, int, str], float] = {}
    for row in rows:
        scale = limits[row["probe"]] / row["limit"] if row["probe"] in limits else 1.0
        key = (row["probe"], row["batch_size"], row["weight"])
        worst[key] = max(row["smallest_relative_error"] * scale, worst.get(key, 0.0))
    for (probe, size, weight), error in sorted(worst.items()):
        yield {"probe": probe, "batch_size": size, "weight": weight, "smallest_relative_error": error}


def _powers(rows: list[Row]) -> Iterator[Row]:
    """Per probe and batch size the error that is caught in the tensor seen best, and in every tensor."""
    for (probe, size), group in itertools.groupby(rows, key=lambda row: (row["probe"], row["batch_size"])):
        own = sorted(group, key=lambda row: row["smallest_relative_error"])
        yield {
            "probe": probe, "batch_size": size, "best_seen": own[0]["weight"],
            "in_best_seen": short(own[0]["smallest_relative_error"]),
            "in_every_tensor": short(own[-1]["smallest_relative_error"]),
        }  # fmt: skip


def write(study: Row, folder: Path) -> Path:
    """Write `study` to `folder`/false-alarms.json."""
    path = folder / DATA
    write_atomically(path, rows_text(records.encode(study)))
    return path


def sentence(study: Row) -> str:
    """Return what the study says, in one sentence."""
    trainings = sum(pair["trainings"] for pair in study["pairs"])
    alarms, highest = len(study["false_alarms"]), study["highest"]
    return (
        f"{alarms:,} false alarms in {study['checks']:,} checks of {trainings:,} trainings over {len(study['pairs'])} "
        f"pairs that agree; the highest sound score is {highest['score']:.3g}, of "
        f"{study['limits'][highest['probe']]:g} allowed. {len(study['kinks']):,} of the checks passed at a kink, "
        "where a gradient jumps."
    )
