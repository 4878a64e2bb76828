"""What the gate compares: a run record, or a baseline, as far as a verdict needs it."""

from __future__ import annotations

import mmap
import re
from collections import Counter
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from parity.core.errors import NotComparableError, RecordError
from parity.core.storage import ESCAPED
from parity.gate.text import one_line
from parity.gate.views import (
    BASELINE_SCHEMA,
    PACKAGES,
    BaselineView,
    Check,
    Deprecation,
    Footprint,
    Head,
    Machine,
    Place,
    Places,
    Remedy,
    RunView,
    Stopped,
    Timing,
)
from parity.records.vocabulary import ANSWERED, COMPLETE, NO_DEVICE, SCHEMA

T = TypeVar("T")
Buffer = bytes | mmap.mmap
_ITEM, _KEY = attrgetter("item"), attrgetter("item", "leaf")
_MALFORMED = (msgspec.MsgspecError, ValueError, RecursionError)


class Standing(msgspec.Struct, gc=False):
    """One side of a comparison. `started_at` and `machine` are None for a baseline, `deprecations` where not recorded.

    `checks` are by item and leaf, a planned item of which nothing was seen among them as `missing`; `places` by item.
    """

    source: str
    cell: str
    mode: str
    versions: dict[str, str | None]
    places: dict[str, Place]
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
    machine: Machine | None = None

    @property
    def name(self) -> str:
        """The cell, safe to print."""
        return one_line(self.cell)

    def compared(self) -> bool:
        """Whether TensorFlow answered anything, as `records.Run.compared` has it."""
        places = self.places
        return any(c.status in ANSWERED and places[c.item].tf_device != NO_DEVICE for c in self.checks.values())


def read(path: Path) -> Standing:
    """The standing recorded in `path`: a `run.json`, an unsealed `run.jsonl`, a folder with either, or a baseline.

    Raises:
        RecordError: there is none, it is cut off, altered, has a row twice, or its schema is newer.
        NotComparableError: its schema is older.
    """
    path = Path(path)
    if path.is_dir():
        sealed, lines = path / "run.json", path / "run.jsonl"
        path = lines if lines.exists() and not sealed.exists() else sealed
    said = one_line(str(path), 400)
    try:
        data = _sealed(path) if path.suffix == ".jsonl" else _mapped(path)
    except OSError as error:
        raise RecordError(
            f"cannot read {said}: {error.strerror or type(error).__name__}. Expected a run.json or a baseline; "
            "write them with parity run and parity baseline accept."
        ) from None
    except (ValueError, RecursionError) as error:  # a null byte in the path, a text that is none
        raise RecordError(f"cannot read {said}: {one_line(str(error))}. Expected a run.json or a baseline.") from None
    return parse(data, said)


def _mapped(path: Path) -> Buffer:
    """The bytes of `path`, not copied: records are replaced by a rename and never changed in place."""
    with path.open("rb") as file:
        try:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # a pipe, or empty
            return file.read()


def _sealed(path: Path) -> bytes:
    """The record that the events in `path` would be sealed into."""
    from parity import records

    return records.dumps(records.read(path)).encode("utf-8", ESCAPED)


def parse(data: Buffer, said: str) -> Standing:
    """The standing that the bytes of a record or baseline hold; `said` is their name in errors, which are `read`'s."""
    # A run record names no kind; where one looks like a baseline all the same, decoding it as such tells.
    if re.search(rb'"kind"\s*:\s*"baseline"', data[:500]):
        baseline = _decode(data, BaselineView, said, BASELINE_SCHEMA)
        return _of_baseline(baseline, said)
    return _of_run(_decode(data, RunView, said, SCHEMA), data, said)


def _decode(data: Buffer, kind: type[T], said: str, schema: int) -> T:
    """`data` as a `kind`, if its schema is `schema`.

    A schema of another number is told before anything else, because its keys may be others.
    """
    view, reason = None, ""
    try:
        view = _json(data, kind)
        found = view.schema  # type: ignore[attr-defined]
    except _MALFORMED as error:
        reason = one_line(str(error), 200)
        try:
            found = _json(data, Head).schema
        except _MALFORMED:
            found = schema
    if found > schema:
        raise RecordError(f"{said} has schema {found}; this parity reads up to {schema}. Upgrade parity to read it.")
    if found < schema:
        raise NotComparableError(
            f"{said} has schema {found}; this parity compares schema {schema}. Make it again with this parity."
        )
    if view is None:
        raise RecordError(
            f"{said} is cut off or altered: {reason}. Expected a sealed run record or a baseline; make it again."
        )
    return view


def _json(data: Buffer, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError:
        # A file name that is not UTF-8 is recorded as half of a surrogate pair, which msgspec refuses and json reads.
        if not re.search(rb"\\u[dD][89a-fA-F]", data):
            raise
        import json

        return msgspec.convert(json.loads(bytes(data), parse_constant=_no_constant), type=kind)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _of_run(run: RunView, data: Buffer, said: str) -> Standing:
    places = {place.item: place for place in run.plan}
    if len(places) < len(run.plan):
        raise _twice(said, "item", [place.item for place in run.plan])
    checks = dict(zip(map(_KEY, run.checks), run.checks, strict=True))
    if len(checks) < len(run.checks):
        raise _twice(said, "check", [(check.item, check.leaf) for check in run.checks])
    seen = set(map(_ITEM, run.checks))
    if not seen <= places.keys():
        places |= {place.item: place for place in _decode_places(data, said) if place.item not in places}
    why = "planned, and not seen in this run"
    checks |= {(item, "*"): Check(item, "*", "missing", message=why) for item in places.keys() - seen}
    versions = {name: run.environment.versions.get(name) or run.environment.cell.get(name) for name in PACKAGES}
    powers = {(p.case, p.probe, p.batch_size, p.weight): float(p.smallest_relative_error) for p in run.powers}
    budgets = {(b.case, b.probe, b.batch_size, b.leaf): (float(b.rms), float(b.max)) for b in run.budgets}
    timings = {timing.name: timing for timing in run.timings}
    footprints = {(footprint.case, footprint.runtime): footprint for footprint in run.footprints}
    for what, rows, kept in (("power", run.powers, powers), ("budget", run.budgets, budgets)):
        if len(kept) < len(rows):  # type: ignore[arg-type]
            raise _twice(said, what, [msgspec.structs.astuple(row)[:4] for row in rows])  # type: ignore[attr-defined]
    if len(timings) < len(run.timings):
        raise _twice(said, "timing", [timing.name for timing in run.timings])
    if len(footprints) < len(run.footprints):
        raise _twice(said, "footprint", [(footprint.case, footprint.runtime) for footprint in run.footprints])
    return Standing(
        source=said, cell=run.cell, mode=run.mode, versions=versions, places=places, checks=checks, powers=powers,
        budgets=budgets, timings=timings, footprints=footprints, remedies=run.remedies,
        deprecations=None if run.deprecations is None else set(run.deprecations),
        state=run.state, stopped=run.stopped, started_at=run.started_at, machine=run.environment.machine,
    )  # fmt: skip


def _decode_places(data: Buffer, said: str) -> list[Place]:
    try:
        return _json(data, Places).checks
    except _MALFORMED as error:
        raise RecordError(f"{said} has checks that it did not plan: {one_line(str(error), 200)}.") from None


def _of_baseline(view: BaselineView, said: str) -> Standing:
    checks = [
        Check(question.item, leaf, status, score, question.limit)
        for question in view.questions
        for status, leaves in question.leaves.items()
        for leaf, score in leaves.items()
    ]
    keyed = {(check.item, check.leaf): check for check in checks}
    if len(keyed) < len(checks):
        raise _twice(said, "check", [(check.item, check.leaf) for check in checks])
    of = [((r.case, r.probe, r.batch_size), r) for r in view.rulers]
    if len({key for key, _ in of}) < len(of):
        raise _twice(said, "ruler", [key for key, _ in of])
    return Standing(
        source=said, cell=view.cell, mode=view.mode, versions=view.versions,
        places={q.item: Place(q.item, q.case, q.probe, q.runtime, q.tf_device) for q in view.questions},
        checks=keyed,
        powers={(*key, weight): float(error) for key, r in of for weight, error in r.powers.items()},
        budgets={(*key, leaf): (float(rms), float(most)) for key, r in of for leaf, (rms, most) in r.budgets.items()},
        timings={}, footprints={}, remedies=view.remedies,
        deprecations=None if view.deprecations is None else set(view.deprecations),
    )  # fmt: skip


def _twice(said: str, what: str, keys: list[Any]) -> RecordError:
    [(key, count), *_] = Counter(keys).most_common(1)
    name = " ".join(map(str, key)) if isinstance(key, tuple) else str(key)
    return RecordError(
        f"{said} has the {what} {one_line(name)} {count} times. Expected it once; the record was altered or joined "
        "by hand, make it again."
    )
