"""Whatever blinds the subject is told by a canary, and nothing that does not."""

from contextlib import nullcontext

import numpy as np
import pytest

from parity.core.ledger import Ledger
from parity.probes import seeded_defects as canaries
from parity.probes.power import PowerStudy
from parity.records import FAIL, PASS
from parity.runtimes import JAX, JAX_FLOAT64, RUNTIMES, SAVED_MODEL
from parity.scoring import rules
from parity.scoring.rules import Budget, LeafResult
from parity.session.examination import Examination
from parity.session.selection import Selection
from parity.tests.support import samples, tiny

pytestmark = pytest.mark.slow

SIZE = 13
ASKED = canaries.asked(tiny.tiny.probes, RUNTIMES)


@pytest.fixture(scope="module")
def study(tiny_subject):
    return PowerStudy(tiny_subject)


@pytest.fixture
def bench(tiny_subject, study):
    return tiny_subject, study


def blind(bench, asked=ASKED):
    """What the canaries say that the subject does not see, by name and runtime."""
    subject, study = bench
    found = {(name, runtime): canaries.result(name, subject, study, runtime, SIZE) for name, runtime in asked}
    return {key: j.message for key, j in found.items() if j.status == FAIL}


def test_an_honest_harness_sees_everything(bench):
    assert blind(bench) == {}


def test_every_canary_is_asked_and_the_moved_weight_of_every_runtime_in_this_process():
    assert {name for name, _ in ASKED} == set(canaries.CANARIES)
    moved = {runtime for name, runtime in ASKED if name == "moved_weight"}
    assert moved == {"tf_eager", "tf_graph", "tf_xla", "saved_model"}
    assert {r for _, r in canaries.asked(tiny.tiny.probes, ("saved_model_fresh",))} == {"saved_model_fresh"}
    assert canaries.asked(tiny.tiny.probes, (JAX,)) == [("ninth_member", JAX)]


def test_a_canary_that_can_plant_nothing_is_no_pass(bench, monkeypatch):
    monkeypatch.setitem(canaries.PLANTS, "nan", lambda answer, budgets, limit: answer)
    assert blind(bench, [("nan", SAVED_MODEL)]) == {("nan", SAVED_MODEL): "blind: no leaf can have this defect"}
    assert canaries.asked(("rng", "accuracy"), RUNTIMES) == []
    assert canaries.planted_in(("train_loss", "rng")) == ["train_loss"]


EVERY = set(canaries.PLANTS)
judge, judge_leaf = rules.judge, rules._judge_leaf


def each(change):
    """`rules.judge` that changes every float array of the runtime's answer before it looks at it."""

    def blinded(actual, jax, oracle, budgets, limit, *other):
        def of(answer):
            return {leaf: change(a) if rules.is_float(a) else a for leaf, a in answer.items()}

        return judge(of(actual), of(jax), of(oracle), budgets, limit, *other)

    return blinded


def with_itself(actual, jax, oracle, budgets, limit, *other):
    return judge(jax, jax, oracle, budgets, limit, *other)


def skipping(actual, jax, oracle, budgets, limit, *other):
    return [judge_leaf(leaf, actual[leaf], jax.get(leaf), oracle.get(leaf), budgets, limit, *other) for leaf in actual]


def always(actual, jax, oracle, budgets, limit, *other):
    return [LeafResult(leaf, PASS, score=0.0) for leaf in jax]


def all_but_last(array):
    flat = array.reshape(-1)
    return flat[:-1] if flat.size > 1 else flat


@pytest.mark.parametrize(
    ("blinded", "told"),
    [
        (always, {"moved_weight", *EVERY}),
        (with_itself, {"moved_weight", *EVERY}),
        (skipping, {"dropped_leaf", "empty_answer"}),
        (each(all_but_last), {"last_element"}),
        (each(lambda a: a.astype(np.float64)), {"float64_answer"}),
    ],
)
def test_a_blinded_judgement_is_told_by_the_canaries_that_it_blinds(bench, monkeypatch, blinded, told):
    monkeypatch.setattr(rules, "judge", blinded)
    assert told <= {name for name, _ in blind(bench)}


def test_what_blinds_to_row_order_alone_leaves_the_other_canaries_alone(bench, monkeypatch):
    monkeypatch.setattr(rules, "judge", each(lambda a: np.sort(a, axis=None)))
    assert {name for name, _ in blind(bench)} == {"reversed_rows"}


@pytest.mark.parametrize(("is_bad", "told"), [(np.isnan, "nan"), (np.isinf, "infinity")])
def test_masked_and_clipped_values_are_told(bench, monkeypatch, is_bad, told):
    def mended(actual, jax, *rest):
        return judge({leaf: np.where(is_bad(a), jax[leaf], a) for leaf, a in actual.items()}, jax, *rest)

    monkeypatch.setattr(rules, "judge", mended)
    assert set(blind(bench)) == {(told, SAVED_MODEL)}


def test_a_limit_that_nothing_exceeds_is_told(bench, monkeypatch):
    subject, _ = bench
    monkeypatch.setattr(subject, "limit", float("inf"))
    assert "would have to be off by inf relative" in blind(bench)["moved_weight", "tf_graph"]


@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_budgets_that_are_too_wide_or_too_narrow_are_told(bench, monkeypatch, factor):
    subject, study = bench
    budgets = subject.budgets

    def scaled(evaluation, size):
        found = budgets(evaluation, size)
        return {p: {leaf: Budget(b.rms * factor, b.max * factor, b.source, b.bias) for leaf, b in by_leaf.items()}
                for p, by_leaf in found.items()}  # fmt: skip

    monkeypatch.setattr(subject, "budgets", scaled)
    assert "an answer as good as those" in blind((subject, study), [("ninth_member", JAX)])["ninth_member", JAX]


def test_an_oracle_that_nobody_holds_to_account_is_told(bench, monkeypatch):
    monkeypatch.setattr(rules, "judge_oracle", lambda oracle, *rest: [LeafResult(leaf, PASS) for leaf in oracle])
    assert set(blind(bench)) == {("false_oracle", JAX_FLOAT64)}


def test_weights_that_are_constants_are_told(bench, monkeypatch):
    subject, _ = bench
    monkeypatch.setattr(subject.runtime("tf_graph"), "holding", lambda *moved: nullcontext())
    assert set(blind(bench)) == {("moved_weight", "tf_graph")}


def test_answers_that_are_kept_from_another_question_are_told(bench, monkeypatch):
    subject, _ = bench
    runtime, kept = subject.runtime("tf_xla"), {}
    compute = runtime.compute

    def computed_once(evaluation, batch, device):
        if evaluation not in kept:
            kept[evaluation] = compute(evaluation, batch, device)
        return kept[evaluation]

    monkeypatch.setattr(runtime, "compute", computed_once)
    for evaluation in ("predict", "evaluate"):
        subject.ask("tf_xla", evaluation, subject.batch(SIZE))
    assert set(blind(bench)) == {("moved_weight", "tf_xla")}


def test_judgements_that_are_kept_from_another_question_are_told(bench, monkeypatch):
    subject, _ = bench
    results, kept = subject.results, {}
    monkeypatch.setattr(subject, "results", lambda q: kept.setdefault((q.runtime, q.probe), results(q)))
    assert ("moved_weight", "tf_graph") in blind(bench)


def test_an_oracle_that_does_not_follow_the_weights_is_told(bench, monkeypatch):
    subject, _ = bench
    oracle = subject.runtime(JAX_FLOAT64)
    honest = oracle.compute_from
    trained = subject.trained.state
    monkeypatch.setattr(oracle, "compute_from", lambda state, *rest: honest(trained, *rest))
    said = blind(bench, [("moved_weight", "tf_graph")])["moved_weight", "tf_graph"]
    assert "moved on both sides is not in order" in said


def test_a_canary_leaves_nothing_behind(bench):
    subject, _ = bench
    question = samples.item("eval_gradient", SAVED_MODEL, SIZE)
    before = subject.results(question)
    assert blind(bench) == {}
    subject.use(SAVED_MODEL, subject.runtime(SAVED_MODEL))
    assert subject.results(question) == before
    assert {j.status for j in before} == {PASS}


@pytest.mark.parametrize(
    ("probe", "kept", "missing"),
    [
        ("predict", slice(0, 0), {"output"}),
        ("eval_gradient", slice(1, None), {"hidden/bias"}),
        ("train_gradient", slice(0, -1), {"call_2/output"}),
    ],
)
def test_a_question_whose_judgements_skip_a_leaf_does_not_pass(bench, monkeypatch, probe, kept, missing):
    subject, _ = bench
    selection = Selection({"tiny": tiny.tiny}, ("tf_graph",), (probe,), (SIZE,))
    examination = Examination(selection, "cell", None, Ledger())
    examination.import_frameworks()
    examination._subjects["tiny"] = subject
    question = samples.item(probe, "tf_graph", SIZE)
    examination.check(question)
    honest = len(examination.run.checks)
    results = subject.results
    monkeypatch.setattr(subject, "results", lambda asked: results(asked)[kept])
    with pytest.raises(pytest.fail.Exception, match="was not judged"):
        examination.check(question)
    found = examination.run.checks[honest:]
    assert {c.leaf for c in found if c.status == "missing"} == missing
    assert len(found) == honest


def test_leaves_that_both_sides_skip_are_missed_as_well(bench):
    subject, _ = bench
    train = subject.kept(JAX, "evaluate", SIZE)
    del train["eval_gradient"]["output"]
    try:
        assert "output" in subject.leaves("eval_gradient", SIZE)
    finally:
        subject._answers.clear()
