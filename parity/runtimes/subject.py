"""The subject: turns questions about a case into results.

Everything that several questions share (compiled functions, JAX's answers, the oracle, budgets) is made once.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from parity.cases.case import Case, State
from parity.cases.specs import Answer, Batch
from parity.core.errors import ParityError
from parity.core.ledger import FRAMEWORKS, Ledger
from parity.core.progress import Report, silent
from parity.export import bundles
from parity.export import conversion as export
from parity.records import BudgetRecord, PlanItem
from parity.runtimes import CALLS, EVALUATION_OF, EVALUATIONS, JAX, JAX_FLOAT64, BaseRuntime
from parity.runtimes.preparation import FIRST_CPU, Preparation, own_device
from parity.scoring import kinks, rules
from parity.scoring.rules import Budget, Ensemble, LeafResult

Answers = dict[str, Answer]


class Subject(Preparation):
    """One case under test, prepared, and what is found about it.

    Args:
        case, ledger, progress, workdir: as of `Preparation`.
    """

    def __init__(self, case: Case, ledger: Ledger, progress: Report = silent, workdir: Path | None = None) -> None:
        super().__init__(case, ledger, progress, workdir)
        self.limit = case.limit.score if case.limit else rules.LIMIT
        self._answers: dict[tuple[str, str, int, str], Answers] = {}
        self._budgets: dict[tuple[str, int], dict[str, dict[str, Budget]]] = {}
        self._kinks: dict[tuple[str, int], list[Answers]] = {}
        self._replaced = False
        self._judgements: dict[tuple[str, str, int, str, str], dict[str, list[LeafResult]] | ParityError] = {}

    def use(self, name: str, runtime: BaseRuntime) -> None:
        """Let `runtime` answer under `name` from now on, and forget what was judged under it."""
        self._runtimes[name] = runtime
        self._judgements = {key: found for key, found in self._judgements.items() if key[0] != name}

    def use_bundle(self, path: Path) -> None:
        """Let whatever reads a bundle read the one at `path` from now on, and forget what was judged."""
        self.__dict__["bundle"] = path
        self._runtimes = {name: r for name, r in self._runtimes.items() if name in (JAX, JAX_FLOAT64)}
        self._judgements = {}

    @contextmanager
    def instead(self, runtimes: Mapping[str, BaseRuntime]) -> Iterator[None]:
        """With `runtimes` answering under their names; what is found meanwhile is forgotten afterwards."""
        honest = {name: self.runtime(name) for name in runtimes}
        before = dict(self._answers), dict(self._budgets), dict(self._judgements)
        self._runtimes.update(runtimes)
        self._answers = {key: found for key, found in self._answers.items() if key[0] not in runtimes}
        self._judgements = {}
        self._replaced = JAX_FLOAT64 in runtimes
        try:
            yield
        finally:
            self._replaced = False
            self._runtimes.update(honest)
            self._answers, self._budgets, self._judgements = before

    def ask(self, runtime: str, evaluation: str, batch: Batch, device: str = FIRST_CPU) -> Answers:
        """A runtime's answers about any batch, by probe, not kept."""
        opened = self.runtime(runtime)
        with self._ledger.spend(FRAMEWORKS):
            return opened.evaluate(evaluation, batch, device)

    def answers(self, runtime: str, evaluation: str, size: int, device: str) -> Answers:
        """A runtime's answers about the batch of that size, by probe, not kept."""
        return self.ask(runtime, evaluation, self.batch(size), device)

    def kept(self, runtime: str, evaluation: str, size: int, device: str = FIRST_CPU) -> Answers:
        """JAX's or the oracle's answers by probe, kept for all that are compared with them."""
        key = (runtime, evaluation, self.batch(size).size, device)
        if key not in self._answers:
            self._answers[key] = self.answers(*key)
        return self._answers[key]

    def budgets(self, evaluation: str, size: int) -> dict[str, dict[str, Budget]]:
        """Budgets by probe and leaf, from the ensemble of float32 evaluations."""
        batch = self.batch(size)
        key = (evaluation, batch.size)
        if key not in self._budgets:
            oracle = self.kept(JAX_FLOAT64, evaluation, batch.size)
            members = range(rules.MEMBERS)
            states = zip(self._perturbed_states, members, strict=True)
            found = (self._member(evaluation, batch, state, member) for state, member in states)
            budgets = _budgets(oracle, found, "inputs and parameters")
            if any(not b.max for by_leaf in budgets.values() for b in by_leaf.values()):
                rounding = _budgets(oracle, self._rounding(evaluation, batch, members), "every rounded result")
                for probe, by_leaf in budgets.items():
                    by_leaf.update({leaf: rounding[probe][leaf] for leaf, b in by_leaf.items() if not b.max})
            self._budgets[key] = budgets
        return self._budgets[key]

    @cached_property
    def _perturbed_states(self) -> list[State]:
        return [self._perturbed_state(np.random.default_rng(m)) for m in range(rules.MEMBERS)]

    def _perturbed_state(self, rng: np.random.Generator) -> State:
        state = self.trained.state
        params, other = export.map_leaves(lambda a: rules.perturb(a, rng), (state.params, state.other))
        return State(params, other, state.rng)

    def _member(self, evaluation: str, batch: Batch, state: State, member: int) -> Answers:
        return self.answers_from(JAX, state, evaluation, self._perturbed_batch(batch, member))

    def _perturbed_batch(self, batch: Batch, member: int) -> Batch:
        rng = np.random.default_rng((member, batch.size))
        return batch.map(lambda a: rules.perturb(a, rng))

    def further_member(self, evaluation: str, size: int) -> Answers:
        """An evaluation like those of the ensemble, and not among them."""
        state = self._perturbed_state(np.random.default_rng(rules.MEMBERS))
        return self._member(evaluation, self.batch(size), state, rules.MEMBERS)

    def _rounding(self, evaluation: str, batch: Batch, seeds: range) -> Iterator[Answers]:
        opened: Any = self.runtime(JAX)
        with self._ledger.spend(FRAMEWORKS):
            yield from opened.compute_rounding(evaluation, batch, seeds)

    def answers_from(self, runtime: str, state: State, evaluation: str, batch: Batch) -> Answers:
        """The answers of JAX or the oracle from another state."""
        opened: Any = self.runtime(runtime)
        with self._ledger.spend(FRAMEWORKS):
            answers: Answers = opened.compute_from(state, evaluation, batch, FIRST_CPU)
            return answers

    def budget_records(self, probe: str, size: int) -> list[BudgetRecord]:
        """The budgets of a probe, with their source."""
        size = self.batch(size).size
        budgets = self.budgets(EVALUATION_OF[probe], size)[probe]
        return [BudgetRecord(self.case.name, probe, size, leaf, b.rms, b.max, b.source) for leaf, b in budgets.items()]

    def anew(self) -> Subject:
        """A subject over the same trained case and bundle that has judged nothing yet.

        It shares what is kept of JAX's and the oracle's answers, until `forget`; what else is changed about it is not
        seen by this one.
        """
        other = copy.copy(self)
        other._temporary = False
        other._runtimes, other._batches = dict(self._runtimes), dict(self._batches)
        other._judgements, other._failures = {}, {}
        return other

    def forget(self) -> None:
        """Keep no answers and no budgets: they are asked for again."""
        self._answers, self._budgets, self._judgements, self._kinks = {}, {}, {}, {}

    def results(self, question: PlanItem) -> list[LeafResult]:
        """The result of every leaf of a question.

        Raises:
            ParityError: the runtime failed; for every question that this evaluation was to answer.
        """
        evaluation, size = EVALUATION_OF[question.probe], self.batch(question.batch_size).size
        key = (question.runtime, evaluation, size, question.jax_device, question.tf_device)
        if key not in self._judgements:
            try:
                self._judgements[key] = self._judge(question, evaluation, size)
            except ParityError as error:
                self._judgements[key] = error
        found = self._judgements[key]
        if isinstance(found, ParityError):
            raise found.with_traceback(None)
        return found[question.probe]

    def leaves(self, probe: str, size: int) -> list[str]:
        """What an answer must have: the leaves of JAX's answer, and of gradients and statistics, the state's own."""
        found = list(self.kept(JAX, EVALUATION_OF[probe], size).get(probe, ()))
        state = export.state_leaves(self.trained.state)
        named = {
            "eval_gradient": [s.leaf for s in state if s.trainable],
            "train_gradient": [f"call_{call}/{s.leaf}" for call in CALLS for s in state if s.trainable],
            "batch_stats": [f"call_{call}/{s.leaf}" for call in CALLS for s in state if not s.trainable],
        }
        return list(dict.fromkeys([*found, *named.get(probe, ())]))

    def _judge(self, question: PlanItem, evaluation: str, size: int) -> dict[str, list[LeafResult]]:
        runtime, device = question.runtime, own_device(question)
        oracle, jax = self.kept(JAX_FLOAT64, evaluation, size), self.kept(JAX, evaluation, size)
        if runtime == JAX_FLOAT64:
            own = oracle if device == FIRST_CPU else self.answers(runtime, evaluation, size, device)
            budgets = {} if evaluation == "accuracy" else self.budgets(evaluation, size)
            return {
                probe: rules.judge_oracle(own.get(probe, {}), jax[probe], oracle[probe], budgets.get(probe, {}))
                for probe in EVALUATIONS[evaluation]
            }
        if runtime == JAX:
            own = self.kept(JAX, evaluation, size, device)
        else:
            own = self.answers(runtime, evaluation, size, device)
            jax = self.kept(JAX, evaluation, size, question.jax_device)
        if evaluation == "accuracy":
            return {"accuracy": [self._judge_accuracy(own["accuracy"], jax["accuracy"], oracle["accuracy"], size)]}
        judged = self._judged(evaluation, size, own, jax, oracle)
        if kinks.possible(judged):
            for other in self._beyond_kinks(evaluation, size):
                explained = kinks.explained(self._judged(evaluation, size, own, jax, other), judged)
                if explained is not None:
                    return explained
        return judged

    def _judged(
        self, evaluation: str, size: int, own: Answers, jax: Answers, oracle: Answers
    ) -> dict[str, list[LeafResult]]:
        budgets = self.budgets(evaluation, size)
        return {
            probe: rules.judge(own.get(probe, {}), jax[probe], oracle[probe], budgets[probe], self.limit)
            for probe in EVALUATIONS[evaluation]
        }

    def _beyond_kinks(self, evaluation: str, size: int) -> list[Answers]:
        """The oracle's answers to questions a few ulp away that lie beyond a kink; mostly none."""
        key = (evaluation, size)
        if self._replaced:
            return []  # whoever stands in for the oracle answers one question only
        if key not in self._kinks:
            oracle, budgets = self.kept(JAX_FLOAT64, evaluation, size), self.budgets(evaluation, size)
            self._kinks[key] = list(kinks.beyond(oracle, self._around(evaluation, size), budgets, self.limit))
        return self._kinks[key]

    def _around(self, evaluation: str, size: int) -> Iterator[Answers]:
        """The oracle's answers to the questions of the ensemble, further from the one that is asked."""
        state, batch = self.trained.state, self.batch(size)
        for member, near in enumerate(self._perturbed_states):
            moved = self._perturbed_batch(batch, member)
            for times in kinks.SCALES:
                params, other = kinks.farther((state.params, state.other), (near.params, near.other), times)
                data, labels = kinks.farther((batch.data, batch.labels), (moved.data, moved.labels), times)
                yield self.answers_from(JAX_FLOAT64, State(params, other, state.rng), evaluation, Batch(data, labels))

    def _judge_accuracy(self, own: Answer, jax: Answer, oracle: Answer, size: int) -> LeafResult:
        return rules.judge_accuracy(own, jax, oracle, size, self.ambiguous_rows(size))

    def ambiguous_rows(self, size: int) -> int:
        """Examples whose two best scores are too close to tell the runtimes' argmax apart."""
        scores = self.kept(JAX_FLOAT64, "predict", size)["predict"]
        budgets = self.budgets("predict", size)["predict"]
        return max((rules.ambiguous_rows(scores[leaf], budgets[leaf], self.limit) for leaf in budgets), default=0)

    def fill_bundle(self, folder: Path, sizes: Iterable[int]) -> None:
        """Add JAX's answers, the oracle and the budgets to a bundle that is being written."""
        rows: list[BudgetRecord] = []
        for size in sizes:
            for probe in self.case.probes:
                evaluation = EVALUATION_OF[probe]
                if probe != rules.ACCURACY:
                    rows += self.budget_records(probe, size)
                bundles.save_answer(folder, "answers", probe, size, self.kept(JAX, evaluation, size)[probe])
                bundles.save_answer(folder, "oracle", probe, size, self.kept(JAX_FLOAT64, evaluation, size)[probe])
        bundles.save_budgets(folder, rows)


def _budgets(oracle: Answers, members: Iterable[Answers], perturbed: str) -> dict[str, dict[str, Budget]]:
    ensembles = {probe: Ensemble(answer) for probe, answer in oracle.items()}
    for answers in members:
        for probe, answer in answers.items():
            ensembles[probe].add(answer)
    source = (
        f"{rules.MEMBERS} float32 evaluations, jax {export.jax.__version__} on {FIRST_CPU}; {perturbed} "
        f"perturbed by up to 1 ulp, seeds 0 to {rules.MEMBERS - 1}"
    )
    return {probe: ensemble.budgets(source) for probe, ensemble in ensembles.items()}
