"""Compare a JAX trunk under a Keras head, trained on together, with the same network in JAX alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from parity.cases.case import Case, Dataset, State
from parity.cases.specs import Answer, Batch
from parity.core import failures
from parity.core.errors import CaseError
from parity.handover import fused, keras_head
from parity.handover.fused import MOMENTUM, RATE, Fused, trajectory
from parity.handover.keras_head import Network, Settings, trunk_layer
from parity.handover.trunk import save
from parity.records import ERROR
from parity.scoring import arithmetic, kinks, rules
from parity.scoring.perturbation import perturb
from parity.scoring.rounding import with_rounding
from parity.scoring.rules import Budget, Ensemble, LeafResult

if TYPE_CHECKING:
    from parity.runtimes.subject import Subject

STEPS = 3
SOURCE = f"{rules.MEMBERS} trainings, {rules.AT_RANDOM}"
BATCH_SIZE = 32
"""At most: how often an activation lies within rounding of a kink grows with it."""

Layer = Callable[[Any, Path], Any]


def results(subject: Subject) -> list[LeafResult]:
    """Return a result for every leaf under every usable Keras, such as `keras3/step_1/loss`; see `Fusion`.

    Raises:
        ParityError: the case cannot be fused, or its trunk not be exported; see `fused.trunk` and `trunk.save`.
    """
    fusion = Fusion(subject.case, subject.trained.state, subject.dataset, subject.limit_of("fusion"))
    _ = subject.bundle  # the export decides whether a remedy is needed
    readable_by = subject.remedy.requirement if subject.remedy else None
    with TemporaryDirectory(prefix="parity-") as folder:
        return fusion.results(Path(folder) / "trunk", keras_head.usable(), readable_by=readable_by)


class Fusion:
    """The same steps of the same network in JAX alone, in float64, and in TensorFlow with a Keras head.

    Leaves are named `step_<n>/<stage>`; `predict/...` after a prediction that follows the last step and must not change
    the state; and `fit/...` after the same steps by `model.fit`.

    Args:
        case: has a trunk.
        state: as trained.
        dataset: its examples.
        limit: the largest score that passes.

    Raises:
        CaseError: the case cannot be fused, see `fused.trunk`; or it has fewer training examples than `STEPS`.
    """

    def __init__(self, case: Case, state: State, dataset: Dataset, limit: float) -> None:
        self.trunk = fused.trunk(case, state, dataset)
        self._limit = limit
        size = min(BATCH_SIZE, dataset.train.size // STEPS)
        if not size:
            raise CaseError(
                f"case {case.name!r} has {dataset.train.size} training examples, expected at least {STEPS}, one for "
                "every step of its fusion. Give more."
            )
        self.batches = [dataset.train.map(lambda a, i=i: a[i * size : (i + 1) * size]) for i in range(STEPS)]
        self._begin = self.trunk.begin()

    @cached_property
    def jax(self) -> Answer:
        """JAX's answer."""
        return self._in_jax(self._begin, self.batches)

    @cached_property
    def oracle(self) -> Answer:
        """The answer in float64."""
        return self._in_float64(self._begin, self.batches)

    @cached_property
    def budgets(self) -> dict[str, Budget]:
        """By leaf, from trainings with every rounded result off at random."""
        data, labels = self.batches[0].data, self.batches[0].labels
        step = with_rounding(self.trunk.step, self._begin, data, labels)
        predict = with_rounding(self.trunk.predict, self._begin, data)
        ensemble = Ensemble(self.oracle)
        for member in range(rules.MEMBERS):
            seeds = itertools.count(member * (STEPS + 1))
            ensemble.add(
                trajectory(
                    lambda *values, seeds=seeds: step(next(seeds), *values),
                    lambda *values, seeds=seeds: predict(next(seeds), *values),
                    self._begin,
                    self.batches,
                )
            )
        return ensemble.budgets(SOURCE)

    @cached_property
    def _compiled(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        return jax.jit(self.trunk.step), jax.jit(self.trunk.predict)

    def _in_jax(self, begin: Fused, batches: Sequence[Batch]) -> Answer:
        return trajectory(*self._compiled, begin, batches)

    @cached_property
    def _widened(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        data, labels = self.batches[0].data, self.batches[0].labels
        step = arithmetic.in_float64(self.trunk.step, self._begin, data, labels)
        return step, arithmetic.in_float64(self.trunk.predict, self._begin, data)

    def _in_float64(self, begin: Fused, batches: Sequence[Batch]) -> Answer:
        return trajectory(*self._widened, begin, batches)

    def _perturbed(self, member: int) -> tuple[Fused, list[Batch]]:
        rng = np.random.default_rng(member)
        begin = jax.tree_util.tree_map(lambda a: perturb(a, rng), self._begin)
        return begin, [batch.map(lambda a: perturb(a, rng)) for batch in self.batches]

    def results(
        self, folder: Path, kerases: Iterable[str], layer: Layer = trunk_layer, readable_by: str | None = None
    ) -> list[LeafResult]:
        """Return a result for every leaf under every one of `kerases`, or one for `<keras>/*` where that fails.

        Args:
            folder: where the trunk is exported to, a new one.
            kerases: of `keras_head.usable`.
            layer: makes the Keras layer around the trunk.
            readable_by: the requirement of the remedy under which it is exported; None for jax's default.

        Raises:
            ParityError: the trunk cannot be exported; see `trunk.save`.
        """
        leaves = save(self.trunk, folder, readable_by)
        return [
            rules.renamed(result, f"{name}/{result.leaf}")
            for name in kerases
            for result in self._results_under(name, folder, layer, leaves)
        ]

    def _results_under(self, name: str, folder: Path, layer: Layer, leaves: dict[str, str]) -> list[LeafResult]:
        try:
            keras = keras_head.load(name)
            return self.judge(self._in_keras(keras, layer(keras, folder), leaves))
        except Exception as error:  # one Keras may fail and the other not
            failure = failures.of(error)
            return [LeafResult("*", ERROR, failure=failure.kind, evidence=failure.evidence, message=failure.cause)]

    def _in_keras(self, keras: Any, layer: Any, leaves: dict[str, str]) -> Answer:
        head = self._begin.params["head"]
        settings = Settings(head["kernel"], head["bias"], RATE, MOMENTUM)
        network = Network(keras, layer, leaves, self.trunk.case.data, settings)
        return network.by_hand(self.batches) | network.fitted(self.batches)

    def judge(self, actual: Answer) -> list[LeafResult]:
        """Return the result of every leaf of an answer."""
        first = self._judge(actual, self.oracle)
        if kinks.possible({kinks.GRADIENT: first}):
            for oracle in self._beyond_kinks:
                explained = kinks.explained({"": self._judge(actual, oracle)}, {"": first})
                if explained is not None:
                    return explained[""]
        return first

    def _judge(self, actual: Answer, oracle: Answer) -> list[LeafResult]:
        return rules.judge(actual, self.jax, oracle, self.budgets, self._limit)

    @cached_property
    def _beyond_kinks(self) -> list[Answer]:
        """Trainings in float64 from a few ulp away whose gradients jump somewhere; mostly none."""
        budgets = {leaf: b for leaf, b in self.budgets.items() if "/gradient/" in leaf}
        around = ({kinks.GRADIENT: answer} for answer in self._around())
        far = kinks.beyond({kinks.GRADIENT: self.oracle}, around, {kinks.GRADIENT: budgets}, lambda _: self._limit)
        return [answer[kinks.GRADIENT] for answer in far]

    def _around(self) -> Iterator[Answer]:
        for member in range(rules.MEMBERS):
            begin, batches = self._perturbed(member)
            for times in kinks.SCALES:
                moved = [
                    Batch(kinks.farther(a.data, b.data, times), kinks.farther(a.labels, b.labels, times))
                    for a, b in zip(self.batches, batches, strict=True)
                ]
                yield self._in_float64(kinks.farther(self._begin, begin, times), moved)
