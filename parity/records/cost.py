"""What a run costs beside a bare script, as data; `parity.studies.cost` measures it.

The script trains, exports and reloads the same case, and asks JAX and TensorFlow for prediction, loss and gradient once
each. Models of several sizes show whether the cost of a run stays in proportion.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from parity.core.errors import RecordError
from parity.core.storage import write_atomically
from parity.records.numbers import rows_text
from parity.records.published import as_study

DATA = "cost.json"
SCHEMA = 1
COMMAND = "tox run -e cost"

SIZES = (1_000_000, 10_000_000, 50_000_000, 100_000_000)
"""Parameters of the models of a study that counts."""
CPU_RATIO, MEMORY_RATIO = 4.0, 2.0
"""The most that a run may cost, in CPU seconds and in peak memory of the script."""
GROWTH = 1.25
"""The most that a ratio may be, in that of any smaller model: CPU seconds on a busy machine vary that much."""
MARKERS = ("<!-- cost -->", "<!-- /cost -->")
"""Around the table in a chapter."""
GIB = 2**30


class Measurement(msgspec.Struct, frozen=True):
    """What a command cost, with all processes that it started.

    Attributes:
        wall_s: seconds from start to end.
        cpu_s: seconds of CPU, user and system.
        peak_bytes: of memory: the largest sum over processes, seen every 0.25 s, or the peak of one process if more.
        load: the load average before and after; None where the system does not say.
        failure: why it did not end in order; empty where it did.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    load: tuple[float | None, float | None]
    failure: str = ""


class Size(msgspec.Struct, frozen=True):
    """A size of the model, and what was measured of it, script and run in turn.

    Attributes:
        size: parameters that were asked for.
        parameters: those that the model has.
        layers, width: of the model.
        batch_size: of the questions.
        made_at: ISO 8601, UTC.
        bare: measurements of the script.
        run: measurements of `parity run`.
    """

    size: int
    parameters: int
    layers: int
    width: int
    batch_size: int
    made_at: str
    bare: list[Measurement]
    run: list[Measurement]

    @property
    def failures(self) -> list[str]:
        """Why measurements did not end in order, each reason once."""
        named = (("script", self.bare), ("run", self.run))
        return list(dict.fromkeys(f"{name}: {one.failure}" for name, many in named for one in many if one.failure))

    @property
    def complete(self) -> bool:
        """Whether script and run were measured and ended in order."""
        return bool(self.bare and self.run) and not self.failures

    def ratio(self, what: Callable[[Measurement], float]) -> float | None:
        """Return the median of the run over that of the script; None where it is not complete."""
        return median(self.run, what) / median(self.bare, what) if self.complete else None

    @property
    def cpu_ratio(self) -> float | None:
        """CPU seconds of the run, in those of the script."""
        return self.ratio(_cpu_s)

    @property
    def memory_ratio(self) -> float | None:
        """Peak memory of the run, in that of the script."""
        return self.ratio(_peak_bytes)


class Study(msgspec.Struct, frozen=True):
    """All of it.

    Attributes:
        schema: of this file.
        command: repeats it.
        level: of the runs.
        versions, machine: as `parity.core.environment` tells them.
        sizes: sorted by size.
    """

    schema: int
    command: str
    level: str
    versions: dict[str, str | None]
    machine: dict[str, Any]
    sizes: list[Size]


def median(measurements: list[Measurement], what: Callable[[Measurement], float]) -> float:
    """Return the median of what was measured."""
    return statistics.median(map(what, measurements))


def of(data: dict[str, Any] | None) -> Study | None:
    """Return the study that `published.load` found; None where it found none.

    Raises:
        RecordError: it is cut off, or something else.
    """
    return as_study(data, Study, DATA, SCHEMA, f"{COMMAND} -- --fresh")


def read(folder: Path) -> Study | None:
    """Return the study in `folder`; None where there is none.

    Raises:
        RecordError: it is cut off, or something else.
    """
    path = folder / DATA
    if not path.is_file():
        return None
    try:
        return of(msgspec.json.decode(path.read_bytes(), type=dict[str, Any]))
    except msgspec.DecodeError as error:
        raise RecordError(f"{path} cannot be read as JSON: {error}. Remove it, and measure it again.") from None


def write(study: Study, folder: Path) -> Path:
    """Write `study` to `folder`/cost.json, a size a line."""
    path = folder / DATA
    write_atomically(path, rows_text(msgspec.to_builtins(study)))
    return path


def broken(study: Study, sizes: tuple[int, ...] = SIZES) -> Iterator[str]:
    """Return what of the promises does not hold, in sentences; `sizes` are those that it must have."""
    found = {one.size: one for one in study.sizes}
    for size in sizes:
        if size not in found:
            yield f"A model of {size:,} parameters was not measured."
    for one in study.sizes:
        for failure in one.failures:
            yield f"{one.size:,} parameters: {failure}."
    for name, what, most in (("CPU", _cpu_s, CPU_RATIO), ("memory", _peak_bytes, MEMORY_RATIO)):
        yield from _broken_ratios(name, {one.size: r for one in study.sizes if (r := one.ratio(what))}, most)


def _broken_ratios(name: str, ratios: dict[int, float], most: float) -> Iterator[str]:
    least = float("inf")
    for size, ratio in sorted(ratios.items()):
        if ratio > most:
            yield f"{size:,} parameters: a run takes {ratio:.2f} times the script's {name}, expected {most:g} or less."
        if ratio > GROWTH * least:
            yield f"{size:,} parameters: the ratio of {name} grew from {least:.2f} to {ratio:.2f} with the model."
        least = min(least, ratio)


COLUMNS = (
    "parameters", "script: wall, CPU, memory", "`parity run`: wall, CPU, memory", "CPU ratio", "memory ratio",
)  # fmt: skip


def table(study: Study) -> list[list[str]]:
    """Return a row of cells for each size, under `COLUMNS`."""
    return [
        [_millions(one), _cost(one.bare), _cost(one.run), _shown(one.cpu_ratio), _shown(one.memory_ratio)]
        for one in study.sizes
    ]


def markdown(study: Study) -> str:
    """Return the table as Markdown, with what of it did not end in order or breaks a promise."""
    rows = [list(COLUMNS), ["---"] * len(COLUMNS), *table(study)]
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    notes = [f"- {sentence}" for sentence in broken(study)]
    return "\n\n".join([text, *(["\n".join(["Not as it should be:", "", *notes])] if notes else [])])


def lines(study: Study) -> Iterator[str]:
    """Return the same for a terminal."""
    yield f"{'parameters':<12}{'wall':>9}{'CPU':>9}{'GiB':>7}"
    for one in study.sizes:
        yield f"{one.parameters:,}"
        for name, many in (("script", one.bare), ("parity run", one.run)):
            for measured in many:
                figures = f"{measured.wall_s:8.0f}s{measured.cpu_s:8.0f}s{measured.peak_bytes / GIB:7.2f}"
                yield f"  {name:<10}{figures}  {measured.failure}".rstrip()
        yield f"  {'ratio':<10}{'':9}{_shown(one.cpu_ratio):>9}{_shown(one.memory_ratio):>7}"


def _cpu_s(measurement: Measurement) -> float:
    return measurement.cpu_s


def _peak_bytes(measurement: Measurement) -> float:
    return measurement.peak_bytes


def _wall_s(measurement: Measurement) -> float:
    return measurement.wall_s


def _millions(size: Size) -> str:
    return f"{size.parameters / 1e6:.1f} M"


def _cost(many: list[Measurement]) -> str:
    if not many:
        return "not measured"
    gib = median(many, _peak_bytes) / GIB
    failed = "; did not end in order" if any(one.failure for one in many) else ""
    return f"{median(many, _wall_s):.0f} s, {median(many, _cpu_s):.0f} s, {gib:.1f} GiB{failed}"


def _shown(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"
