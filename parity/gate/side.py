"""One side of a comparison: a run record, or a baseline, indexed as the gate looks things up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from parity.core.errors import RecordError
from parity.core.text import one_line
from parity.gate.baseline_file import BaselineFile
from parity.records import Check, Deprecation, Footprint, Machine, PlanItem, Remedy, Run, Stopped, Timing, files
from parity.records.levels import FULL, LEVELS
from parity.records.rows import Place
from parity.records.statuses import ANSWERED, COMPLETE, NO_DEVICE, State

PAIR = ("jax", "tensorflow")
PACKAGES = (*PAIR, "flax", "optax", "keras", "numpy")
"""Whose versions a verdict names."""

_ITEM, _KEY = attrgetter("item"), attrgetter("item", "leaf")


class Side(msgspec.Struct, gc=False):
    """One side of a comparison.

    Attributes:
        source: name of the file, safe to print.
        cell: name of the environment.
        mode: one of `records.MODES`.
        versions: by the names in `PACKAGES`.
        places: by item.
        checks: by item and leaf; a planned item without a check is among them as `missing`.
        powers: smallest relative error, by case, probe, batch size and weight.
        budgets: RMS and maximum, by case, probe, batch size and leaf.
        timings: by what was timed.
        footprints: by case and runtime.
        remedies: of cases that were exported under one.
        deprecations: None where the record does not keep them.
        state: one of `records.STATES`.
        stopped: what stopped the run from outside.
        started_at: None for a baseline.
        machine: empty for a baseline.
        level: one of `records.LEVELS`.
        levels: by case, probe and batch size, the lowest level that measures it, of a baseline; a run has its plan.
    """

    source: str
    cell: str
    mode: str
    versions: dict[str, str | None]
    places: Mapping[str, Place]
    checks: dict[tuple[str, str], Check]
    powers: dict[tuple[str, str, int, str], float]
    budgets: dict[tuple[str, str, int, str], tuple[float, float]]
    timings: dict[str, Timing]
    footprints: dict[tuple[str, str], Footprint]
    remedies: list[Remedy]
    deprecations: set[Deprecation] | None
    state: str = COMPLETE
    stopped: Stopped | None = None
    started_at: str | None = None
    machine: Machine = {}
    level: str = FULL
    levels: Mapping[tuple[str, str, int], str] = {}

    @property
    def name(self) -> str:
        """The cell, safe to print."""
        return one_line(self.cell)

    def level_of(self, item: str) -> str:
        """Return the lowest level that has an item; what is not in the plan belongs to the highest alone."""
        return getattr(self.places[item], "level", FULL)

    def measure_levels(self) -> Mapping[tuple[str, str, int], str]:
        """Return by case, probe and batch size the lowest level that measures powers and budgets there."""
        found = dict.fromkeys((key[:3] for key in (*self.budgets, *self.powers)), FULL)
        for item, place in self.places.items():
            key = (place.case, place.probe, place.batch_size)
            if key in found:
                found[key] = min(found[key], self.level_of(item), key=LEVELS.index)
        return {**found, **self.levels}

    def complete(self) -> bool:
        """Return whether the run ended by itself."""
        return self.state == COMPLETE and self.stopped is None

    def names(self) -> set[tuple[str, str, str]]:
        """Return case, probe and runtime of everything in it; a power belongs to no runtime."""
        return {
            *((place.case, place.probe, place.runtime) for place in self.places.values()),
            *((timing.case, "latency", timing.runtime) for timing in self.timings.values()),
            *((case, probe, "") for case, probe, *_ in self.powers),
        }

    def compared(self) -> bool:
        """Return whether TensorFlow answered anything, as `records.Run.compared` does."""
        places = self.places
        return any(c.status in ANSWERED and places[c.item].tf_device != NO_DEVICE for c in self.checks.values())


_READ = ("item", "leaf", "status", "score", "limit", "bits_equal", "failure", "evidence", "message")
"""What is read of each check; its place is in the plan. All of it would take half as long again."""
_CHECK = msgspec.defstruct(
    "_Check",
    [(field.name, field.type, field.default) for field in msgspec.structs.fields(Check) if field.name in _READ],
    frozen=True, gc=False, kw_only=True,
)  # fmt: skip
_REQUIRED: list[tuple[str, Any]] = [("state", State), ("plan", list[PlanItem]), ("checks", list[_CHECK])]  # type: ignore[valid-type]
_RUN = msgspec.defstruct("_Run", _REQUIRED, bases=(Run,), kw_only=True)


def read(path: Path) -> Side:
    """Return the side recorded in `path`: a `run.json`, an unsealed `run.jsonl`, a folder with either, or a baseline.

    Raises:
        RecordError: there is none, it is cut off, altered, has a row twice, or its schema is newer.
    """
    path = files.locate(Path(path))
    name = one_line(str(path), 400)
    if path.suffix == ".jsonl":
        return from_run(files.read(path), name)
    return parse(files.contents(path, name), name)


def parse(data: files.Buffer, name: str) -> Side:
    """Return the side that the bytes of a record or baseline hold; `name` is their name in errors, as of `read`."""
    # A run record names no kind; where one looks like a baseline all the same, decoding it as such tells.
    if re.search(rb'"kind"\s*:\s*"baseline"', data[:500]):
        return _from_baseline(files.decode(data, BaselineFile, name), name)
    run: Run = files.decode(data, _RUN, name)  # type: ignore[assignment]
    if not set(map(_ITEM, run.checks)) <= set(map(_ITEM, run.plan)):
        run = files.decode(data, Run, name)  # what was checked without a plan names its place itself
    return from_run(run, name)


def from_run(run: Run, name: str) -> Side:
    """Return `run` as a side.

    Raises:
        RecordError: it has a row twice.
    """
    places: dict[str, Place] = {place.item: place for place in run.plan}
    if len(places) < len(run.plan):
        raise _twice(name, "item", [place.item for place in run.plan])
    found = run.all_checks()
    checks = dict(zip(map(_KEY, found), found, strict=True))
    if len(checks) < len(found):
        raise _twice(name, "check", list(map(_KEY, found)))
    if not set(map(_ITEM, found)) <= places.keys():
        places |= {check.item: check for check in found if check.item not in places}
    powers = {(p.case, p.probe, p.batch_size, p.weight): p.smallest_relative_error for p in run.powers}
    budgets = {(b.case, b.probe, b.batch_size, b.leaf): (b.rms, b.max) for b in run.budgets}
    timings = {timing.name: timing for timing in run.timings}
    footprints = {(footprint.case, footprint.runtime): footprint for footprint in run.footprints}
    for what, rows, kept, parts in (
        ("power", run.powers, powers, 4), ("budget", run.budgets, budgets, 4), ("timing", run.timings, timings, 5),
        ("footprint", run.footprints, footprints, 2),
    ):  # fmt: skip
        if len(kept) < len(rows):
            raise _twice(name, what, [msgspec.structs.astuple(row)[:parts] for row in rows])
    environment = run.environment
    versions, requested = environment.get("versions", {}), environment.get("cell", {})
    return Side(
        source=name, cell=run.cell, mode=run.mode,
        versions={package: versions.get(package) or requested.get(package) for package in PACKAGES},
        places=places, checks=checks, powers=powers, budgets=budgets, timings=timings, footprints=footprints,
        remedies=run.remedies, deprecations=None if run.deprecations is None else set(run.deprecations),
        state=run.state, stopped=run.stopped, started_at=run.started_at, machine=environment.get("machine", {}),
        level=run.level,
    )  # fmt: skip


def _from_baseline(file: BaselineFile, name: str) -> Side:
    checks = [
        row.check(leaf=leaf, status=status, score=score)
        for row in file.items
        for status, leaves in row.leaves.items()
        for leaf, score in leaves.items()
    ]
    keyed = dict(zip(map(_KEY, checks), checks, strict=True))
    if len(keyed) < len(checks):
        raise _twice(name, "check", list(map(_KEY, checks)))
    measures = [((row.case, row.probe, row.batch_size), row) for row in file.measures]
    if len({key for key, _ in measures}) < len(measures):
        raise _twice(name, "line of measures", [key for key, _ in measures])
    return Side(
        source=name, cell=file.cell, mode=file.mode, versions=file.versions,
        places={row.item: row.place() for row in file.items},
        checks=keyed,
        powers={(*key, weight): error for key, row in measures for weight, error in row.powers.items()},
        budgets={(*key, leaf): budget for key, row in measures for leaf, budget in row.budgets.items()},
        timings={}, footprints={}, remedies=file.remedies,
        deprecations=None if file.deprecations is None else set(file.deprecations),
        level=file.level, levels={key: row.level for key, row in measures},
    )  # fmt: skip


def _twice(name: str, what: str, keys: list[Any]) -> RecordError:
    [(key, count), *_] = Counter(keys).most_common(1)
    text = " ".join(map(str, key)) if isinstance(key, tuple) else str(key)
    return RecordError(
        f"{name} has the {what} {one_line(text)} {count} times. Expected it once; the record was altered or joined "
        "by hand, make it again."
    )
