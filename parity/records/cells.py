"""Cells of the matrix: their names, and what ended of one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from packaging.version import InvalidVersion, Version

from parity import records
from parity.core.errors import UsageError
from parity.core.failures import NUMERIC, UNKNOWN
from parity.records import (
    CRASH,
    ERROR,
    FAIL,
    FIXED,
    FLEET,
    MISSING,
    PASS,
    REMEDIED,
    SPLIT,
    TIMEOUT,
    Check,
    Run,
    measures,
)

EXPORT, ARCHIVE, VERIFY, LATEST = records.EXPORT, records.ARCHIVE, "verify", "latest"
_VERSION = r"\d+(?:\.\w+)+"
_NAME = re.compile(
    rf"(?:py(?P<python>3\d+)-)?(?:jax(?P<jax>{_VERSION})-(?:tf(?P<tf>{_VERSION})|(?P<writer>{EXPORT}|{ARCHIVE}))"
    rf"|tf(?P<reader>{_VERSION})-{VERIFY})",
    re.ASCII,
)
_VERIFIED = re.compile(rf"(?:{SPLIT}|{FLEET}|{ARCHIVE})-(?P<pair>jax{_VERSION}-tf{_VERSION})", re.ASCII)
WORST_FIRST = (CRASH, TIMEOUT, ERROR, FAIL, FIXED)


@dataclass(frozen=True)
class Cell:
    """One environment: a pair of releases on a Python, or one side of it; None is whatever the resolver picks.

    `role` is empty for a pair in one environment, `export` for one that writes bundles (JAX's side), `archive` for one
    that writes them to be kept, and `verify` for one that replays them (TensorFlow alone).
    """

    name: str
    python: str | None
    jax: str | None
    tensorflow: str | None
    role: str = ""

    @classmethod
    def parse(cls, name: str) -> Cell:
        """Return the cell that `name` describes, such as `py312-jax0.9.2-tf2.21.0` or `py311-jax0.9.2-export`.

        Raises:
            UsageError: it describes none.
        """
        if name == LATEST:
            return cls(name, None, None, None)
        found = _NAME.fullmatch(name)
        if not found or not all(map(is_version, filter(None, found.group("jax", "tf", "reader")))):
            raise UsageError(
                f"no cell {name!r}. Expected {LATEST}, or a name such as py312-jax0.9.2-tf2.21.0, "
                "py311-jax0.9.2-export or py312-tf2.21.0-verify."
            )
        python = f"{found['python'][0]}.{found['python'][1:]}" if found["python"] else None
        role = VERIFY if found["reader"] else found["writer"] or ""
        return cls(name, python, found["jax"], found["tf"] or found["reader"], role)

    def requested(self) -> dict[str, Any]:
        """Return what a record says of the releases that the cell names."""
        return {"jax": self.jax, "tensorflow": self.tensorflow, "python": self.python}


def is_version(text: str) -> bool:
    """Return whether `text` is a version by PEP 440."""
    try:
        return bool(Version(text))
    except InvalidVersion:
        return False


def of_record(name: str) -> Cell | None:
    """Return the cell that a record of that name is about; None where it is about none whose outcome is of interest.

    A cell that verifies leaves one for every export, such as `split-jax0.9.2-tf2.21.0`. What a cell that archives was
    good for is seen when what it archived is read.
    """
    verified = _VERIFIED.fullmatch(name)
    try:
        cell = Cell.parse(verified["pair"] if verified else name)
    except UsageError:
        return None
    return None if cell.role == ARCHIVE else cell


@dataclass(frozen=True)
class Outcome:
    """What ended of a cell: a status of `parity.records`, and the class and evidence of what called for it."""

    status: str
    failure: str
    evidence: str

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.status, self.failure, self.evidence)))


def outcome(run: Run) -> Outcome:
    """Return what ended of the cell that `run` records.

    Whatever stopped it comes first, then its worst check, then a remedy; a listed issue that failed as listed does
    not count against a cell.
    """
    if run.stopped is not None:
        return Outcome(run.stopped.status, run.stopped.failure, run.stopped.evidence)
    checks = run.all_checks()
    for status in WORST_FIRST:
        bad = [check for check in checks if check.status == status]
        if bad:
            return Outcome(status, *_reason(bad))
    if absent := _absent(run, checks):
        return Outcome(MISSING, "", absent)
    for remedy in run.remedies:
        return Outcome(REMEDIED, remedy.failure, remedy.evidence)
    return Outcome(PASS, "", "")


def _absent(run: Run, checks: list[Check]) -> str:
    """Return what of a run was not seen; empty where nothing is missing."""
    unseen = sum(check.status == MISSING for check in checks)
    if run.state != records.COMPLETE:
        return f"the run was {run.state}" + (f", {unseen:,} of {len(run.plan):,} questions not asked" if unseen else "")
    if unseen:
        return f"{unseen:,} of {len(run.plan):,} questions were not asked"
    return "" if run.compared() or run.mode == records.EXPORT else "TensorFlow answered nothing"


def _reason(bad: list[Check]) -> tuple[str, str]:
    """Class and evidence of the first check that has them; a score over the limit is `numeric`."""
    for check in bad:
        if check.failure:
            return check.failure, check.evidence or ""
    if scored := [check for check in bad if check.score is not None]:
        worst = max(scored, key=lambda check: check.score or 0.0)
        return NUMERIC, f"{worst.probe}/{worst.leaf} on {worst.runtime}: {worst.message or worst.status}"
    return UNKNOWN, bad[0].message or bad[0].status


def row(run: Run) -> dict[str, Any]:
    """Return what the atlas keeps of a run: one JSON object per cell; durations in seconds."""
    versions, environment = run.environment.get("versions", {}), run.environment
    cell = environment.get("cell", {})
    every = run.all_checks()
    ended, checks = outcome(run), [c for c in every if c.tf_device != records.NO_DEVICE]
    predicts = [c for c in checks if c.probe == "predict" and c.bits_equal is not None]
    scores = [c.score for c in checks if c.score is not None]
    prediction = environment.get("prediction") or {}
    return {
        "cell": run.cell,
        "jax": versions.get("jax") or cell.get("jax"),
        "tensorflow": versions.get("tensorflow") or cell.get("tensorflow"),
        "python": ".".join(environment.get("machine", {}).get("python", "").split(".")[:2]) or cell.get("python"),
        "mode": run.mode,
        "status": ended.status,
        "class": ended.failure or None,
        "evidence": ended.evidence or None,
        "remedy": run.remedies[0].requirement if ended.status == REMEDIED else None,
        "worst_score": max(scores, default=None),
        "bit_exact": all(c.bits_equal for c in predicts) if predicts else None,
        "predicted": prediction.get("status"),
        "predicted_class": prediction.get("failure") or None,
        "checks": len(every),
        "known": sorted({c.known_issue for c in every if c.known_issue}),
        "footprints": measures.footprints(run),
        "latency": measures.latency(run),
        "seconds": {purpose: round(seconds, 1) for purpose, seconds in run.spent_s.items()},
        "versions": {name: versions.get(name) for name in ("flax", "optax", "numpy", "keras")},
        "ended_at": run.ended_at,
    }
