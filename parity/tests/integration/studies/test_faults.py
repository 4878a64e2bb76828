"""The catalogue of planted faults: what it covers, what its quick form shows, and that it can fail."""

import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from parity import records
from parity.cases.case import PROBES
from parity.cases.loading import load
from parity.core.errors import UsageError
from parity.core.ledger import TimeLedger
from parity.records import IN_ORDER, published
from parity.runtimes.subject import Subject
from parity.studies import faults
from parity.studies.faults import GROUPS, HARNESS, Fault
from parity.studies.faults.bench import Bench
from parity.studies.faults.outcomes import BELOW_POWER, CAUGHT, NOT_CAUGHT, sentence, verdict_on, write
from parity.studies.faults.plants import grouped, module, variable
from parity.studies.faults.running import SoundCheckError, open_session, plant
from parity.tests.support import small_reference
from parity.tests.support.paths import ROOT

pytestmark = pytest.mark.slow

LOSSES_AND_GRADIENTS = {"eval_loss", "train_loss", "eval_gradient", "train_gradient"}


@pytest.fixture(scope="module")
def subject(frameworks):
    """The reference case, small, trained and exported once."""
    with small_reference.in_its_place():
        found = Subject(load("reference"), TimeLedger())
        yield found
        found.close()


@pytest.fixture(scope="module")
def bench(subject):
    return Bench(open_session(), subject)


@pytest.fixture(scope="module")
def catalogue():
    return {fault.name: fault for fault in faults.catalogue()}


@pytest.fixture(scope="module")
def quick(bench):
    """The outcomes of the quick form by name."""
    outcomes, sound = plant(bench, faults.chosen([], [], quick=True), quick=True)
    assert sound > 100
    return {outcome.fault: outcome for outcome in outcomes}


def test_what_faults_are_planted_in_is_neither_untrained_nor_saturated(subject):
    assert 0.05 <= subject.trained.metrics.eval_loss[-1] <= 1.0


def test_the_published_reference_is_neither_untrained_nor_saturated():
    curves = {(c.case, c.name, c.series): c.y for c in records.read(ROOT / "reports" / "handover").curves}
    assert 0.05 <= curves["reference", "evaluation loss", "JAX"][-1] <= 1.0


def test_every_group_has_faults_and_every_name_is_its_own(catalogue):
    assert len(catalogue) == len(faults.catalogue()) >= 60
    assert {fault.group for fault in catalogue.values()} == set(GROUPS)


def test_the_quick_form_has_each_group_and_all_that_is_wrong_in_parity_itself(quick, catalogue):
    assert {outcome.group for outcome in quick.values()} == set(GROUPS)
    assert {o.fault for o in quick.values() if o.group == HARNESS} == {
        f.name for f in catalogue.values() if f.group == HARNESS
    }


def test_every_fault_of_the_quick_form_is_caught_or_below_power(quick):
    assert {name: o.verdict for name, o in quick.items() if not o.in_order} == {}
    assert {name for name, o in quick.items() if o.verdict == BELOW_POWER} == {"the last bit of one weight"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("one weight off by 0.001", {"predict", *LOSSES_AND_GRADIENTS}),
        (
            "batch statistics at their initial values",
            {"predict", "accuracy", "eval_loss", "eval_gradient", "batch_stats"},
        ),
        ("another key", {"rng", "train_loss", "train_gradient"}),
        ("one weight not a number", {"predict", "accuracy", *LOSSES_AND_GRADIENTS}),
    ],
)
def test_exactly_the_right_probes_turn_red(quick, name, expected):
    assert set(quick[name].probes) == expected


def test_a_fault_below_power_says_by_how_much(quick):
    [shortfall] = quick["the last bit of one weight"].shortfalls
    assert shortfall.weight == "Dense_1/kernel"
    assert 0 < shortfall.error < shortfall.smallest_caught < 1e-4


def leaves(bench, fault, probe):
    """The leaves of a probe that turn red."""
    run = bench.run(replace(fault, group="weights", asks=PROBES, sizes=(13,)))
    return {check.leaf for check in run.checks if check.probe == probe and check.status not in IN_ORDER}


def one_weight(index):
    def off(value):
        value[index] += 5e-3
        return value

    return Fault("one weight", "Dense_1/kernel", variable("Dense_1/kernel", off))


def test_a_wrong_weight_is_seen_in_the_gradients_that_depend_on_it(bench, catalogue):
    red = leaves(bench, catalogue["one weight off by 0.001"], "eval_gradient")
    assert {"Dense_1/bias", "Dense_0/kernel", "Conv_0/kernel"} <= red


@pytest.mark.parametrize("index", [(0, 0), (50, 3), (199, 9)])
def test_a_wrong_weight_is_seen_wherever_it_sits(bench, index):
    assert leaves(bench, one_weight(index), "predict")
    assert leaves(bench, one_weight(index), "train_gradient")


def test_a_wrong_key_leaves_what_does_not_draw_alone(bench, catalogue):
    assert leaves(bench, catalogue["another key"], "rng") == {"call_1/key", "call_2/key"}
    assert leaves(bench, catalogue["another key"], "train_loss") == {"call_1/loss", "call_2/loss"}


def harmless(bench, group):
    """The outcome of a fault that changes nothing that is asked about, in a group."""
    fault = replace(
        Fault(
            "a harmless one", "nowhere", module("predict", lambda artifact, data: artifact.predict(data)), ("predict",)
        ),
        group=group,
    )
    sound = bench.sound(bench.items(fault))
    return verdict_on(fault, bench.run(fault), bench, sound)


@pytest.mark.parametrize("group", ["values", HARNESS])
def test_a_fault_that_nothing_catches_is_not_called_caught_and_not_below_power(bench, group):
    found = harmless(bench, group)
    assert (found.verdict, found.in_order, found.red) == (NOT_CAUGHT, False, 0)
    assert "1 not caught" in sentence([found])


def test_other_variables_than_weights_are_never_below_power(bench):
    nudge = variable("batch_stats/BatchNorm_0/mean", lambda mean: np.nextafter(mean, np.float32(1)))
    fault = replace(Fault("a statistic's last bit", "mean", nudge, ("predict",)), group="statistics")
    found = verdict_on(fault, bench.run(fault), bench, bench.sound(bench.items(fault)))
    assert found.verdict == NOT_CAUGHT


def test_nothing_is_planted_where_sound_answers_are_red(bench, catalogue):
    planted_in = []

    @contextmanager
    def planted(bench):
        planted_in.append(bench)
        yield

    fault = replace(catalogue["one weight off by 0.001"], plant=planted)
    with (
        variable("Dense_1/kernel", lambda kernel: kernel * np.float32(1.01))(bench),
        pytest.raises(SoundCheckError, match=r"before any fault was planted, .* were not in order: test_predict"),
    ):
        plant(bench, [fault], quick=True)
    assert planted_in == []


def test_a_fault_that_is_not_undone_is_found(bench, catalogue):
    @contextmanager
    def left_behind(bench):
        variable = bench.variables["Dense_1/kernel"]
        variable.assign(variable * 1.01)
        bench.remember()
        yield

    fault = replace(catalogue["one weight off by 0.001"], plant=left_behind)
    before = bench.variables["Dense_1/kernel"].numpy()
    with pytest.raises(SoundCheckError, match="after the last fault was undone"):
        plant(bench, [fault], quick=True)
    bench.variables["Dense_1/kernel"].assign(before)
    bench.remember()


def test_a_fault_that_changes_nothing_is_refused(bench):
    [fault] = grouped("weights", Fault("none", "Dense_1/kernel", variable("Dense_1/kernel", lambda kernel: kernel)))
    with pytest.raises(AssertionError, match="changed nothing"):
        bench.run(fault)


def test_what_is_written_is_sorted_and_the_same_again(quick, tmp_path):
    outcomes = list(quick.values())
    one = write(tmp_path, outcomes, {"limit": 64.0}).read_bytes()
    assert write(tmp_path, outcomes[::-1], {"limit": 64.0}).read_bytes() == one
    document = json.loads(one)
    assert (document["schema"], len(document["faults"])) == (published.SCHEMAS[published.FAULTS], len(outcomes))
    assert [GROUPS.index(row["group"]) for row in document["faults"]] == sorted(
        GROUPS.index(row["group"]) for row in document["faults"]
    )


def test_every_row_names_a_check_a_verdict_and_how_far_above_the_limit(quick):
    for outcome in quick.values():
        assert outcome.check.startswith("test_")
        assert outcome.over is None or outcome.over == pytest.approx(outcome.score / outcome.limit, rel=0.02)
        assert (outcome.verdict == CAUGHT) == (outcome.red > 0)


def test_the_table_fits_80_columns(quick, capsys):
    from parity.studies.faults import table

    table.show(list(quick.values()))
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    for outcome in quick.values():
        assert outcome.fault.split()[0] in shown


@pytest.mark.parametrize(
    ("groups", "words", "output"),
    [(["weight"], [], "no group 'weight'. Expected one of weights"), ([], ["gremlin"], "no fault has 'gremlin'")],
)
def test_a_group_or_name_that_is_not_there_is_refused(groups, words, output):
    with pytest.raises(UsageError, match=output):
        faults.chosen(groups, words, quick=False)


def test_options_select(catalogue):
    assert [f.name for f in faults.chosen(["weights"], ["LAST BIT"], quick=False)] == ["the last bit of one weight"]
    assert all(f.quick or f.group == HARNESS for f in faults.chosen([], [], quick=True))


ENDS_IN_AN_ERROR = {
    "statistics updated in evaluation", "the key advanced in evaluation", "statistics take part in the update",
    "works at the traced batch size alone", "the file of the weights missing", "the index of the weights missing",
    "the graph cut off", "one bit of the weights altered", "answers of no rows",
}  # fmt: skip
"""Everything else must be caught by a result: a fault that merely fails to be planted raises as well."""


def test_the_published_table_is_of_this_catalogue(catalogue):
    document = json.loads((ROOT / "reports" / "faults.json").read_text(encoding="utf-8"))
    rows = {row["fault"]: row for row in document["faults"]}
    assert {name: row["group"] for name, row in rows.items()} == {f.name: f.group for f in catalogue.values()}
    assert {row["fault"] for row in rows.values() if row["verdict"] not in (CAUGHT, BELOW_POWER)} == set()
    assert {name for name, row in rows.items() if row["status"] == "error"} == ENDS_IN_AN_ERROR
    assert all(row["verdict"] == CAUGHT for row in rows.values() if row["group"] == HARNESS)
