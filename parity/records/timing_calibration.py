"""What the study of the latency measurement promises and says; `parity.studies.timing` measures it.

A step is measured against itself in another process, with a planted slowdown and without, on the machine as it is and
on a loaded one. Beside it stands what pytest-benchmark's comparison of plain means makes of up to as many rounds, those
that fit into `parity.studies.timing.measuring.PLAIN_S`, first all of one side and then all of the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import msgspec

from parity.core.storage import write_atomically
from parity.records.numbers import rows_text
from parity.records.published import as_study

DATA = "timing-calibration.json"
SCHEMA = 1
COMMAND = "tox run -e timing"

TRIALS = 100
"""Of every slowdown and load, in a study that counts."""
SHARE = 0.95
"""Of them, that hold."""
HALF_WIDTH = 0.05
"""The most that the interval of a step against itself may reach to each side, where the step takes over `LONG_NS`."""
LONG_NS = 1e6
SLOWDOWN = 1.1
"""The factor that is planted, and found."""
PLAIN = "mean:5%"
"""What pytest-benchmark is given as `--benchmark-compare-fail`."""
PLAIN_RATIO = 1.05


class Trial(msgspec.Struct, frozen=True, array_like=True):
    """One measurement: a step over a step, with its interval, after that many rounds; and the ratio of plain means."""

    ratio: float
    low: float
    high: float
    rounds: int
    means: float

    @property
    def half_width(self) -> float:
        """Half the width of the interval, relative to the ratio."""
        return (self.high - self.low) / 2 / self.ratio


class Series(msgspec.Struct, frozen=True):
    """Trials of one step; `slowdown` is the factor that was planted, 1 where there is none."""

    runtime: str
    step: str
    batch_size: int
    loaded: bool
    slowdown: float
    median_ns: float
    trials: list[Trial]

    @property
    def held(self) -> int:
        """Trials whose interval contains 1 where nothing was planted, and lies above it where something was."""
        return sum(t.low <= 1 <= t.high if self.slowdown == 1 else t.low > 1 for t in self.trials)

    @property
    def plain(self) -> int:
        """Trials in which the comparison of means failed: false alarms, or what was planted."""
        return sum(trial.means > PLAIN_RATIO for trial in self.trials)

    @property
    def widest(self) -> float:
        """The largest half-width."""
        return max((trial.half_width for trial in self.trials), default=math.inf)


class Study(msgspec.Struct, frozen=True):
    """All of it.

    Attributes:
        schema: of this file.
        command: repeats it.
        made_at: ISO 8601, UTC.
        seconds: it took.
        versions, machine: as `parity.core.environment` tells them, when it began.
        loads: the load average when each half began and when it ended: of the machine as it was, and loaded.
        level, precision: of the intervals; see `parity.latency.timing`.
        budget_s: the most time for a trial; it ends when the interval of the ratio is narrow enough.
        plain: what pytest-benchmark was given.
        series: the trials.
        max_rounds: the most rounds of a trial.
    """

    schema: int
    command: str
    made_at: str
    seconds: float
    versions: dict[str, str | None]
    machine: dict[str, Any]
    loads: dict[str, list[float]]
    level: float
    precision: float
    budget_s: float
    plain: str
    series: list[Series]
    max_rounds: int = 2000


def of(data: dict[str, Any] | None) -> Study | None:
    """Return the study that `published.load` found; None where it found none.

    Raises:
        RecordError: it is cut off, or something else.
    """
    return as_study(data, Study, DATA, SCHEMA, COMMAND)


def write(study: Study, folder: Path) -> Path:
    """Write `study` to `folder`/timing-calibration.json, a series a line."""
    path = folder / DATA
    write_atomically(path, rows_text(msgspec.to_builtins(study)))
    return path


def broken(study: Study) -> Iterator[str]:
    """Return what of the promises does not hold, in sentences."""
    load = study.loads.get("loaded", [0.0])[-1]
    if load < 1:
        yield f"The load average beside a busy process was {load:g} in the end, expected 1 or more: nothing was busy."
    for loaded, slowdown in product((False, True), (1.0, SLOWDOWN)):
        where = "beside a busy process" if loaded else "on the machine as it was"
        mine = [series for series in study.series if (series.loaded, series.slowdown) == (loaded, slowdown)]
        held, total = _counted(mine, "held")
        what = "contains 1" if slowdown == 1 else f"finds a factor {slowdown:g}"
        if total < TRIALS:
            yield f"{total} trials of a factor {slowdown:g} {where} are too few, expected {TRIALS}."
        if held < SHARE * total:
            yield f"The interval {what} in {held} of {total} trials {where}, expected {SHARE:.0%}."
        wide = max((s.widest for s in mine if s.median_ns > LONG_NS), default=0.0)
        if slowdown == 1 and wide > HALF_WIDTH:
            yield f"An interval reaches {wide:.1%} to each side {where}, expected at most {HALF_WIDTH:.0%}."


def sentence(study: Study) -> str:
    """Return what the study says."""
    same = [series for series in study.series if series.slowdown == 1]
    slower = [series for series in study.series if series.slowdown != 1]

    def share(series: list[Series], what: str) -> str:
        return "{:,} of {:,}".format(*_counted(series, what))

    def widest(loaded: bool) -> str:
        return f"{max((series.widest for series in same if series.loaded == loaded), default=0.0):.1%}"

    return (
        f"Of a step measured against itself in another process, given at most {study.budget_s:g} s, the interval of "
        f"the ratio contains 1 in {share(same, 'held')} trials and reaches at most {widest(False)} to each side, "
        f"and a planted slowdown of {SLOWDOWN - 1:.0%} is found in {share(slower, 'held')}; half of them are beside a "
        f"busy process, where the widest reaches {widest(True)}. "
        f"Pytest-benchmark's comparison of plain means of up to as many rounds ({study.plain}) raises "
        f"{share(same, 'plain')} false alarms and finds it in {share(slower, 'plain')}."
    )


def _counted(series: list[Series], what: str) -> tuple[int, int]:
    return sum(getattr(one, what) for one in series), sum(len(one.trials) for one in series)


def table(study: Study) -> list[dict[str, Any]]:
    """Return a row for each step, load and slowdown: what held, how wide, and trials in which plain means differed."""
    names = ("runtime", "step", "batch_size", "loaded", "slowdown", "held", "widest", "plain")
    return [
        {name: getattr(one, name) for name in names} | {"median_ms": one.median_ns / 1e6, "trials": len(one.trials)}
        for one in study.series
    ]


def lines(study: Study) -> Iterator[str]:
    """Return the same for a terminal."""
    yield f"{'step':<32}    ms  busy  factor   held    widest   means"
    for row in table(study):
        step = f"{row['step']}, {row['runtime']}, {row['batch_size']}"
        held = f"{row['held']}/{row['trials']}"
        yield (
            f"{step:<32}{row['median_ms']:6.2f}  {'yes' if row['loaded'] else 'no':<5} {row['slowdown']:5.1f}   "
            f"{held:<7}{row['widest']:6.1%}  {row['plain']:6}"
        )
