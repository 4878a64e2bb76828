"""The record of one run: what was planned, what was checked, under which environment.

A run comes in as events (`Recorder.add`), and goes out as files. While the run goes on its record is JSON Lines
(`run.jsonl`), one event a line, flushed; at its end the events are sealed into one `run.json` by an atomic rename. The
structs here are the format: `run.schema.json` is generated from them. Non-finite numbers are the texts "nan", "inf"
and "-inf"; times are ISO 8601 in UTC; unknown keys are ignored; an older schema is upgraded, a newer one refused.
"""

# ruff: noqa: F401 - these are the names of the room
from parity.records.files import Recorder, begin, dumps, now, read, seal
from parity.records.levels import FULL, LEVELS, QUICK, STANDARD
from parity.records.numbers import encode, number
from parity.records.rows import (
    BudgetRecord,
    Check,
    Curve,
    Deprecation,
    Footprint,
    HandoverCost,
    PlanItem,
    Power,
    Profile,
    Program,
    Remedy,
    Stopped,
    Timing,
    Worst,
)
from parity.records.run import EVENTS, Environment, Event, Machine, Run, append
from parity.records.statuses import (
    ABORTED,
    ANSWERED,
    ARCHIVE,
    COMPLETE,
    CRASH,
    ERROR,
    EXPORT,
    FAIL,
    FIXED,
    FLEET,
    IN_ORDER,
    INTERRUPTED,
    JOINT,
    KNOWN,
    MISSING,
    MODES,
    NO_DEVICE,
    NOUNS,
    PASS,
    REMEDIED,
    SCHEMA,
    SPLIT,
    STATES,
    STATUSES,
    TIMEOUT,
    WHOLE,
    WHOLE_AGAIN,
)
