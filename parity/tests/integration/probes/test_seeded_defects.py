"""Whatever blinds a run is found by a seeded defect, and a run that is not blind finds them all."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from parity.core.ledger import TimeLedger
from parity.probes import evaluation as asking
from parity.probes.declaration import Scope
from parity.probes.evaluation import Place, Scores
from parity.probes.power import PowerStudy
from parity.probes.seeded_defects import PROBE, _defect, defects, result, wrong_answers
from parity.records import FAIL, PASS
from parity.runtimes.base import AtState, FixedAnswers, Runtime
from parity.runtimes.jax import Jax
from parity.runtimes.jax_float64 import JaxFloat64
from parity.runtimes.reference import ReferenceAnswers
from parity.runtimes.registry import require, runtimes
from parity.runtimes.subject import Subject
from parity.scoring import rules
from parity.scoring.rules import Budget, Ensemble, LeafResult
from parity.session.asserting import call_test
from parity.session.run import RunSession
from parity.session.selection import Selection
from parity.studies.faults import bench
from parity.tests.support import samples, tiny
from parity.tests.support.scores import SIZE, results

pytestmark = pytest.mark.slow


def planned(case=tiny.tiny, names=None):
    """The defects that are planned, each with its runtime, where the runtimes `names` are selected; all by default."""
    selected = [runtime for name, runtime in runtimes().items() if names is None or name in names]
    scope = Scope(case=case, runtimes=selected, probes=(PROBE.name,), sizes=(SIZE,))
    return [(item.variant, item.runtime) for item in PROBE.plan(scope, PROBE)]


@pytest.fixture
def subject(tiny_subject):
    """A copy of the tiny subject, with the power that is measured where nothing is wrong."""
    copy = tiny_subject.with_parts()
    copy._resources[PowerStudy] = tiny_subject.shared(PowerStudy)
    return copy


def blind(subject, seeded=None):
    """What the run does not find, by defect and runtime."""
    pairs = planned() if seeded is None else seeded
    found = {(name, runtime): result(defects()[name], subject, Place(runtime), SIZE) for name, runtime in pairs}
    return {key: r.message for key, r in found.items() if r.status == FAIL}


def test_where_nothing_is_wrong_every_defect_is_found(subject):
    assert blind(subject) == {}


def test_every_defect_is_planned_and_the_moved_weight_on_every_runtime_that_answers_from_any_state():
    assert {name for name, _ in planned()} == set(defects())
    assert {"moved_weight", "held_out_member", "false_oracle", *wrong_answers.CHANGES} == set(defects())
    moved = {runtime for name, runtime in planned() if name == "moved_weight"}
    assert moved == {"tf_eager", "tf_graph", "tf_xla", "saved_model"}
    assert {runtime for _, runtime in planned(names=["saved_model_fresh"])} == {"saved_model_fresh"}
    assert planned(names=["jax"]) == [("held_out_member", "jax")]


def test_a_defect_that_no_leaf_can_have_is_no_pass(subject, monkeypatch):
    monkeypatch.setitem(wrong_answers.CHANGES, "nan", lambda answer, budgets, limit: answer)
    assert set(blind(subject, [("nan", "saved_model")])) == {("nan", "saved_model")}
    assert planned(tiny.case(probes=("rng", "accuracy"))) == []
    can = require("saved_model").capabilities
    assert _defect.probes_with_defects(("train_loss", "rng"), can) == ["train_loss"]


def classes(state, data):
    return tiny.predict(state, data).argmax(-1)


@pytest.fixture
def of_integers(subject_of):
    return subject_of(tiny.case(predict=classes, probes=("predict", "eval_gradient"), accuracy=None))


def test_beside_integers_the_defects_that_need_a_float_are_found_in_gradients(of_integers):
    seeded = [(name, "saved_model") for name in (*wrong_answers.CHANGES, "moved_weight")]
    assert blind(of_integers, [*seeded, ("held_out_member", "jax"), ("false_oracle", "jax_float64")]) == {}


def test_integers_alone_are_judged_exactly_and_their_defects_can_fail(of_integers, monkeypatch):
    subject = of_integers.with_parts(case=tiny.case(predict=classes, probes=("predict",), accuracy=None))
    seeded = [(name, "saved_model") for name in wrong_answers.DISCRETE]
    assert blind(subject, seeded) == {}
    assert {r.score for r in results(subject, "predict", "saved_model")} == {0.0}
    assert set(blind(subject, [("moved_weight", "saved_model")])) == {("moved_weight", "saved_model")}
    monkeypatch.setattr(rules, "judge", always)
    blinded = subject.with_parts(keep_answers=False)
    assert set(blind(blinded, seeded)) == set(seeded)


def masked(by_class, by_data):
    """Make a function for scores of which one has a forbidden class, and the other what negative data forbid."""

    def predict(state, data):
        scores = tiny.logits(state[0], data)
        return {
            "by_class": jnp.where(jnp.arange(3) < 2, scores, by_class),
            "by_data": jnp.where(data[:, :3] > 0, scores, by_data),
        }

    return predict


@pytest.mark.parametrize(("by_class", "by_data"), [(-jnp.inf, jnp.nan), (-1e9, -1e9)])
def test_beside_a_mask_every_runtime_is_in_order_and_every_defect_is_found(
    subject_of, tiny_subject, by_class, by_data
):  # fmt: skip
    case = tiny.case(predict=masked(by_class, by_data), probes=("predict",), accuracy=None)
    subject = subject_of(case, trained=replace(tiny_subject.trained, case=case))
    for runtime in ("jax", "jax_float64", "saved_model"):
        found = {r.leaf: r for r in results(subject, "predict", runtime)}
        assert {leaf: r.status for leaf, r in found.items()} == dict.fromkeys(("by_class", "by_data"), PASS)
        assert all(0 < r.score < 4 and bool(r.message) == np.isinf(by_class) for r in found.values())
    seeded = [(name, "saved_model") for name in (*wrong_answers.CHANGES, "moved_weight")]
    assert blind(subject, [*seeded, ("held_out_member", "jax"), ("false_oracle", "jax_float64")]) == {}
    own = subject.evaluate("saved_model", "predict", subject.batch(SIZE))["predict"]
    wrong = {leaf: np.where(np.abs(a) < 1e6, a * np.float32(1.0001), a) for leaf, a in own.items()}
    answering = subject.with_runtimes({"saved_model": FixedAnswers(subject.runtime("saved_model"), {"predict": wrong})})
    assert {r.status for r in results(answering, "predict", "saved_model")} == {FAIL}


@pytest.mark.parametrize("name", ["nan", "infinity", "last_element"])
@pytest.mark.parametrize("last", [np.inf, -np.inf, np.nan])
def test_a_wrong_value_takes_the_place_of_a_number(name, last):
    right = {"scores": np.array([np.nan, -np.inf, 2.0, 1.0, last], np.float32)}
    wrong = wrong_answers.CHANGES[name](right, {"scores": Budget(1e-7, 1e-7)}, 4.0)["scores"]
    differ = np.flatnonzero(~((wrong == right["scores"]) | (np.isnan(wrong) & np.isnan(right["scores"]))))
    assert differ.tolist() == [4 if name == "last_element" else 3]


EVERY = set(wrong_answers.CHANGES)
judge, judge_leaf = rules.judge, rules.judge_leaf


def each(change):
    """`rules.judge` that changes every float array of the answers before it looks at them."""

    def blinded(actual, jax, oracle, budgets, limit, *other):
        def changed(answer):
            return {leaf: change(a) if rules.is_float(a) else a for leaf, a in answer.items()}

        return judge(changed(actual), changed(jax), changed(oracle), budgets, limit, *other)

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
    ("blinded", "overlooked"),
    [
        (always, {"moved_weight", *EVERY}),
        (with_itself, {"moved_weight", *EVERY}),
        (each(all_but_last), {"last_element"}),
        (each(lambda a: a.astype(np.float64)), {"float64_answer"}),
    ],
)
def test_scoring_that_is_blind_overlooks_the_defects_that_it_is_blind_to(subject, monkeypatch, blinded, overlooked):
    monkeypatch.setattr(rules, "judge", blinded)
    assert overlooked <= {name for name, _ in blind(subject)}


def test_leaves_that_are_skipped_are_overlooked_where_nothing_requires_them(subject, monkeypatch):
    monkeypatch.setattr(rules, "judge", skipping)
    lost = [("dropped_leaf", "saved_model"), ("empty_answer", "saved_model")]
    assert blind(subject, lost) == {}
    monkeypatch.setattr(ReferenceAnswers, "leaves", lambda self, probe, size: [])
    assert set(blind(subject)) == set(lost)


def test_scoring_that_is_blind_to_the_order_of_rows_finds_all_other_defects(subject, monkeypatch):
    monkeypatch.setattr(rules, "judge", each(lambda a: np.sort(a, axis=None)))
    assert {name for name, _ in blind(subject)} == {"reversed_rows"}


@pytest.mark.parametrize(("is_bad", "overlooked"), [(np.isnan, "nan"), (np.isinf, "infinity")])
def test_values_that_are_masked_or_clipped_are_overlooked(subject, monkeypatch, is_bad, overlooked):
    def masked(actual, jax, *rest):
        return judge({leaf: np.where(is_bad(a), jax[leaf], a) for leaf, a in actual.items()}, jax, *rest)

    monkeypatch.setattr(rules, "judge", masked)
    assert set(blind(subject)) == {(overlooked, "saved_model")}


def test_a_limit_that_no_score_exceeds_overlooks_a_moved_weight(subject, monkeypatch):
    monkeypatch.setattr(Subject, "limit_of", lambda self, probe: float("inf"))
    monkeypatch.setitem(subject._resources, PowerStudy, PowerStudy(subject))
    pair = ("moved_weight", "tf_graph")
    assert set(blind(subject, [pair])) == {pair}


@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_budgets_that_are_too_wide_or_too_narrow_do_not_fit_a_held_out_member(subject, monkeypatch, factor):
    budgets = Ensemble.budgets

    def scaled(self, source):
        found = budgets(self, source)
        return {leaf: Budget(b.rms * factor, b.max * factor, b.source, b.bias) for leaf, b in found.items()}

    monkeypatch.setattr(Ensemble, "budgets", scaled)
    anew = subject.with_parts(keep_answers=False)
    anew.batch(SIZE)
    pair = ("held_out_member", "jax")
    assert set(blind(anew, [pair])) == {pair}


def test_an_oracle_that_nothing_checks_is_overlooked(subject, monkeypatch):
    monkeypatch.setattr(asking, "judge_oracle", lambda oracle, *rest: [LeafResult(leaf, PASS) for leaf in oracle])
    assert set(blind(subject)) == {("false_oracle", "jax_float64")}


class WithConstants(AtState):
    """A runtime whose weights are constants: another state changes nothing."""

    def __init__(self, inner):
        super().__init__(inner, ())

    def compute(self, evaluation, batch, device):
        return self._inner.compute(evaluation, batch, device)

    def compute_at(self, values, evaluation, batch, device):
        return self._inner.compute(evaluation, batch, device)


def test_weights_that_are_constants_are_found_by_a_moved_weight(subject):
    constant = subject.with_runtimes({"tf_graph": WithConstants(subject.runtime("tf_graph"))})
    constant._resources[PowerStudy] = subject.shared(PowerStudy)
    assert set(blind(constant)) == {("moved_weight", "tf_graph")}


class Cached(Runtime):
    """A runtime that computes an evaluation once, whatever state it is asked about."""

    def __init__(self, inner):
        super().__init__(inner.model)
        self._inner, self._kept = inner, {}

    def available_devices(self):
        return self._inner.available_devices()

    def compute(self, evaluation, batch, device):
        if evaluation not in self._kept:
            self._kept[evaluation] = self._inner.compute(evaluation, batch, device)
        return self._kept[evaluation]

    def compute_at(self, values, evaluation, batch, device):
        return self.compute(evaluation, batch, device)


def test_answers_that_are_kept_from_another_state_are_found_by_a_moved_weight(subject):
    cached = subject.with_runtimes({"tf_xla": Cached(subject.runtime("tf_xla"))})
    cached._resources[PowerStudy] = subject.shared(PowerStudy)
    for evaluation in ("predict", "evaluate"):
        cached.evaluate("tf_xla", evaluation, cached.batch(SIZE))
    assert set(blind(cached)) == {("moved_weight", "tf_xla")}


def test_results_that_are_kept_from_another_subject_are_found_by_a_moved_weight(subject, monkeypatch):
    scored, kept = Scores.results, {}

    def once(self, probe, place, size):
        key = (probe, place.runtime)
        if key not in kept:
            kept[key] = scored(self, probe, place, size)
        return kept[key]

    for probe in ("predict", "eval_gradient"):
        kept[probe, "tf_graph"] = results(subject, probe, "tf_graph")
    monkeypatch.setattr(Scores, "results", once)
    assert ("moved_weight", "tf_graph") in blind(subject)


def test_an_oracle_that_does_not_follow_the_weights_is_found_by_a_moved_weight(subject, monkeypatch):
    oracle = subject.runtime("jax_float64")
    monkeypatch.setattr(oracle, "compute_at", lambda values, *rest: oracle.compute(*rest))
    pair = ("moved_weight", "tf_graph")
    assert set(blind(subject, [pair])) == {pair}


def test_a_defect_leaves_nothing_behind(subject):
    before = results(subject, "eval_gradient", "saved_model")
    assert blind(subject) == {}
    assert results(subject, "eval_gradient", "saved_model") == before
    assert results(subject.with_parts(keep_answers=False), "eval_gradient", "saved_model") == before
    assert {r.status for r in before} == {PASS}


@pytest.mark.parametrize(
    ("probe", "kept", "missing"),
    [
        ("predict", slice(0, 0), {"output"}),
        ("eval_gradient", slice(1, None), {"hidden/bias"}),
        ("train_gradient", slice(0, -1), {"call_2/output"}),
    ],
)
def test_a_leaf_that_is_not_scored_does_not_pass(subject, monkeypatch, probe, kept, missing):
    selection = Selection({"tiny": tiny.tiny}, (runtimes()["tf_graph"],), (probe,), (SIZE,))
    session = RunSession(selection, "cell", None, TimeLedger(), subjects={"tiny": subject})
    item, test = samples.item(probe, "tf_graph", SIZE), bench.tests()[probe]
    call_test(test, session, item)
    complete = len(session.run.checks)
    judged = rules.judge
    monkeypatch.setattr(rules, "judge", lambda *given: judged(*given)[kept])
    other = session.for_subject(subject.with_parts())
    with pytest.raises(pytest.fail.Exception):
        call_test(test, other, item)
    found = other.run.checks
    assert {c.leaf for c in found if c.status == "missing"} == missing
    assert len(found) == complete


def test_a_leaf_that_both_sides_lack_is_missed_as_well(subject):
    kept = subject.kept("jax", "evaluate", SIZE)
    key = next(key for key, found in subject.reference._answers.items() if found is kept)
    lacking = {leaf: array for leaf, array in kept["eval_gradient"].items() if leaf != "output"}
    subject.reference._answers[key] = {**kept, "eval_gradient": lacking}
    assert "output" in subject.reference.leaves("eval_gradient", SIZE)


def test_both_references_are_those_that_the_defects_replace(subject):
    assert (subject.reference.jax, subject.reference.oracle) == (Jax.name, JaxFloat64.name)
