"""The command that runs one test of a run again."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from parity.cases.case import TEST_SET
from parity.probes.declaration import Probe
from parity.records import FULL, PlanItem
from parity.session.selection import Selection


def command(item: PlanItem, probe: Probe, where: str, selection: Selection, known_issues: str | None) -> str:
    """Return the command that runs the test of `item` alone.

    Args:
        item: the plan item.
        probe: its probe; its mark must be given.
        where: the id of the test in its file, relative to the current folder; or in its module, if it is of the suites.
        selection: what the run is about.
        known_issues: the project's own list.
    """
    case = "reference" if probe.about_pair else selection.name_of(item.case)
    extra = [] if case == "reference" else [f"--parity-case={case}"]
    extra += [f"--parity-artifact={selection.artifact}"] if selection.artifact and not probe.about_pair else []
    if not (selection.default_sizes or probe.about_pair):
        extra.append(f"--parity-batch-size={'test' if item.batch_size == TEST_SET else item.batch_size}")
    extra += [f"--parity-level={FULL}"] if FULL in (probe.level, item.level) and not probe.mark else []
    extra += ["-m", probe.mark] if probe.mark else []
    extra += [f"--parity-known-issues={known_issues}"] if known_issues else []
    found = [] if ".py::" in where else ["--pyargs"]
    return shlex.join([*_python(), "-m", "pytest", *found, where, *extra])


def _python() -> list[str]:
    """Return this interpreter as seen from the current folder; by name alone where it lies elsewhere."""
    here, python = Path.cwd(), Path(sys.executable)
    return [str(python.relative_to(here))] if python.is_relative_to(here) else ["python"]
