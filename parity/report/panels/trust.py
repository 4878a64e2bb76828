"""Why a verdict can be trusted: planted faults, false alarms and the timing calibration, once on a page."""

from __future__ import annotations

from collections import Counter
from typing import Any

from parity.records import false_alarms, published, timing_calibration
from parity.report.charts import JAX, TENSORFLOW
from parity.report.panels import Cell

ORDER = 100
REFERENCE = "jax"
"""The runtime of JAX's own scores in the study of false alarms."""


def view(cell: Cell) -> dict[str, Any] | None:
    """Return what was measured of the suite itself; None but for the first run of a page."""
    return None if cell.number else published_view()


def published_view() -> dict[str, Any] | None:
    """Return what the panel shows of the published measurements; None where there are none.

    Raises:
        RecordError: a published file is cut off.
    """
    study, faults = published.load(published.FALSE_ALARMS), published.load(published.FAULTS)
    timing = timing_calibration.of(published.load(published.TIMING_CALIBRATION))
    if study is None and faults is None and timing is None:
        return None
    return {
        "study": study and _study(study),
        "faults": faults and _faults(faults),
        "timing": timing and _timing(timing),
    }


def _timing(study: timing_calibration.Study) -> dict[str, Any]:
    columns = ("step", "batch size", "median, ms", "beside a busy process", "factor planted", "held",
               "widest half-width", "plain means apart")  # fmt: skip
    rows = [
        (f"{row['step']} on {row['runtime']}", row["batch_size"], round(row["median_ms"], 2),
         "yes" if row["loaded"] else "no", row["slowdown"], f"{row['held']} of {row['trials']}", f"{row['widest']:.1%}",
         f"{row['plain']} of {row['trials']}")
        for row in timing_calibration.table(study)
    ]  # fmt: skip
    return {"sentence": timing_calibration.sentence(study), "columns": columns, "rows": rows}


def _faults(faults: dict[str, Any]) -> dict[str, Any]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in faults["faults"]:
        groups.setdefault(row["group"], []).append(row)
    return {**faults, "groups": groups, "sentence": faults_sentence(faults)}


def faults_sentence(faults: dict[str, Any]) -> str:
    """Return the counts of the catalogue of planted faults in one sentence."""
    rows, counts = faults["faults"], faults["counts"]
    own = [row for row in rows if row["group"] == "harness"]
    text = f"of {len(rows)} planted faults, {counts['caught']} are caught"
    if counts["below power"]:
        text += f", {counts['below power']} lie below the published power"
    if counts["not caught"]:
        text += f", {counts['not caught']} are not caught"
    return f"{text}; of the {len(own)} in parity itself, {sum(row['verdict'] == 'caught' for row in own)} are caught."


def _study(study: dict[str, Any]) -> dict[str, Any]:
    from parity.report import lines

    scored: dict[str, dict[int, dict[str, float]]] = {}
    for row in study["scores"]:
        if row["runtime"] != REFERENCE:
            best = scored.setdefault(row["probe"], {}).setdefault(row["batch_size"], {"highest": 0.0})
            best["highest"] = max(best["highest"], row["highest"])
    for row in study["power"]:
        scored.setdefault(row["probe"], {}).setdefault(row["batch_size"], {"highest": 0.0})["power"] = row
    return {
        **study,
        "sentence": false_alarms.sentence(study),
        "sizes": sorted({size for by_size in scored.values() for size in by_size}),
        "probes": scored,
        "figure": lines.histogram(_bars(study), max(study["limits"].values())),
    }


def _bars(study: dict[str, Any]) -> list[dict[str, Any]]:
    """Return how many scores of each side lie in each bin, without those of exactly 0: the scale is logarithmic."""
    counts: Counter[tuple[str, float]] = Counter()
    for row in study["histogram"]:
        if row["up_to"]:
            counts[JAX if row["runtime"] == REFERENCE else TENSORFLOW, row["up_to"]] += row["checks"]
    return [{"series": side, "up_to": edge, "checks": n} for (side, edge), n in sorted(counts.items())]
