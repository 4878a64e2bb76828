"""The record of one run: what was planned, what was checked, under which environment.

While a run goes on it is JSON Lines (`run.jsonl`), one event a line, flushed; at its end the events are sealed
into one `run.json` by an atomic rename. The format is `parity/schemas/run.schema.json`. Non-finite numbers are
the strings "nan", "inf" and "-inf"; times are ISO 8601 in UTC; unknown keys are ignored, a newer schema is refused.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from parity.errors import RecordError
from parity.storage import ESCAPED, output_folder, storage_error, write_atomically

SCHEMA = 1

PASS = "pass"
FAIL = "fail"
KNOWN = "known"
FIXED = "fixed"
REMEDIED = "remedied"
ERROR = "error"
CRASH = "crash"
TIMEOUT = "timeout"
MISSING = "missing"
STATUSES = (PASS, FAIL, KNOWN, FIXED, REMEDIED, ERROR, CRASH, TIMEOUT, MISSING)
IN_ORDER = (PASS, KNOWN, REMEDIED)

JOINT = "joint"
SPLIT = "split"
FLEET = "fleet"
EXPORT = "export"
MODES = (JOINT, SPLIT, FLEET, EXPORT)
"""Both frameworks in one environment; a bundle verified where JAX is not installed; the one bundle for all readers;
the writing of bundles."""

NO_DEVICE = "none"
"""Stands for the TensorFlow device of a check that is about JAX alone."""

COMPLETE = "complete"
INTERRUPTED = "interrupted"
ABORTED = "aborted"


@dataclass(frozen=True)
class Planned:
    """One item of the plan: a question that the run set out to ask."""

    item: str
    case: str
    probe: str
    runtime: str
    batch_size: int
    jax_device: str
    tf_device: str


@dataclass(frozen=True)
class Worst:
    """The element with the largest distance from the oracle: its index and its value on each side."""

    index: list[int]
    value: float
    jax: float
    oracle: float


@dataclass(frozen=True)
class Check:
    """The verdict on one leaf of one probe of one runtime.

    `score` and `jax_score` are distances from the float64 oracle in units of the leaf's budget; `max_abs_diff`,
    `max_ulp` and `bits_equal` compare with JAX's float32 answer. `failure` is a class of `parity.failures`, with its
    `evidence`; `known_issue` is the id of the listed issue that the check is an instance of.
    """

    item: str
    case: str
    probe: str
    runtime: str
    batch_size: int
    jax_device: str
    tf_device: str
    leaf: str
    status: str
    score: float | None = None
    jax_score: float | None = None
    limit: float | None = None
    limit_reason: str | None = None
    max_abs_diff: float | None = None
    max_ulp: int | None = None
    bits_equal: bool | None = None
    worst: Worst | None = None
    failure: str | None = None
    evidence: str | None = None
    known_issue: str | None = None
    message: str | None = None
    repeat: str | None = None


@dataclass(frozen=True)
class BudgetRecord:
    """The error a leaf may have, as RMS and maximum, and where the numbers come from."""

    case: str
    probe: str
    batch_size: int
    leaf: str
    rms: float
    max: float
    source: str


@dataclass(frozen=True)
class Power:
    """The smallest relative error in a weight tensor that a probe would catch; infinite where it is blind."""

    case: str
    probe: str
    batch_size: int
    weight: str
    smallest_relative_error: float


@dataclass(frozen=True)
class Curve:
    """A recorded series: `y` over `x`; `handover` is the x at which it took over from the series before."""

    case: str
    name: str
    series: str
    x_label: str
    x: list[float]
    y: list[float]
    handover: float | None = None


@dataclass(frozen=True)
class Timing:
    """A duration, in nanoseconds."""

    name: str
    median_ns: float
    rounds: int


@dataclass(frozen=True)
class Remedy:
    """The remedy under which a case was exported, and the failure of the default export that called for it.

    `requirement` is what the export was made readable by, such as `tensorflow==2.21.0`.
    """

    case: str
    requirement: str
    failure: str
    evidence: str


@dataclass(frozen=True)
class Stopped:
    """Why a run ended before its plan did, seen from outside: a status, a class of `parity.failures`, the evidence."""

    status: str
    failure: str
    evidence: str


@dataclass
class Run:
    """The record of one environment.

    `inputs` is the fingerprint of what the run was made from; `stopped` is None where it ended by itself.
    """

    cell: str
    started_at: str
    environment: dict[str, Any]
    mode: str = JOINT
    inputs: str = ""
    schema: int = SCHEMA
    state: str = ABORTED
    ended_at: str | None = None
    stopped: Stopped | None = None
    plan: list[Planned] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    budgets: list[BudgetRecord] = field(default_factory=list)
    powers: list[Power] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    remedies: list[Remedy] = field(default_factory=list)
    spent_s: dict[str, float] = field(default_factory=dict)

    def all_checks(self) -> list[Check]:
        """The checks, and one `missing` for every planned item of which nothing was seen."""
        seen = {check.item for check in self.checks}
        why = "planned, and not seen in this run"
        missing = [
            Check(**dataclasses.asdict(item), leaf="*", status=MISSING, message=why)
            for item in self.plan
            if item.item not in seen
        ]
        return self.checks + missing

    def counts(self) -> Counter[str]:
        """How many checks have each status."""
        return Counter(check.status for check in self.all_checks())

    def in_order(self) -> bool:
        """Whether the run is complete, compared TensorFlow with JAX, and found nothing out of order."""
        return self.state == COMPLETE and self.compared() and all(c.status in IN_ORDER for c in self.all_checks())

    def compared(self) -> bool:
        """Whether TensorFlow was asked for anything; without that, passing says nothing about the pair."""
        return any(check.tf_device != NO_DEVICE for check in self.all_checks())

    def verdict(self) -> str:
        """The verdict in one sentence."""
        counts = self.counts()
        total = sum(counts.values())
        bad = {s: n for s, n in counts.items() if s not in IN_ORDER}
        if not total:
            return "Nothing was checked."
        stopped = "" if self.state == COMPLETE else f" The run was {self.state}."
        if bad:
            listed = ", ".join(f"{n:,} {s}" for s, n in sorted(bad.items()))
            return f"{self._pair()} are not in order: {listed}, of {total:,} checks.{stopped}"
        if stopped:
            return f"No verdict on {self._pair()}.{stopped} {total:,} checks passed until then."
        if not self.compared():
            return f"No verdict on {self._pair()}: TensorFlow was not asked. {total:,} checks of JAX alone passed."
        return self._in_parity(total, counts[KNOWN])

    def _in_parity(self, total: int, known: int) -> str:
        passed = f"{total - known:,} checks passed, {known:,} failed as listed in the known issues"
        passed = passed if known else f"all {total:,} checks passed"
        if not self.remedies:
            return f"{self._pair()} are in parity: {passed}."
        first = self.remedies[0]
        return (
            f"{self._pair()} are in parity with a remedy: {passed}. As exported by default they are not: "
            f"{first.failure}, {first.evidence}. Export under "
            f'parity.remedies.readable_by("{first.requirement}").'
        )

    def _pair(self) -> str:
        versions = self.environment.get("versions", {})
        jax, tf = (versions.get(name) or "(not installed)" for name in ("jax", "tensorflow"))
        return f"JAX {jax} and TensorFlow {tf}"


EVENTS: dict[str, tuple[str, type]] = {
    "planned": ("plan", Planned),
    "check": ("checks", Check),
    "budget": ("budgets", BudgetRecord),
    "power": ("powers", Power),
    "curve": ("curves", Curve),
    "timing": ("timings", Timing),
    "remedy": ("remedies", Remedy),
}
_KINDS = {cls: kind for kind, (_, cls) in EVENTS.items()}
Event = Planned | Check | BudgetRecord | Power | Curve | Timing | Remedy


def append(run: Run, event: Event) -> str:
    """Append `event` to `run`; returns its kind."""
    kind = _KINDS[type(event)]
    getattr(run, EVENTS[kind][0]).append(event)
    return kind


def now() -> str:
    """The time in ISO 8601, UTC, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(value: Any) -> Any:
    """`value` as JSON data: dataclasses as objects, non-finite floats as "nan", "inf" and "-inf"."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): encode(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value


_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def _decode(cls: Any, data: Any) -> Any:
    if not isinstance(data, dict):
        raise TypeError(f"expected an object for {cls.__name__}, got {type(data).__name__}")
    known = {}
    for f in dataclasses.fields(cls):
        if f.name not in data:
            continue
        value = data[f.name]
        if "float" in str(f.type):
            value = [_number(v) for v in value] if isinstance(value, list) else _number(value)
        elif f.name == "worst" and value is not None:
            value = _decode(Worst, value)
        known[f.name] = value
    return cls(**known)


def _number(value: Any) -> Any:
    if isinstance(value, str) and value not in _NON_FINITE:
        raise TypeError(f"expected a number, got {value!r}")
    return _NON_FINITE[value] if isinstance(value, str) else value


def _dumps(value: Any) -> str:
    return json.dumps(encode(value), allow_nan=False, ensure_ascii=False)


class Recorder:
    """Streams a run's events to `folder/run.jsonl`, and seals them into `folder/run.json`.

    An abort loses at most the check in flight: `read` takes the `run.jsonl` that it leaves.

    Raises:
        UsageError: `folder` is a file.
        StorageError: a write failed. Events go on being kept in memory.
    """

    def __init__(self, folder: Path, run: Run) -> None:
        self.run = run
        self.path = output_folder(folder) / "run.json"
        self._lines_path = folder / "run.jsonl"
        try:
            self._lines: IO[str] | None = self._lines_path.open("w", encoding="utf-8", errors=ESCAPED)
        except OSError as error:
            raise storage_error(self._lines_path, error) from error
        head = {k: getattr(run, k) for k in ("schema", "cell", "mode", "inputs", "started_at", "environment")}
        self._write({"event": "start", **head})
        try:
            self.path.unlink(missing_ok=True)  # only now that the new record can be written
        except OSError as error:
            raise storage_error(self.path, error) from error

    def add(self, event: Event) -> None:
        """Append `event` to the record and flush it to disk."""
        self._write({"event": append(self.run, event), **encode(event)})

    def seal(self, state: str, spent_s: dict[str, float]) -> Path:
        """Write `run.json` and remove `run.jsonl`; returns the path of the sealed record."""
        self.run.state, self.run.spent_s, self.run.ended_at = state, spent_s, now()
        if self._lines is not None:
            self._lines.close()
        return seal(self.path.parent, self.run)

    def _write(self, data: dict[str, Any]) -> None:
        if self._lines is None:
            return
        try:
            self._lines.write(_dumps(data) + "\n")
            self._lines.flush()
        except OSError as error:
            self._abandon()
            raise storage_error(self._lines_path, error) from error

    def _abandon(self) -> None:
        lines, self._lines = self._lines, None
        try:
            if lines is not None:
                lines.close()
        except OSError:
            pass  # the same failure again, already being reported


def dumps(run: Run) -> str:
    """`run` as the text of a `run.json`: one line per check, so that records can be diffed."""
    parts = []
    for name, value in encode(run).items():
        if isinstance(value, list) and value:
            rows = ",\n  ".join(json.dumps(v, allow_nan=False, ensure_ascii=False) for v in value)
            parts.append(f"{json.dumps(name)}: [\n  {rows}\n]")
        else:
            parts.append(f"{json.dumps(name)}: {json.dumps(value, allow_nan=False, ensure_ascii=False)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def seal(folder: Path, run: Run) -> Path:
    """Write `run` as the sealed record in `folder`, in place of what is there; returns its path."""
    path = output_folder(folder) / "run.json"
    write_atomically(path, dumps(run))
    (folder / "run.jsonl").unlink(missing_ok=True)
    return path


def read(path: Path) -> Run:
    """The run recorded in `path`: a `run.json`, an unsealed `run.jsonl`, or a folder with either.

    Raises:
        RecordError: there is none, it is cut off, it is not a run record, or its schema is newer.
    """
    if path.is_dir():
        sealed, lines = path / "run.json", path / "run.jsonl"
        path = lines if lines.exists() and not sealed.exists() else sealed
    try:
        data = path.read_bytes()
        if path.suffix == ".jsonl":
            data = data[: data.rfind(b"\n") + 1]  # without the event in flight when the run was cut off
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(
            f"cannot read the record {path}: {error}. Expected a run.json; write one with parity run."
        ) from None
    try:
        return _from_lines(text, path) if path.suffix == ".jsonl" else _from_object(json.loads(text), path)
    except json.JSONDecodeError as error:
        raise RecordError(
            f"{path} is cut off or not JSON (line {error.lineno}, column {error.colno}). "
            "Expected a sealed run record; run it again."
        ) from None
    except (TypeError, KeyError, AttributeError) as error:
        raise RecordError(f"{path} is not a run record: {error}. Expected the keys of run.schema.json.") from None


def _refuse_newer(data: Any, path: Path) -> None:
    schema = data.get("schema") if isinstance(data, dict) else None
    if not isinstance(schema, int):
        raise RecordError(f"{path} is not a run record: it has no integer 'schema'.")
    if schema > SCHEMA:
        raise RecordError(f"{path} has schema {schema}; this parity reads up to {SCHEMA}. Upgrade parity to read it.")


def _begun(data: Any) -> Run:
    if not isinstance(data["environment"], dict):
        raise TypeError("its environment is not an object")
    begun = Run(cell=data["cell"], started_at=data["started_at"], environment=data["environment"])
    begun.mode, begun.inputs = data.get("mode", JOINT), data.get("inputs", "")
    return begun


def _from_object(data: Any, path: Path) -> Run:
    _refuse_newer(data, path)
    run = _begun(data)
    for name in ("schema", "state", "ended_at"):
        setattr(run, name, data[name])
    run.spent_s = {k: _number(v) for k, v in data.get("spent_s", {}).items()}
    run.stopped = _decode(Stopped, data["stopped"]) if data.get("stopped") else None
    for name, cls in EVENTS.values():
        getattr(run, name).extend(_decode(cls, row) for row in data.get(name, []))
    return run


def _from_lines(text: str, path: Path) -> Run:
    lines = text.split("\n")[:-1]  # str.splitlines also splits at what JSON may hold in a string
    if not lines:
        raise RecordError(f"{path} is empty: the run ended before it began. Run it again.")
    head = json.loads(lines[0])
    _refuse_newer(head, path)
    run = _begun(head)
    for line in lines[1:]:
        data = json.loads(line)
        if data.get("event") in EVENTS:
            name, cls = EVENTS[data["event"]]
            getattr(run, name).append(_decode(cls, data))
    return run
