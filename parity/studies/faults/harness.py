"""Faults in parity itself. The artifact has no fault: what must turn red is what proves that parity can see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from parity.cases.functions import flatten
from parity.cases.specs import Answer
from parity.probes.evaluation import Scores
from parity.runtimes import _module, jax, jax_float64
from parity.runtimes._tensorflow import TensorFlowRuntime
from parity.runtimes.jax import Jax
from parity.runtimes.jax_float64 import JaxFloat64
from parity.runtimes.reference import ReferenceAnswers
from parity.runtimes.subject import Subject
from parity.scoring import compare, rules
from parity.scoring.rules import Ensemble
from parity.session.planning import Planner
from parity.studies.faults import Fault, Plant
from parity.studies.faults.bench import Bench
from parity.studies.faults.plants import grouped, patched

SIZES = (13,)
ALL = ("predict", "eval_gradient", "seeded_defects")
"""The probes that seeded defects are in, and these."""


def _comparing(change: Any) -> Any:
    """`rules.judge` given other answers: `change(actual, jax, oracle)` gives the three."""

    def make(original: Any) -> Any:
        return lambda actual, jax, oracle, *rest: original(*change(actual, jax, oracle), *rest)

    return make


def _judged(change: Any) -> Any:
    return patched((rules, "judge", _comparing(change)))


def _none_required(original: Any) -> Any:
    return lambda self, probe, size: []


def _each(change: Any) -> Any:
    """Every array of all three answers changed before it is compared."""

    def all_three(*answers: Answer) -> list[Answer]:
        return [{leaf: change(array) for leaf, array in answer.items()} for answer in answers]

    return all_three


def _sorted(array: Any) -> Any:
    return np.sort(array, axis=0) if array.ndim else array


def _finite(array: Any) -> Any:
    return np.nan_to_num(array) if rules.is_float(array) else array


def _only_finite(actual: Answer, jax: Answer, oracle: Answer) -> list[Answer]:
    """Leave out what is not finite in the answer, as a maximum that ignores NaN does."""

    def compared(leaf: str, array: Any) -> Any:
        comparable = leaf in jax and array.shape == jax[leaf].shape and rules.is_float(array)
        return np.where(np.isfinite(array), array, jax[leaf]).astype(array.dtype) if comparable else array

    return [{leaf: compared(leaf, array) for leaf, array in actual.items()}, jax, oracle]


def _first_thousand(array: Any) -> Any:
    return array.reshape(-1)[:1000]


def _float32(actual: Answer, jax: Answer, oracle: Answer) -> list[Answer]:
    def cast(array: Any) -> Any:
        return array.astype(np.float32) if rules.is_float(array) else array

    return [{leaf: cast(array) for leaf, array in answer.items()} for answer in (actual, jax)] + [oracle]


def _only_common(actual: Answer, jax: Answer, oracle: Answer) -> list[Answer]:
    common = set(actual) & set(jax) & set(oracle)
    return [{leaf: array for leaf, array in answer.items() if leaf in common} for answer in (actual, jax, oracle)]


def _without_first(actual: Answer, jax: Answer, oracle: Answer) -> list[Answer]:
    first = min(jax)
    return [{leaf: array for leaf, array in answer.items() if leaf != first} for answer in (actual, jax, oracle)]


def _empty(unchanged: Any) -> Any:
    def compute(self: Any, *arguments: Any) -> dict[str, Answer]:
        return {probe: {} for probe in unchanged(self, *arguments)}

    return compute


def _no_rows(unchanged: Any) -> Any:
    def compute(self: Any, *arguments: Any) -> dict[str, Answer]:
        answers = unchanged(self, *arguments)
        return {p: {leaf: a[:0] if a.ndim else a for leaf, a in answer.items()} for p, answer in answers.items()}

    return compute


def _in_float32(unchanged: Any) -> Any:
    """Compute the oracle by JAX in float32, and write its numbers as float64."""
    narrow: dict[int, Any] = {}

    def compute_at(self: Any, values: Any, evaluation: str, batch: Any, device: str) -> dict[str, Answer]:
        runtime = narrow.setdefault(id(self), Jax(self.model))
        wide = runtime.compute_at(values, evaluation, batch, device)
        return {
            probe: {leaf: compare.widen(a) if rules.is_float(a) else a for leaf, a in answer.items()}
            for probe, answer in wide.items()
        }

    return compute_at


def _own_state_in_float32(unchanged: Any) -> Any:
    at = _in_float32(unchanged)
    return lambda self, evaluation, batch, device: at(self, flatten(self.state), evaluation, batch, device)


def _inflated(unchanged: Any) -> Any:
    def budget(self: Any, *arguments: Any) -> Any:
        found = unchanged(self, *arguments)
        return replace(found, rms=1e6 * found.rms, max=1e6 * found.max)

    return budget


def _cached(unchanged: Any) -> Any:
    kept: dict[str, Any] = {}

    def compute(self: Any, evaluation: str, *arguments: Any) -> Any:
        if evaluation not in kept:
            kept[evaluation] = unchanged(self, evaluation, *arguments)
        return kept[evaluation]

    return compute


@contextmanager
def _limitless(bench: Bench) -> Iterator[None]:
    with mock.patch.object(Subject, "limit_of", return_value=float("inf")):
        yield


@contextmanager
def _untrained(bench: Bench) -> Iterator[None]:
    trained = bench.subject.trained
    metrics = replace(trained.metrics, eval_loss=[trained.initial_eval_loss])
    bench.subject = bench.subject.with_parts(trained=replace(trained, state=trained.initial, metrics=metrics))
    yield


def _not_planned(unchanged: Any) -> Any:
    return lambda self, probe: [] if probe.name == "batch_stats" else unchanged(self, probe)


def _failing(artifact: Any, data: Any) -> Any:
    raise ValueError("planted")


@contextmanager
def _swallowed(bench: Bench) -> Iterator[None]:
    """Plant a runtime that raises, and a score that is then empty."""

    def swallow(unchanged: Any) -> Any:
        def results(self: Any, *arguments: Any) -> Any:
            try:
                return unchanged(self, *arguments)
            except Exception:
                return []

        return results

    with bench.replaced({"predict": _failing}), mock.patch.object(Scores, "results", swallow(Scores.results)):
        yield


def _dropping(*patches: tuple[Any, str, Any]) -> Plant:
    """Functions of parity patched that what is kept of JAX and the oracle is made with, so it is made anew."""

    @contextmanager
    def plant(bench: Bench) -> Iterator[None]:
        bench.subject = bench.subject.with_parts(keep_answers=False)
        with patched(*patches)(bench):
            yield

    return plant


def _everywhere(change: Any) -> Plant:
    """Answers of TensorFlow, of JAX and of the oracle changed alike."""
    return _dropping(
        (TensorFlowRuntime, "compute", change),
        *((runtime, name, change) for runtime in (Jax, JaxFloat64) for name in ("compute", "compute_at")),
    )


def _first_call(calls: Any) -> Any:
    return calls[:1]


def _judging(name: str, change: Any) -> Fault:
    return Fault(name, "rules.judge", _judged(change), ALL, SIZES)


def _runtime(name: str, change: Any, asks: tuple[str, ...] = ALL, sizes: tuple[int, ...] | None = SIZES) -> Fault:
    return Fault(name, "TensorFlowRuntime.compute", patched((TensorFlowRuntime, "compute", change)), asks, sizes)


FAULTS = grouped(
    "harness",
    _judging("JAX's answer compared with itself", lambda actual, jax, oracle: (jax, jax, oracle)),
    _judging("the answer taken for its own oracle", lambda actual, jax, oracle: (actual, jax, actual)),
    _judging("answers sorted before they are compared", _each(_sorted)),
    Fault(
        "leaves that one side lacks skipped", "rules.judge",
        patched((rules, "judge", _comparing(_only_common)), (ReferenceAnswers, "leaves", _none_required)), ALL, SIZES,
    ),
    _judging("the first leaf never judged", _without_first),
    _judging("NaN and infinity replaced before comparing", _each(_finite)),
    _judging("NaN and infinity left out of the comparison", _only_finite),
    _judging("only the first thousand elements compared", _each(_first_thousand)),
    _judging("every dtype taken for float32", _float32),
    _runtime("TensorFlow's answers empty", _empty),
    _runtime("answers kept across batch sizes", _cached, ("predict",), None),
    Fault("all answers empty", "every runtime", _everywhere(_empty), ALL, SIZES),
    Fault("answers of no rows", "every runtime", _everywhere(_no_rows), ("predict",), SIZES),
    Fault(
        "the oracle equal to JAX", "JaxFloat64",
        _dropping((JaxFloat64, "compute_at", _in_float32), (JaxFloat64, "compute", _own_state_in_float32)),
        ALL, SIZES,
    ),
    Fault("an infinite limit", "Subject.limit_of", _limitless, (*ALL, "power"), SIZES),
    Fault(
        "budgets a million times too large", "Ensemble._budget", _dropping((Ensemble, "_budget", _inflated)),
        (*ALL, "power"), SIZES,
    ),
    Fault(
        "only the first call recorded", "runtimes.CALLS",
        _dropping(*((module, "CALLS", _first_call) for module in (jax, jax_float64, _module))),
        ("train_loss", "batch_stats"),
        SIZES,
    ),
    Fault("a runtime's error swallowed", "Scores.results", _swallowed, ("predict",), SIZES),
    Fault(
        "a probe no longer asked", "Planner.items", patched((Planner, "items", _not_planned)),
        ("batch_stats", "predict"), SIZES,
    ),
    Fault("a model that was not trained", "training.train", _untrained, ("training",)),
)  # fmt: skip
