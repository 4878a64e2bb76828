"""Records as files: streamed while a run goes on, sealed at its end, and read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any

from parity.core.errors import RecordError
from parity.core.storage import ESCAPED, output_folder, storage_error, write_atomically
from parity.records.codec import decode, dumps, encode, now, number
from parity.records.run import EVENTS, JOINT, SCHEMA, Event, Run, Stopped, append


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
            self._lines.write(json.dumps(encode(data), allow_nan=False, ensure_ascii=False) + "\n")
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
    run.spent_s = {k: number(v) for k, v in data.get("spent_s", {}).items()}
    run.stopped = decode(Stopped, data["stopped"]) if data.get("stopped") else None
    for name, cls in EVENTS.values():
        getattr(run, name).extend(decode(cls, row) for row in data.get(name, []))
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
            getattr(run, name).append(decode(cls, data))
    return run
