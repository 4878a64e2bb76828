"""Records as files: streamed while a run goes on, sealed at its end, and read."""

from __future__ import annotations

import json
import mmap
import re
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from parity.core.errors import RecordError
from parity.core.storage import ESCAPED, output_folder, storage_error, write_atomically
from parity.core.text import one_line
from parity.records import schema_1
from parity.records.numbers import encode, rows_text
from parity.records.run import EVENTS, Event, Run, append
from parity.records.statuses import SCHEMA

SEALED, STREAM = "run.json", "run.jsonl"
PREVIOUS = {SEALED: "run.previous.json", STREAM: "run.previous.jsonl"}
"""Where the record of the run before lies until the next one is sealed."""
PAGE, PREVIOUS_PAGE = "index.html", "index.previous.html"
"""The page of a record goes where the record goes; it is written after the record is sealed."""
T = TypeVar("T")
Buffer = bytes | mmap.mmap
_HEAD = ("schema", "cell", "level", "mode", "inputs", "started_at", "environment")
_MALFORMED = (msgspec.MsgspecError, ValueError, RecursionError)


def now() -> str:
    """Return the time in ISO 8601, UTC, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def begin(folder: Path) -> None:
    """Move the record that `folder` holds and its page aside, before a run that will write there starts.

    They become `run.previous.json` and `index.previous.html`. A run can end before its plan, and then writes no record:
    the old one must not be taken for its own.

    Raises:
        UsageError: `folder` is a file.
        StorageError: the record cannot be moved.
    """
    for name, previous in (*PREVIOUS.items(), (PAGE, PREVIOUS_PAGE)):
        path = output_folder(folder) / name
        try:
            if path.exists():
                path.replace(folder / previous)
        except OSError as error:
            raise storage_error(path, error) from error


class Recorder:
    """Streams a run's events to `folder/run.jsonl`, and seals them into `folder/run.json`.

    An abort loses at most the check in flight: `read` takes the `run.jsonl` that it leaves.

    Raises:
        UsageError: `folder` is a file.
        StorageError: a write failed. Events go on being kept in memory.
    """

    def __init__(self, folder: Path, run: Run) -> None:
        self.run = run
        self.path = output_folder(folder) / SEALED
        self._lines_path = folder / STREAM
        try:
            self._lines: IO[str] | None = self._lines_path.open("w", encoding="utf-8", errors=ESCAPED)
        except OSError as error:
            raise storage_error(self._lines_path, error) from error
        self._write({"event": "start", **{name: getattr(run, name) for name in _HEAD}})
        try:
            self.path.unlink(missing_ok=True)  # only now that the new record can be written
        except OSError as error:
            raise storage_error(self.path, error) from error

    def add(self, event: Event) -> None:
        """Append `event` to the record and flush it to disk."""
        self._write({"event": append(self.run, event), **encode(event)})

    def seal(self, state: str, spent_s: dict[str, float]) -> Path:
        """Write `run.json` and remove `run.jsonl`; return the path of the sealed record."""
        self.run.state, self.run.spent_s, self.run.ended_at = state, dict(spent_s), now()
        if self._lines is not None:
            self._lines.close()
        return seal(self.path.parent, self.run)

    def _write(self, data: dict[str, Any]) -> None:
        if self._lines is None:
            return
        try:
            self._lines.write(json.dumps(encode(data), allow_nan=False, ensure_ascii=False) + "\n")
            self._lines.flush()
        except OSError as error:
            self._abandon()
            raise storage_error(self._lines_path, error) from error

    def _abandon(self) -> None:
        lines, self._lines = self._lines, None
        with suppress(OSError):  # the same failure again, already being reported
            if lines is not None:
                lines.close()


def dumps(run: Run) -> str:
    """Return `run` as the text of a `run.json`: its schema first, and a row on each line, so that it can be diffed."""
    return rows_text({"schema": run.schema, **encode(run)}, ensure_ascii=False)


def seal(folder: Path, run: Run) -> Path:
    """Write `run` as the sealed record in `folder`, in place of what is there, without a page; return its path."""
    path = output_folder(folder) / SEALED
    write_atomically(path, dumps(run))
    for name in (STREAM, PAGE, PREVIOUS_PAGE, *PREVIOUS.values()):
        (folder / name).unlink(missing_ok=True)
    return path


def locate(path: Path) -> Path:
    """Return the file to read: in a folder `run.json`, or the `run.jsonl` of an unsealed run if that is the later run.

    A stream without a start is that of a run which ended before it began; nothing older may stand for it.
    """
    if not path.is_dir():
        return path
    sealed, stream = path / SEALED, path / STREAM
    if not stream.exists():
        return sealed
    started = _started(stream)
    return stream if not started or not sealed.exists() or started > _started(sealed) else sealed


def _started(path: Path) -> bytes:
    """Return when the run recorded in `path` began, as it is written: times in ISO 8601 sort as texts."""
    try:
        with path.open("rb") as file:
            found = re.search(rb'"started_at"\s*:\s*"([^"]*)"', file.read(1 << 16))
    except OSError:
        return b""
    return found[1] if found else b""


def read(path: Path) -> Run:
    """Return the run recorded in `path`: a `run.json`, an unsealed `run.jsonl`, or a folder with either.

    Raises:
        RecordError: there is none, it is cut off, it is not a run record, or its schema is newer.
    """
    path = locate(Path(path))
    name = one_line(str(path), 400)
    data = contents(path, name)
    return _from_lines(bytes(data), name) if path.suffix == ".jsonl" else decode(data, Run, name)


def contents(path: Path, name: str) -> Buffer:
    """Return the bytes of `path`, mapped and not copied: records are replaced by a rename and never changed in place.

    Raises:
        RecordError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            try:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError):  # a pipe, or empty
                return file.read()
    except OSError as error:
        previous = [other for other in PREVIOUS.values() if path.with_name(other).exists()]
        if previous:
            raise RecordError(
                f"cannot read {name}: the last run into that folder ended before its plan. Expected a run to its end: "
                f"run it again. The record of the run before is {previous[0]}."
            ) from None
        raise RecordError(
            f"cannot read {name}: {error.strerror or type(error).__name__}. Expected a run.json or a baseline; "
            "write them with parity run and parity baseline accept."
        ) from None
    except ValueError as error:  # a null byte in the path
        raise RecordError(f"cannot read {name}: {one_line(str(error))}. Expected a run.json or a baseline.") from None


def decode(data: Buffer, kind: type[T], name: str) -> T:
    """Return the `kind` that the bytes of a record or baseline hold; one of schema 1 is upgraded.

    `name` is that of the file, in errors.

    Raises:
        RecordError: it is cut off, something else, or its schema is newer.
    """
    try:
        schema = _schema(data)
    except _MALFORMED as error:
        raise _damaged(name, error) from None
    if schema > SCHEMA:
        raise _newer(name, schema)
    if schema < 1:
        raise RecordError(f"{name} has schema {schema}; expected 1 to {SCHEMA}. It was altered: make it again.")
    try:
        if schema == SCHEMA:
            return _json(data, kind)
        return msgspec.convert(schema_1.upgrade(_objects(data)), kind)
    except (*_MALFORMED, KeyError, TypeError, AttributeError) as error:
        raise _damaged(name, error) from None


class _Head(msgspec.Struct):
    schema: int


def _schema(data: Buffer) -> int:
    """Return the schema, which stands at the beginning of what is written today."""
    if found := re.match(rb'\s*\{\s*"schema"\s*:\s*(\d{1,9})\s*[,}]', data):
        return int(found[1])
    return _json(data, _Head).schema


def _json(data: Buffer, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError:
        # A file name that is not UTF-8 is recorded as half of a surrogate pair, which msgspec refuses and json reads.
        if not re.search(rb"\\u[dD][89a-fA-F]", data):
            raise
        return msgspec.convert(_objects(data), type=kind)


def _objects(data: Buffer) -> Any:
    return json.loads(bytes(data), parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _from_lines(data: bytes, name: str) -> Run:
    """Return the run of a stream, without the event that was being written when the run was cut off."""
    lines = data.split(b"\n")[:-1]
    if not lines:
        raise RecordError(f"{name} is empty: the run ended before it began. Run it again.")
    head, old, run = {}, False, None
    for number, line in enumerate(lines, 1):
        try:
            row = _objects(line)
            if run is None:
                if (schema := row["schema"]) > SCHEMA:
                    raise _newer(name, schema)
                old, head = schema < SCHEMA, {key: row[key] for key in _HEAD if key in row}
                run = msgspec.convert({**head, "schema": SCHEMA}, Run)
                continue
            kind = row["event"]
            if old:
                kind, row = schema_1.upgrade_event(kind, row)
            if kind in EVENTS:
                field, struct = EVENTS[kind]
                getattr(run, field).append(msgspec.convert(row, struct))
        except (*_MALFORMED, KeyError, TypeError, AttributeError) as error:
            raise _damaged(f"line {number} of {name}", error) from None
    assert run is not None
    return run


def _newer(name: str, schema: int) -> RecordError:
    return RecordError(f"{name} has schema {schema}; this parity reads up to {SCHEMA}. Upgrade parity to read it.")


def _damaged(name: str, error: Exception) -> RecordError:
    reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
    return RecordError(
        f"{name} is cut off or altered: {one_line(reason, 200)}. Expected a run record or a baseline as parity writes "
        "it; make it again."
    )
