"""Measure how high sound releases score, over many trainings of one case, in one environment.

`python -m parity.studies.false_alarms.measuring OUT --seeds N` trains the reference case N times, each with its own
initial weights, order of batches and test examples; runs every probe on the runtimes in this process; and writes all
scores to OUT. Programs are compiled once for all trainings: only values differ.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jax.tree_util import tree_leaves

from parity import records
from parity.cases.case import Case, Dataset, load
from parity.cases.pipeline import Pipeline
from parity.cases.training import compile_training, train
from parity.core import environment
from parity.core.ledger import Ledger
from parity.core.storage import write_atomically
from parity.export import artifact
from parity.probes.power import PowerStudy
from parity.records import NO_DEVICE, PlanItem
from parity.runtimes import JAX, JAX_FLOAT64, SAVED_MODEL, TF_GRAPH, jax
from parity.runtimes.subject import Subject
from parity.scoring import kinks

CASE = "reference"
SIZES = (1, 13, 256)
ASKED = (JAX, TF_GRAPH, "tf_xla", SAVED_MODEL)
"""Runtimes in this process whose state can be exchanged; `tf_eager` runs the programs of `tf_graph`."""
POWER_SEEDS = 3
"""Trainings whose power is measured: it costs far more than the scores, and varies little."""
DEVICE = "cpu:0"


class Study:
    """Trainings of one case, all questioned with the programs that were compiled for the first."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.dataset = case.dataset()
        self._runtimes: dict[str, Any] = {}
        self._scratch = tempfile.TemporaryDirectory(prefix="parity-study-")
        self._compiled: Any = None

    def subject(self, seed: int) -> Subject:
        """Return the case trained from `seed`, with its own order of test examples."""
        case = replace(self.case, training=replace(self.case.training, seed=seed))
        order = np.random.default_rng(seed).permutation(self.dataset.test.size)
        dataset = Dataset(self.dataset.train, self.dataset.test.map(lambda array: array[order]))
        pipeline = Pipeline(dataset.train, case.training)
        self._compiled = self._compiled or compile_training(case, pipeline.steps_per_epoch)
        subject = Subject(case, Ledger(), workdir=Path(self._scratch.name))
        trained = train(case, dataset, pipeline, compiled=self._compiled)
        vars(subject).update(dataset=dataset, pipeline=pipeline, trained=trained)
        for size in SIZES:
            subject.batch(size)
        if not self._runtimes:
            subject.expect(_questions(case))
            self._runtimes = {name: subject.runtime(name) for name in (*ASKED, JAX_FLOAT64)}
            return subject
        for name, runtime in self._runtimes.items():
            if name in (JAX, JAX_FLOAT64):
                runtime.state = trained.state
            else:
                values = tree_leaves((trained.state.params, trained.state.other))
                runtime.put([*values, trained.state.rng])
            subject.use(name, runtime)
        return subject


def _questions(case: Case) -> list[PlanItem]:
    return [
        PlanItem(
            item="study",
            test=probe,
            case=case.name,
            probe=probe,
            runtime=runtime,
            batch_size=size,
            jax_device=DEVICE,
            tf_device=NO_DEVICE if runtime == JAX else DEVICE,
        )
        for runtime in ASKED
        for probe in case.probes
        for size in SIZES
    ]


def scores(subject: Subject, seed: int) -> Iterator[dict[str, Any]]:
    """Yield a row per check: the plan item, the leaf, its status and score, and whether a kink explains it."""
    for question in _questions(subject.case):
        for found in subject.results(question):
            yield {
                "seed": seed, "runtime": question.runtime, "probe": question.probe, "batch_size": question.batch_size,
                "leaf": found.leaf, "status": found.status, "score": found.score, "kink": found.message == kinks.NOTE,
            }  # fmt: skip


def powers(subject: Subject, seed: int) -> Iterator[dict[str, Any]]:
    """Yield a row per probe, batch size and weight tensor: the smallest relative error that would be caught."""
    study = PowerStudy(subject)
    for probe in subject.case.probes:
        for size in SIZES:
            for found in study.of(probe, size):
                yield {**msgspec.structs.asdict(found), "seed": seed, "limit": subject.limit}


def main(out: Path, seeds: int) -> None:
    """Write the scores of `seeds` trainings to `out`, with the versions and the machine they are of."""
    jax.configure_devices(1)
    artifact.configure_devices(1)
    study = Study(load(CASE))
    checks: list[dict[str, Any]] = []
    caught: list[dict[str, Any]] = []
    first = None
    for seed in range(seeds):
        subject = study.subject(seed)
        first = first or subject  # it holds the bundle that the reloaded artifact came from
        checks += scores(subject, seed)
        if seed < POWER_SEEDS:
            caught += powers(subject, seed)
        high = max(row["score"] for row in checks if row["score"] is not None)
        print(f"training {seed + 1} of {seeds}: {len(checks):,} checks, highest score {high:.3g}", flush=True)
    remedy = first.remedy.requirement if first and first.remedy else None
    facts = {"versions": environment.versions(), "machine": environment.machine(), "remedy": remedy}
    measured = {"seeds": seeds, **facts, "checks": checks, "powers": caught}
    write_atomically(out, json.dumps(records.encode(measured), allow_nan=False) + "\n")
    if first is not None:
        first.close()


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m parity.studies.false_alarms.measuring")
    options.add_argument("out", type=Path)
    options.add_argument("--seeds", type=int, default=20)
    asked = options.parse_args()
    main(asked.out, asked.seeds)
