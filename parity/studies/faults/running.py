"""Run the catalogue: the sound artifact, then every fault, then the sound artifact again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from parity import records
from parity.core.errors import ParityError
from parity.core.ledger import TimeLedger
from parity.core.progress import Bar, Report, silent
from parity.probes import registry
from parity.records import PlanItem, Run
from parity.runtimes.saved_model import SavedModel
from parity.session.run import RunSession
from parity.session.selection import select
from parity.studies.faults import Fault
from parity.studies.faults.bench import Bench
from parity.studies.faults.outcomes import Outcome, verdict_on

CASE = "reference"
SIZES = (13, 1)
"""An odd size, and the size at which a dimension is easily lost."""


PACKAGES = ("jax", "jaxlib", "flax", "optax", "tensorflow", "keras", "numpy")
"""Whose versions the outcomes hold for."""


class SoundCheckError(ParityError):
    """Checks are red although no fault is planted, so that a red check proves nothing."""

    exit_code = 1


def run(faults: Sequence[Fault], quick: bool) -> tuple[list[Outcome], dict[str, Any]]:
    """Train and export the reference case, plant the faults, and return the outcomes with the facts they hold for.

    Raises:
        ParityError: the case cannot be trained or exported with these releases, or see `plant`.
    """
    session, bar = open_session(), Bar()
    tf.get_logger().setLevel("ERROR")  # it warns of retracing, which every fault in a function causes
    try:
        subject = session.subject(CASE)
        items = [item for probe in subject.case.probes for item in session.planner.items(registry.probes()[probe])]
        subject.announce(item for item in items if item.runtime == SavedModel.name)
        outcomes, sound = plant(Bench(session, subject), faults, quick, bar)
    finally:
        bar.close()
        session.finish(records.COMPLETE)
    return outcomes, {
        "case": CASE,
        "batch_sizes": list(SIZES),
        "limits": {probe: subject.limit_of(probe) for probe in subject.case.probes},
        "versions": {name: session.run.environment["versions"].get(name) for name in PACKAGES},
        "no_fault": {"checks": sound, "red": 0},
    }


def open_session() -> RunSession:
    """Return a run of the reference case by JAX, its oracle and the reloaded artifact."""
    ledger = TimeLedger()
    runtimes = ("jax", "jax_float64", SavedModel.name)
    return RunSession(select((CASE,), runtimes, (), [str(size) for size in SIZES], ledger), "faults", None, ledger)


def plant(
    bench: Bench, faults: Iterable[Fault], quick: bool = False, progress: Report = silent
) -> tuple[list[Outcome], int]:
    """Plant the faults one after the other; return the outcomes and the number of checks of the sound artifact.

    Args:
        bench: with nothing planted.
        faults: of the catalogue.
        quick: run only predictions at the other batch sizes.
        progress: called before each.

    Raises:
        SoundCheckError: a check is red before any fault is planted, or after the last is undone.
    """
    chosen = list(faults)
    every = list(dict.fromkeys(q for fault in chosen for q in bench.items(fault, quick)))
    original = _original(bench, every, "before any fault was planted")
    outcomes = []
    for done, fault in enumerate(chosen):
        progress(fault.name, done, len(chosen))
        outcomes.append(verdict_on(fault, bench.run(fault, quick), bench, original))
    progress("no fault, again", len(chosen), len(chosen))
    again = _original(bench, every, "after the last fault was undone")
    if moved := sorted(_rows(again) ^ _rows(original)):
        raise SoundCheckError(
            f"a fault was not undone: {len(moved)} checks of the sound artifact differ from those before the "
            f"first fault, such as {moved[0]}."
        )
    return outcomes, len(original.checks)


def _rows(run: Run) -> set[tuple[str, str, str]]:
    return {(check.item, check.leaf, f"{check.score}") for check in run.checks}


def _original(bench: Bench, items: list[PlanItem], when: str) -> Run:
    run = bench.sound(items)
    red = [check for check in run.all_checks() if check.status not in records.IN_ORDER]
    if red or not run.checks:
        first = f"{red[0].item} {red[0].leaf}: {red[0].message}" if red else "no check ran"
        raise SoundCheckError(
            f"{when}, {len(red)} of {len(run.checks)} checks were not in order: {first}. A fault can be seen "
            "only if the checks pass without it; see parity run."
        )
    return run
