"""The names of cells say what they are of, and what became of one is decided by the worst that was seen."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity import records
from parity.core import failures
from parity.core.errors import UsageError
from parity.records import (
    ABORTED,
    COMPLETE,
    CRASH,
    ERROR,
    FAIL,
    FIXED,
    KNOWN,
    MISSING,
    NO_DEVICE,
    PASS,
    REMEDIED,
    STATUSES,
    TIMEOUT,
    Remedy,
    Stopped,
    cells,
)
from parity.records.cells import EXPORT, LATEST, VERIFY, Cell, of_record, outcome
from parity.tests.support import samples

# The names of cells

numbers = st.integers(0, 99).map(str)
versions = st.lists(numbers, min_size=2, max_size=4).map(".".join)
releases_of = st.builds("{}{}".format, versions, st.sampled_from(["", "rc1", "a0", ".dev20260101", ".post1"]))
pythons = st.integers(0, 99).map(lambda minor: f"3.{minor}")


@given(st.none() | pythons, st.none() | releases_of, st.none() | releases_of)
def test_a_cell_name_round_trips_python_jax_and_tensorflow(python, jax, tensorflow):
    prefix = f"py{python.replace('.', '')}-" if python else ""
    if jax is None and tensorflow is None:
        assert Cell.parse(LATEST) == Cell(LATEST, None, None, None)
        return
    if jax is None:
        name, role = f"{prefix}tf{tensorflow}-verify", VERIFY
    elif tensorflow is None:
        name, role = f"{prefix}jax{jax}-export", EXPORT
    else:
        name, role = f"{prefix}jax{jax}-tf{tensorflow}", ""
    cell = Cell.parse(name)
    assert cell == Cell(name, python, jax, tensorflow, role)
    assert of_record(name) == cell


BAD = [
    "", "local", "summary", "atlas", "bundles", ".pkg", "tests", "jax", "py312", "py312-jax0.9.2", "py312-tf2.21.0",
    "py312-tf2.21.0-jax0.9.2", "py312-jax0.9.2-tf2.21.0-verify", "jax0.9.2-tf2.21.0 ", "jax0.9.2-tf2.21.0\n",
    "jax9-tf2.21.0", "jax0.9.2-tf2.x", "jax0.9.foo-export", "py3-jax0.9.2-export", "py27-jax0.9.2-export",
    "py3\N{ARABIC-INDIC DIGIT ONE}-jax0.9.2-export",
    "jax\N{ARABIC-INDIC DIGIT ONE}.\N{ARABIC-INDIC DIGIT TWO}-export", "../jax0.9.2-export", "jax0.9.2-export/..",
    "split-jax0.9.2-tf2.21.0",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_describes_no_cell_is_refused_with_what_is_expected(name):
    with pytest.raises(UsageError) as refused:
        Cell.parse(name)
    assert repr(name) in str(refused.value)
    for expected in (LATEST, "py312-jax0.9.2-tf2.21.0", "py311-jax0.9.2-export", "py312-tf2.21.0-verify"):
        assert expected in str(refused.value)


@given(st.text() | st.from_regex(r"\A(py3\d\d?-)?jax[\d.]+\w*-(tf[\d.]+\w*|export)\n?\Z"))
def test_a_name_is_a_cell_or_refused(name):
    try:
        assert Cell.parse(name).name == name
    except UsageError:
        assert of_record(name) is None or name.startswith(("split-", "fleet-"))


@pytest.mark.parametrize("mode", ["split", "fleet"])
def test_the_records_of_what_is_verified_are_of_their_pair(mode):
    assert of_record(f"{mode}-jax0.9.2-tf2.21.0") == Cell("jax0.9.2-tf2.21.0", None, "0.9.2", "2.21.0")
    for other in (f"{mode}-jax0.9.2-export", f"{mode}-{LATEST}", f"py312-{mode}-jax0.9.2-tf2.21.0", mode):
        assert of_record(other) is None


# What became of one

WORST_FIRST = (CRASH, TIMEOUT, ERROR, FAIL, FIXED, MISSING)
some_checks = st.lists(st.sampled_from(STATUSES), min_size=1, max_size=12)


def run_of(found, **changes):
    return samples.run(checks=[samples.check(item=f"{i}", status=status) for i, status in enumerate(found)], **changes)


@given(some_checks, st.sampled_from([COMPLETE, ABORTED]))
def test_the_worst_check_decides_whatever_else_passed(found, state):
    answered = state == COMPLETE and {PASS, REMEDIED} & set(found)
    expected = next((status for status in WORST_FIRST if status in found), PASS if answered else MISSING)
    assert outcome(run_of(found, state=state)).status == expected


@given(some_checks, st.sampled_from([CRASH, TIMEOUT, ERROR, MISSING]))
def test_what_stopped_a_run_decides_before_any_check(found, status):
    stopped = Stopped(status, "class", "why")
    assert outcome(run_of(found, state=ABORTED, stopped=stopped)) == cells.Outcome(status, "class", "why")


@given(some_checks)
def test_a_remedy_counts_only_where_nothing_is_out_of_order(found):
    remedy = Remedy("reference", "tensorflow==2.21.0", "stablehlo_skew", "newer")
    became = outcome(run_of(found, remedies=[remedy]))
    good = not set(found) & set(WORST_FIRST) and {PASS, REMEDIED} & set(found)
    assert (became == cells.Outcome(REMEDIED, "stablehlo_skew", "newer")) == bool(good)


def test_every_status_is_in_order_or_has_its_place():
    assert {*WORST_FIRST, PASS, KNOWN, REMEDIED} == set(STATUSES)


@pytest.mark.parametrize(
    ("changes", "evidence"),
    [
        ({"plan": [samples.planned()]}, "1 of 1 questions were not asked"),
        ({"plan": [samples.planned()], "state": ABORTED}, "the run was aborted, 1 of 1 questions not asked"),
        ({"state": ABORTED}, "the run was aborted"),
        ({}, "TensorFlow answered nothing"),
        ({"checks": [samples.check(tf_device=NO_DEVICE)]}, "TensorFlow answered nothing"),
        ({"checks": [samples.check(status=KNOWN)]}, "TensorFlow answered nothing"),
    ],
)
def test_what_was_not_seen_is_missing_and_says_so(changes, evidence):
    assert outcome(samples.run(**changes)) == cells.Outcome(MISSING, "", evidence)


def test_an_export_needs_no_checks():
    assert outcome(samples.run(mode=records.EXPORT)).status == PASS


def test_a_failed_check_without_a_class_is_numeric_by_its_worst_score_or_unknown():
    scored = [samples.check(status=FAIL, score=s, message=f"score {s:g}") for s in (70.0, 900.0)]
    became = outcome(samples.run(checks=scored))
    assert (became.failure, became.evidence) == (failures.NUMERIC, "predict/output on tf_xla: score 900")
    became = outcome(samples.run(checks=[samples.check(status=ERROR, message="no idea")]))
    assert (became.failure, became.evidence) == (failures.UNKNOWN, "no idea")


def test_a_row_is_json_whatever_became_of_the_cell():
    for run in (samples.run(), run_of([CRASH], environment={}), samples.run(stopped=Stopped(ERROR, "resolver", "no"))):
        assert json.loads(json.dumps(records.encode(cells.row(run)), allow_nan=False))["status"] in STATUSES
