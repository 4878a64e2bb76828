"""The command that runs one test of a run again."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from parity.probes.declaration import Probe
from parity.records import PlanItem
from parity.records.measures import BATCH_SIZES


def command(item: PlanItem, probe: Probe, module: str, cases: Sequence[str]) -> str:
    """Return the command that runs the test of `item` alone.

    Args:
        item: the plan item.
        probe: its probe; its mark must be given.
        module: the test module, such as `parity.suites.test_predict`.
        cases: the name under which its case was given; empty where that is the default.
    """
    extra = [f"--parity-case={case}" for case in cases if case != "reference"]
    if probe.mark == "latency":
        measured = BATCH_SIZES if item.variant else (max(BATCH_SIZES),)  # a footprint is of the largest size
        extra += [] if item.batch_size in measured else [f"--parity-batch-size={item.batch_size}"]
    extra += ["-m", probe.mark] if probe.mark else []
    return shlex.join([*_python(), "-m", "pytest", "--pyargs", f"{module}::{item.item}", *extra])


def _python() -> list[str]:
    """Return this interpreter as seen from the current folder; by name alone where it lies elsewhere."""
    here, python = Path.cwd(), Path(sys.executable)
    return [str(python.relative_to(here))] if python.is_relative_to(here) else ["python"]
