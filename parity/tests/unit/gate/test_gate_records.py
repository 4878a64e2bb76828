"""Records and baselines that are damaged, too new, too old, or altered: an error that says which and what to do."""

import json

import pytest

from parity import gate, records
from parity.core.errors import RecordError
from parity.gate.side import parse
from parity.records import Recorder
from parity.tests.support import gate_runs


def data(**changes):
    return {**json.loads(records.dumps(gate_runs.run())), **changes}


def parsed(found):
    return parse(json.dumps(found).encode(), "some.json")


def test_a_record_a_folder_and_a_record_that_was_never_sealed_are_read(tmp_path):
    made = gate_runs.run()
    recorder = Recorder(tmp_path, made)
    for event in (*made.plan, *made.checks, *made.powers):
        recorder._write({"event": {"PlanItem": "planned", "Check": "check", "Power": "power"}[type(event).__name__],
                         **records.encode(event)})  # fmt: skip
    unsealed = gate.read(tmp_path)
    assert (unsealed.state, len(unsealed.checks), len(unsealed.powers)) == ("aborted", 4, 2)
    sealed = recorder.seal(records.COMPLETE, {})
    read, whole = gate.read(tmp_path).checks, {key: (of.status, of.score) for key, of in unsealed.checks.items()}
    assert {key: (of.status, of.score) for key, of in read.items()} == whole
    assert gate.read(sealed).state == "complete"


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\x00", '{"schema": 1}', "nan"])
def test_what_is_no_record(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RecordError, match=r"run\.json is cut off or altered: .* make it again") as error:
        gate.read(tmp_path)
    assert error.value.exit_code == 4


def test_what_is_not_there(tmp_path):
    for path in (tmp_path, tmp_path / "no.json", tmp_path / "a\nb\x00.json"):
        with pytest.raises(RecordError, match=r"cannot read .* Expected a run"):
            gate.read(path)


def test_a_record_is_refused_wherever_it_is_cut_off():
    whole = records.dumps(gate_runs.run()).encode()
    for end in range(len(whole.rstrip())):
        with pytest.raises(RecordError, match="cut off or altered"):
            parse(whole[:end], "some.json")
    assert parse(whole, "some.json").checks


def test_a_newer_schema_is_refused_whatever_else_it_has():
    for found in (data(schema=3), {"schema": 99}, data(schema=3, checks="none")):
        with pytest.raises(RecordError, match=r"has schema \d+; this parity reads up to 2. Upgrade parity") as error:
            parsed(found)
        assert error.value.exit_code == 4


def test_a_schema_before_the_first_is_refused():
    with pytest.raises(RecordError, match="has schema 0") as error:
        parsed(data(schema=0, checks=7))
    assert error.value.exit_code == 4


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("status", "passed"), ("status", None), ("score", "1.5"), ("score", True), ("score", -1.0), ("score", "-inf"),
        ("score", [1]), ("limit", "64"), ("bits_equal", 1), ("item", None), ("leaf", 3), ("evidence", {}),
    ],
)  # fmt: skip
def test_a_check_that_was_altered_is_refused_and_the_place_is_named(column, value):
    found = data()
    found["checks"][2][column] = value
    with pytest.raises(RecordError, match=rf"cut off or altered: .*\$\.checks\[.*\]\.{column}"):
        parsed(found)


@pytest.mark.parametrize("column", ["schema", "state", "mode", "started_at", "cell", "plan", "checks", "environment"])
def test_a_run_that_was_altered_is_refused(column):
    with pytest.raises(RecordError):
        parsed(data(**{column: ["something else"]}))


@pytest.mark.parametrize("column", ["schema", "state", "started_at", "cell", "plan", "checks", "environment"])
def test_what_a_record_must_have(column):
    found = data()
    del found[column]
    with pytest.raises(RecordError, match=f"missing required field `{column}`"):
        parsed(found)


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("checks", "the check test_predict.reference-tf_xla-b13. output 2 times"),
        ("plan", "the item test_predict.reference-tf_xla-b13. 2 times"),
        ("powers", "the power reference predict 13 w 2 times"),
        ("budgets", "the budget reference predict 13 output 2 times"),
        ("timings", "the timing reference tf_xla predict 13 cpu:0 2 times"),
        ("footprints", "the footprint reference tf_xla 2 times"),
    ],
)
def test_a_row_that_is_there_twice_is_refused_and_named(name, output):
    found = data()
    found[name].append(found[name][0])
    with pytest.raises(RecordError, match=output):
        parsed(found)


def test_what_was_checked_without_a_plan_has_its_place_from_the_check():
    made = parsed(data(plan=[]))
    assert {place.runtime for place in made.places.values()} == {"tf_xla", "tf_graph", "jax"}
    found = data(plan=[])
    del found["checks"][0]["case"]
    with pytest.raises(RecordError, match=r"missing required field `case` - at `\$.checks\[0\]`"):
        parsed(found)


def test_half_a_surrogate_pair_in_a_file_name_is_no_damage():
    made = records.dumps(gate_runs.run()).replace('"repeat": null', '"repeat": "python case\\udcff.py"', 1)
    assert len(parse(made.encode(), "some.json").checks) == 4
    with pytest.raises(RecordError, match="NaN is not JSON"):
        parse(made.replace('"score": 1.5', '"score": NaN').encode(), "some.json")


def test_too_deep_a_nesting_is_an_error():
    text = json.dumps(data())[:-1].encode()
    with pytest.raises(RecordError):
        parse(text + b', "more": ' + b"[" * 200_000, "some.json")


def test_a_record_that_calls_itself_a_baseline_is_read_as_one_and_refused():
    with pytest.raises(RecordError, match="cut off or altered"):
        parsed({"kind": "baseline", **data()})
