"""Measure how high sound releases score, over many trainings of one case, in one environment.

`python -m parity.studies.false_alarms.measuring OUT CASE --seeds N` trains the case N times, each with its own initial
weights, order of batches and test examples; runs every probe on the runtimes in this process; and writes all scores to
OUT. Programs are compiled once for all trainings: only values differ. A case that cannot be asked, because its
library is not installed or an operation is not readable, is left out, with the reason in OUT.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from parity import records
from parity.cases import jax_devices
from parity.cases.case import Case, Dataset
from parity.cases.functions import flatten
from parity.cases.loading import load
from parity.cases.pipeline import Pipeline
from parity.cases.training import compile_training, train
from parity.core import environment
from parity.core.errors import ParityError
from parity.core.ledger import TimeLedger
from parity.core.storage import write_atomically
from parity.export import artifact
from parity.probes.evaluation import Place, score
from parity.probes.power import PowerStudy
from parity.records import PlanItem
from parity.runtimes.base import FIRST_CPU, AtState, Runtime
from parity.runtimes.subject import Subject
from parity.scoring import kinks
from parity.studies.false_alarms import LARGE

SIZES = (1, 13, 256)
SIZES_OF_OTHERS = (13,)
RUNTIMES = ("jax", "tf_graph", "tf_xla", "saved_model")
"""Of this process; `tf_eager` runs the programs of `tf_graph`."""
POWER_SEEDS = 1
"""Trainings whose power is measured: it costs far more than the scores, and varies little."""


class Study:
    """Trainings of one case, all scored with the programs that were compiled for the first."""

    def __init__(self, case: Case, sizes: Sequence[int]) -> None:
        self.case, self.sizes = case, sizes
        self.dataset = case.dataset()
        self._first: Subject | None = None
        self._scratch = tempfile.TemporaryDirectory(prefix="parity-study-")
        self._compiled: Any = None

    def subject(self, seed: int) -> Subject:
        """Return the case trained from `seed`, scored on test examples in an order of their own."""
        case = replace(self.case, training=replace(self.case.training, seed=seed))
        order = np.random.default_rng(seed).permutation(self.dataset.test.size)
        dataset = Dataset(self.dataset.train, self.dataset.test.map(lambda array: array[order]))
        pipeline = Pipeline(dataset.train, case.training)
        self._compiled = self._compiled or compile_training(case, pipeline.steps_per_epoch)
        trained = train(case, dataset, pipeline, compiled=self._compiled)
        runtimes = {name: AtState(opened, flatten(trained.state)) for name, opened in self._opened().items()}
        workdir = Path(self._scratch.name)
        subject = Subject(
            case, TimeLedger(), workdir=workdir, dataset=dataset, pipeline=pipeline, trained=trained, runtimes=runtimes
        )
        for size in self.sizes:
            subject.batch(size)
        if self._first is None:
            subject.announce(items(case, self.sizes))
            self._first = subject
        return subject

    def _opened(self) -> dict[str, Runtime]:
        """Return the runtimes of the first training, with what they have compiled; none before it."""
        first = self._first
        return {} if first is None else {n: first.runtime(n) for n in (*RUNTIMES, first.reference.oracle)}


def items(case: Case, sizes: Sequence[int]) -> list[PlanItem]:
    """Return what is asked of every training."""
    return [
        PlanItem(
            item="study", test=probe, case=case.name, probe=probe, runtime=runtime, batch_size=size,
            jax_device=FIRST_CPU, tf_device=FIRST_CPU,
        )
        for runtime in RUNTIMES
        for probe in case.probes
        for size in sizes
    ]  # fmt: skip


def scores(subject: Subject, sizes: Sequence[int], seed: int) -> Iterator[dict[str, Any]]:
    """Yield a row per check: what was scored, the leaf, its status and score, and whether a kink explains it."""
    for item in items(subject.case, sizes):
        for found in score(subject, item.probe, Place(item.runtime), item.batch_size):
            yield {
                "seed": seed, "runtime": item.runtime, "probe": item.probe,
                "batch_size": item.batch_size, "leaf": found.leaf, "status": found.status, "score": found.score,
                "own_limit": subject.case.limit is not None, "kink": found.message == kinks.NOTE,
            }  # fmt: skip


def powers(subject: Subject, sizes: Sequence[int], seed: int) -> Iterator[dict[str, Any]]:
    """Yield a row per probe, batch size and weight tensor: the smallest relative error that would be caught."""
    study = PowerStudy(subject)
    for probe in subject.case.probes:
        for size in sizes:
            for found in study.of(probe, size):
                yield {**msgspec.structs.asdict(found), "seed": seed, "limit": subject.limit_of(probe)}


def short_name(name: str) -> str:
    """Return the name of a case without the file that it is in."""
    return name.rpartition(":")[2]


def main(out: Path, name: str, seeds: int) -> None:
    """Write the scores of `seeds` trainings to `out`, with the versions and the machine they are of."""
    jax_devices.configure_devices(1)
    artifact.configure_devices(1)
    measured: dict[str, Any] = {
        "case": short_name(name),
        "versions": environment.versions(),
        "machine": environment.machine(),
    }
    try:
        measured |= _measure(name, seeds)
    except ParityError as error:
        print(f"{name} is left out: {error}", flush=True)
        measured |= {"left_out": str(error), "seeds": 0, "remedy": None, "checks": [], "powers": []}
    write_atomically(out, json.dumps(records.encode(measured), allow_nan=False) + "\n")


def _measure(name: str, seeds: int) -> dict[str, Any]:
    sizes = SIZES if name == LARGE else SIZES_OF_OTHERS
    study = Study(load(name), sizes)
    checks: list[dict[str, Any]] = []
    caught: list[dict[str, Any]] = []
    first = None
    for seed in range(seeds):
        subject = study.subject(seed)
        first = first or subject  # it holds the bundle that the reloaded artifact came from
        checks += ({"case": short_name(name), **row} for row in scores(subject, sizes, seed))
        if name == LARGE and seed < POWER_SEEDS:
            caught += powers(subject, sizes, seed)
        high = max((row["score"] for row in checks if row["score"] is not None), default=0.0)
        print(f"{name}, training {seed + 1} of {seeds}: {len(checks):,} checks, highest score {high:.3g}", flush=True)
    remedy = first.remedy.requirement if first and first.remedy else None
    if first is not None:
        first.close()
    return {"seeds": seeds, "remedy": remedy, "checks": checks, "powers": caught}


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m parity.studies.false_alarms.measuring")
    options.add_argument("out", type=Path)
    options.add_argument("case")
    options.add_argument("--seeds", type=int, default=20)
    arguments = options.parse_args()
    main(arguments.out, arguments.case, arguments.seeds)
