"""The study of cost: what `parity run` costs beside a bare script, on a transformer of several sizes.

`transformer` is the case, `bare` the script, `measuring` measures a command. `parity.records.cost` has the promises.
"""

from __future__ import annotations

import sys
import tempfile
import textwrap
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from parity import records
from parity.core import environment
from parity.core.errors import NotComparableError, UsageError
from parity.core.storage import output_folder, replace_between, require_markers
from parity.records import STANDARD, cost
from parity.records.cost import Size, Study

DESCRIPTION = (
    "Measure wall, CPU and peak memory of parity run beside a script that trains, exports, reloads and asks once, on a "
    "transformer of several sizes. DIR/cost.json is written after each size; a size in it is kept. The exit code is 1 "
    "if a promise does not hold. Memory is that of all processes together, so other programs disturb the times alone."
)
ACCEPTS_FURTHER = False
BATCH_SIZE = 13
LEAST = 100_000
COMPARED = ("jax", "flax", "optax", "tensorflow", "numpy", "python", "cpu", "cores")
"""Of releases and machine, what must be the same for all sizes of a study."""


def add(parser: ArgumentParser) -> None:
    """Add the options of the study."""
    parser.add_argument(
        "--parameters", metavar="N", nargs="+", type=_size, default=list(cost.SIZES),
        help="sizes of the model, such as 1e6 5e7 (default: 1e6 1e7 5e7 1e8)",
    )  # fmt: skip
    parser.add_argument("--rounds", metavar="N", type=int, default=1, help="of script and run in turn (default: 1)")
    parser.add_argument("--fresh", action="store_true", help="measure sizes again that DIR/cost.json has")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("reports"), help="(default: reports)")
    parser.add_argument(
        "--logs", metavar="DIR", type=Path, help="keep here what the commands print, and the records of the runs"
    )
    parser.add_argument("--docs", metavar="FILE", type=Path, help="write the table into this chapter")


def _size(text: str) -> int:
    try:
        found = int(float(text))
    except (ValueError, OverflowError):
        found = 0
    if found < LEAST:
        raise ArgumentTypeError(f"{text!r}, expected a number of parameters, {LEAST:,} or more, such as 1e7")
    return found


def main(arguments: Namespace, further: list[str]) -> int:
    """Measure, write the study after each size, print which promises are broken, and return the exit code.

    Raises:
        UsageError: no round, or a chapter without a place for the table.
        NotComparableError: the study has sizes under other releases, and they are not measured again.
    """
    if arguments.rounds < 1:
        raise UsageError(f"--rounds {arguments.rounds}: expected 1 or more.")
    if arguments.docs:
        require_markers(arguments.docs, cost.MARKERS)
    folder, sizes = output_folder(arguments.out), sorted(set(arguments.parameters))
    study = _begin(cost.read(folder), set(sizes) if arguments.fresh else set())
    if arguments.fresh:  # at once: after an interrupt, the next start keeps nothing that was to be measured again
        cost.write(study, folder)
    with tempfile.TemporaryDirectory(prefix="parity-cost-") as temporary:
        logs = output_folder(arguments.logs or Path(temporary))
        for size in sizes:
            if not any(one.size == size and one.complete for one in study.sizes):
                study = with_size(study, measure(size, arguments.rounds, logs))
                cost.write(study, folder)
    for line in cost.lines(study):
        print(line)
    broken = list(cost.broken(study, tuple(sizes)))
    for sentence in broken:
        print(textwrap.fill(sentence, 80))
    if arguments.docs:
        replace_between(arguments.docs, cost.MARKERS, cost.markdown(study))
    print(f"Study: {folder / cost.DATA}")
    return 1 if broken else 0


def measure(size: int, rounds: int, folder: Path) -> Size:
    """Measure script and run in turn, and return what they cost; a failure ends the size.

    Args:
        size: parameters to ask for.
        rounds: of script and run.
        folder: for what they write.
    """
    from parity.studies.cost import measuring, transformer

    shape = transformer.shape_of(size)
    case = folder / f"transformer_{size}.py"
    source = f"from parity.studies.cost.transformer import case_of\n\ncase = case_of({size})\n"
    case.write_text(source, encoding="utf-8")
    found = Size(size, transformer.count(shape), *shape, BATCH_SIZE, records.now(), bare=[], run=[])
    for number in range(rounds):
        out = folder / f"{size}-{number}"
        for name, many, command in (("script", found.bare, script(case)), ("run", found.run, run(case, out))):
            one = measuring.measure(command, folder / f"{size}-{number}-{name}.txt")
            cpu, gib = f"{one.cpu_s:.0f} s of CPU", f"{one.peak_bytes / cost.GIB:.2f} GiB"
            print(f"{size:,} parameters, {name}: {one.wall_s:.0f} s, {cpu}, {gib} {one.failure}".rstrip(), flush=True)
            many.append(one)
            if one.failure:
                return found
    return found


def script(case: Path) -> list[str]:
    """Return the command of the script."""
    return [sys.executable, "-m", "parity.studies.cost.bare", f"{case}:case"]


def run(case: Path, out: Path) -> list[str]:
    """Return the command of a run at one batch size."""
    options = [f"--case={case}:case", f"--out={out}", f"--level={STANDARD}", f"--batch-size={BATCH_SIZE}"]
    return [sys.executable, "-m", "parity", "run", *options]


def with_size(study: Study, size: Size) -> Study:
    """Return the study with a size, in the place of an older measurement of it."""
    sizes = sorted([*(one for one in study.sizes if one.size != size.size), size], key=lambda one: one.size)
    return Study(study.schema, study.command, study.level, study.versions, study.machine, sizes)


def _begin(before: Study | None, again: set[int]) -> Study:
    """Return the study so far without the sizes that are measured `again`."""
    versions, machine = environment.versions(), environment.machine()
    kept = [one for one in before.sizes if one.size not in again] if before else []
    if before and kept:
        now, then = {**versions, **machine}, {**before.versions, **before.machine}
        if other := [f"{name} {then.get(name)}" for name in COMPARED if then.get(name) != now.get(name)]:
            raise NotComparableError(
                f"{cost.DATA} has sizes that were measured with {', '.join(other)}. Expected the releases and the "
                "machine of now: measure all sizes again with --fresh, or choose another folder with --out."
            )
        machine = before.machine
    return Study(cost.SCHEMA, cost.COMMAND, STANDARD, versions, machine, kept)
