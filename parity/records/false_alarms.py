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

ACCURACY = "accuracy"
Row = dict[str, Any]


LEAST_LIMIT = 4.0
"""Under which no limit goes: the spread of one number is known roughly from 8 evaluations. Of as many draws as that, a
further one of the same kind is 4 times as far off in 0.4 % of all trials (Student's t with 8 degrees of freedom)."""


def limit_for(highest: float) -> float:
    """Return the limit that follows from the highest sound score: the next power of two, `MARGIN` included."""
    return max(LEAST_LIMIT, 2.0 ** math.ceil(math.log2(MARGIN * highest)))


def read(folder: Path) -> dict[str, list[Row]]:
    """Return what `parity study false-alarms run` measured, by cell: what was measured of each case.

    Raises:
        NotComparableError: there is nothing.
        RecordError: a file is cut off, or not of a study.
    """
    found: dict[str, list[Row]] = {}
    for path in sorted(folder.glob("*/*.json")):
        try:
            measured = json.loads(path.read_text(encoding="utf-8"))
            for row in (*measured["checks"], *measured["powers"]):
                for name in ("score", "smallest_relative_error"):
                    if name in row:
                        row[name] = records.number(row[name])
            kept = {name: measured[name] for name in ("case", "seeds", "versions", "remedy", "checks", "powers")}
            found.setdefault(path.parent.name, []).append({**kept, "left_out": measured.get("left_out")})
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


def join(studies: Mapping[str, Sequence[Row]], limits: Mapping[str, float]) -> Row:
    """Return the study of all pairs as JSON data.

    Args:
        studies: by cell, what was measured of each case; see `read`.
        limits: the limits that the project uses, by probe.

    Raises:
        NotComparableError: there is no score to take a limit from.
    """
    measured = [(cell, study) for cell, by_case in studies.items() for study in by_case]
    checks = [{"cell": cell, **row} for cell, study in measured for row in study["checks"]]
    scored = [row for row in checks if not _judged_elsewhere(row) and math.isfinite(row["score"] or 0.0)]
    scored = [row for row in scored if row["score"] is not None]
    powers = list(_by_weight([row for _, study in measured for row in study["powers"]], limits))
    if not any(row["score"] for row in scored):
        raise NotComparableError(
            "no check has a finite score over 0, and no limit follows. Measure: parity study false-alarms."
        )
    alarms = [row for row in checks if row["status"] != PASS or _over(row, limits)]
    scores = list(_by_probe(scored))
    return {
        "schema": published.SCHEMAS[DATA],
        "limits": dict(limits),
        "margin": MARGIN,
        "follow": limits_for(scores),
        "checks": len(checks),
        "cases": sorted({row["case"] for row in checks}),
        "false_alarms": [_place(row) for row in alarms],
        "rate_at_most": None if alarms else short(_rate_at_most(len(checks))),
        "kinks": [_place(row) for row in checks if row.get("kink")],
        "highest": _place(max(scored, key=lambda row: row["score"])),
        "held_out": _held_out(scored),
        "cases_left_out": list(_cases_left_out(scored)),
        "pairs": [_pair(cell, by_case, checks) for cell, by_case in studies.items()],
        "scores": scores,
        "histogram": _histogram(scored),
        "power": list(_powers(powers)),
        "weights": [{**row, "smallest_relative_error": short(row["smallest_relative_error"])} for row in powers],
    }


def _over(row: Row, limits: Mapping[str, float]) -> bool:
    """Return whether a score is over the limit of its probe; where that is another, the status tells."""
    exact = 0.0
    return not _judged_elsewhere(row) and not (row["score"] or 0.0) <= limits.get(row["probe"], exact)


def _judged_elsewhere(row: Row) -> bool:
    """Return whether a case has a limit of its own, or a score counts the examples of an accuracy."""
    return bool(row["own_limit"]) or row["probe"] == ACCURACY


def _rate_at_most(checks: int) -> float:
    """Return the largest rate of alarms under which none in so many independent checks has a probability of 5 %.

    C. J. Clopper and E. S. Pearson, Biometrika 26, 1934. Checks of one training are not independent.
    """
    return float(1 - 0.05 ** (1 / checks))


def _highest(rows: Iterable[Row]) -> dict[str, float]:
    """Return the highest score of each probe."""
    highest: dict[str, float] = {}
    for row in rows:
        highest[row["probe"]] = max(row["score"], highest.get(row["probe"], 0.0))
    return highest


def _held_out(scored: list[Row]) -> Row:
    """Return the limits that follow from even seeds alone, and how many other trainings would raise an alarm."""
    even, odd = ([row for row in scored if row["seed"] % 2 == half] for half in (0, 1))
    limits = limits_for({"probe": probe, "highest": score} for probe, score in _highest(even).items())
    trainings = {_training(row) for row in odd}
    alarmed = {_training(row) for row in odd if row["score"] > limits.get(row["probe"], 0.0)}
    return {"limits": limits, "trainings": len(trainings), "alarmed": len(alarmed)}


def _training(row: Row) -> tuple[str, str, int]:
    return row["cell"], row["case"], row["seed"]


def _cases_left_out(scored: list[Row]) -> Iterator[Row]:
    """Yield the probes of each case that are over the limits which follow from all other cases, and those limits."""
    for case in sorted({row["case"] for row in scored}):
        others = _highest(row for row in scored if row["case"] != case)
        limits = limits_for({"probe": probe, "highest": score} for probe, score in others.items())
        own = _highest(row for row in scored if row["case"] == case)
        for probe, score in sorted(own.items()):
            if probe in limits and score > limits[probe]:
                yield {"case": case, "probe": probe, "highest": short(score), "limit": limits[probe]}


def _place(row: Row) -> Row:
    kept = ("cell", "case", "seed", "runtime", "probe", "batch_size", "leaf", "status", "score")
    return {name: short(row[name]) for name in kept}


def _pair(cell: str, by_case: Sequence[Row], checks: list[Row]) -> Row:
    own = [row for row in checks if row["cell"] == cell]
    scored = [row for row in own if row["score"] is not None]
    if not scored:
        raise NotComparableError(f"{cell} has no score: all its cases are left out. Remove it, or measure it again.")
    highest = max(scored, key=lambda row: row["score"])
    versions = by_case[0]["versions"]
    remedies = sorted({study["remedy"] for study in by_case if study["remedy"]})
    return {
        "cell": cell, "jax": versions["jax"], "tensorflow": versions["tensorflow"],
        "remedy": ", ".join(remedies) or None,
        "trainings": sum(study["seeds"] for study in by_case), "checks": len(own), "highest": short(highest["score"]),
        "cases": [study["case"] for study in by_case if not study["left_out"]],
        "cases_left_out": {study["case"]: study["left_out"] for study in by_case if study["left_out"]},
        "where": f"{highest['case']}: {highest['probe']} {highest['leaf']} on {highest['runtime']} at batch size "
        f"{highest['batch_size']}",
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
