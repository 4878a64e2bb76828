"""Records survive what happens to a run: a round trip, a kill, a cut; and their schema says what they hold."""

import json
import signal
import subprocess
import sys
import types
import typing
from importlib import resources

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity import gate, records
from parity.core import failures
from parity.core.errors import RecordError
from parity.records import Curve, Recorder, Run, Worst, schema
from parity.records.levels import Level
from parity.records.numbers import NonFinite, NotNegative
from parity.tests.support import samples

TEXT = (resources.files("parity") / "records" / "run.schema.json").read_text(encoding="utf-8")
SCHEMA = json.loads(TEXT)

times = st.datetimes().map(lambda t: t.isoformat(timespec="milliseconds") + "Z").map(lambda t: t.rjust(24, "0"))
data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
KNOWN_FIELDS = {
    "status": st.sampled_from(records.STATUSES),
    "state": st.sampled_from([records.COMPLETE, records.INTERRUPTED, records.ABORTED]),
    "schema": st.just(records.SCHEMA),
    "mode": st.sampled_from(records.MODES),
    "failure": st.sampled_from(failures.CLASSES),
    "started_at": times,
    "ended_at": st.none() | times,
    "environment": st.fixed_dictionaries(
        {},
        optional={
            "versions": st.dictionaries(st.text(), st.none() | st.text()),
            "writer": st.dictionaries(st.text(), data),
            "machine": st.fixed_dictionaries({}, optional={"cpu": st.none() | st.text(), "cores": st.integers(1, 9)}),
        },
    ),
    "deprecations": st.builds(lambda message: [records.Deprecation("jax", message)], st.text()),
}
PLAIN = {bool: st.booleans(), int: st.integers(0, 2**70), float: st.floats(), str: st.text(), type(None): st.none()}
NOT_NEGATIVE = st.floats(min_value=0)
ENUMS = {
    NonFinite: st.sampled_from(NonFinite),
    NotNegative: st.sampled_from(NotNegative),
    Level: st.sampled_from(records.LEVELS),
}


def of_type(annotation):
    """Values of a struct field's type."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return NOT_NEGATIVE if arguments[0] is float else of_type(arguments[0])
    if origin in (types.UnionType, typing.Union):
        return st.one_of(*map(of_type, arguments))
    if origin is list:
        return st.lists(of_type(arguments[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(*map(of_type, arguments), max_size=2)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return built(annotation)
    return {**PLAIN, **ENUMS}[annotation]


def built(cls):
    """Instances of a struct, every field drawn from its type."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return st.builds(cls, **{n: KNOWN_FIELDS[n] if n in KNOWN_FIELDS else of_type(hints[n]) for n in hints})


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def validate(text):
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(text, parse_constant=pytest.fail))


@given(built(Run))
def test_a_run_is_valid_json_and_reads_back_the_same(tmp_path_factory, run):
    text = records.dumps(run)
    validate(text)
    path = write(tmp_path_factory.getbasetemp() / "round_trip.json", text)
    assert repr(records.read(path)) == repr(run)


@given(built(Run))
def test_a_stream_reads_back_what_was_added(tmp_path_factory, run):
    folder = tmp_path_factory.getbasetemp() / "stream"
    recorder = Recorder(folder, Run(run.cell, run.started_at, run.environment))
    for name, _ in records.EVENTS.values():
        for event in getattr(run, name):
            recorder.add(event)
    recorder._lines.close()
    seen = records.read(folder)
    assert seen.state == records.ABORTED
    assert all(repr(getattr(seen, name)) == repr(getattr(run, name)) for name, _ in records.EVENTS.values())


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_is_generated_from_the_structs():
    """After a change of the structs: python -m parity.records.schema."""
    assert schema.dumps() == TEXT


def test_the_schema_describes_every_attribute():
    found = {"Run": SCHEMA, **{n: d for n, d in SCHEMA["$defs"].items() if n != "Machine" and "properties" in d}}
    assert not [(n, a) for n, d in found.items() for a, rest in d["properties"].items() if not rest.get("description")]
    assert all(definition["description"] for definition in found.values())


def test_the_schema_has_every_status_and_state():
    assert set(SCHEMA["$defs"]["Check"]["properties"]["status"]["enum"]) == set(records.STATUSES)
    assert set(SCHEMA["properties"]["state"]["enum"]) == set(records.STATES)
    assert SCHEMA["properties"]["schema"]["const"] == records.SCHEMA
    assert set(SCHEMA["properties"]["mode"]["enum"]) == set(records.MODES)
    assert SCHEMA["$defs"]["Remedy"]["properties"]["failure"]["enum"] == list(failures.CLASSES)


@pytest.mark.parametrize(
    "damage",
    [
        {"schema": "1"},
        {"state": "done"},
        {"started_at": "yesterday"},
        {"checks": [{**records.encode(samples.check()), "status": "PASS"}]},
        {"checks": [{**records.encode(samples.check()), "score": "NaN"}]},
        {"checks": [{**records.encode(samples.check()), "batch_size": 1.5}]},
        {"plan": [{"item": "test_predict"}]},
        {"spent_s": {"training": None}},
    ],
    ids=repr,
)
def test_the_schema_refuses(damage):
    with pytest.raises(jsonschema.ValidationError):
        validate(json.dumps({**json.loads(records.dumps(samples.run())), **damage}))


def test_non_finite_numbers_are_strings(tmp_path):
    curve = Curve("c", "loss", "JAX", "epoch", [1.0, 2.0, 3.0], [float("nan"), float("inf"), float("-inf")])
    text = records.dumps(samples.run(curves=[curve]))
    assert json.loads(text)["curves"][0]["y"] == ["nan", "inf", "-inf"]
    [seen] = records.read(write(tmp_path / "run.json", text)).curves
    assert repr(seen) == repr(curve)


def test_a_record_has_one_line_per_check():
    text = records.dumps(samples.run(checks=[samples.check(leaf=f"leaf_{i}") for i in range(5)]))
    assert sum("leaf_" in line for line in text.splitlines()) == 5


@pytest.mark.parametrize("text", ["line\u2028separator", "next\x85line", "form\x0cfeed", "two\nlines", "\udce9"])
def test_strange_characters_are_recorded(tmp_path, text):
    """A case's message or path can hold any; the last is what Python makes of a file name that is not UTF-8."""
    recorder = Recorder(tmp_path, samples.run())
    recorder.add(samples.check(message=text))
    recorder.add(samples.check())
    assert records.read(tmp_path / "run.jsonl").checks[0].message == text
    assert records.read(recorder.seal(records.COMPLETE, {})).checks[0].message == text


KILLED = """
import itertools, sys
from pathlib import Path
from parity.records import Recorder
from parity.tests.support import samples

recorder = Recorder(Path(sys.argv[1]), samples.run())
for i in range(10_000):
    recorder.add(samples.planned(item=f"item {i}"))
for i in itertools.count():
    recorder.add(samples.check(item=f"item {i}", message="é" * 3000))
    print(i, flush=True)
"""


def test_a_killed_run_loses_at_most_the_check_in_flight(tmp_path):
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        while process.stdout.readline() != "20\n":
            assert process.poll() is None
        process.kill()
        reported = [20, *map(int, process.stdout.read().split())]
    assert process.returncode == -signal.SIGKILL
    seen = records.read(tmp_path)
    assert reported[-1] + 1 <= len(seen.checks) <= reported[-1] + 2
    assert [c.item for c in seen.checks] == [f"item {i}" for i in range(len(seen.checks))]
    assert seen.counts() == {records.PASS: len(seen.checks), records.MISSING: 10_000 - len(seen.checks)}
    assert seen.state == records.ABORTED
    assert not seen.in_order()


def test_a_stream_cut_at_any_byte_reads_up_to_the_cut(tmp_path):
    recorder = Recorder(tmp_path, samples.run())
    for i in range(3):
        recorder.add(samples.check(item=f"ítem {i}"))
    whole = (tmp_path / "run.jsonl").read_bytes()
    path, start = tmp_path / "cut.jsonl", whole.index(b"\n") + 1
    for cut in range(start, len(whole)):
        path.write_bytes(whole[:cut])
        assert len(records.read(path).checks) == whole[start:cut].count(b"\n")


def test_a_stream_cut_in_its_first_line_is_a_record_error(tmp_path):
    path = write(tmp_path / "run.jsonl", '{"event": "start", "sch')
    with pytest.raises(RecordError, match=r"run\.jsonl is empty"):
        records.read(path)


def test_a_stream_damaged_in_the_middle_is_a_record_error(tmp_path):
    recorder = Recorder(tmp_path, samples.run())
    for _ in range(2):
        recorder.add(samples.check())
    path = tmp_path / "run.jsonl"
    write(path, path.read_text().replace('"leaf"', "", 1))
    with pytest.raises(RecordError, match=r"line 2 of \S*run\.jsonl is cut off"):
        records.read(path)


def test_a_record_cut_at_any_byte_is_a_record_error(tmp_path):
    whole = records.dumps(samples.run(checks=[samples.check(message="é")])).encode()
    path = tmp_path / "run.json"
    for cut in range(len(whole) - len(b"}\n")):
        path.write_bytes(whole[:cut])
        with pytest.raises(RecordError, match=r"run\.json") as raised:
            records.read(path)
        assert raised.value.exit_code == 4


def test_a_missing_record_is_a_record_error(tmp_path):
    with pytest.raises(RecordError, match=r"nowhere\.json"):
        records.read(tmp_path / "nowhere.json")
    with pytest.raises(RecordError, match=r"run\.json"):
        records.read(tmp_path)


def test_a_newer_schema_is_refused(tmp_path):
    newer = {"schema": records.SCHEMA + 1, "all": "different"}
    for name in ("run.json", "run.jsonl"):
        with pytest.raises(RecordError, match=rf"{name} has schema 3; .* up to 2\. Upgrade parity"):
            records.read(write(tmp_path / name, json.dumps(newer) + "\n"))


def test_unknown_keys_are_ignored(tmp_path):
    run = samples.run(checks=[samples.check(worst=Worst([0], 1.0, 2.0, 3.0))])
    data = json.loads(records.dumps(run))
    for target in (data, data["checks"][0], data["checks"][0]["worst"]):
        target["of_a_later_release"] = {"any": ["thing"]}
    validate(json.dumps(data))
    assert records.read(write(tmp_path / "run.json", json.dumps(data))) == run


def test_unknown_events_are_ignored(tmp_path):
    recorder = Recorder(tmp_path, samples.run())
    recorder._write({"event": "of a later release", "any": "thing"})
    recorder.add(samples.check())
    assert records.read(tmp_path).checks == [samples.check()]


RECORD = json.loads(records.dumps(samples.run(checks=[samples.check()])))


@pytest.mark.parametrize(
    "data",
    [
        [],
        "text",
        None,
        {},
        {"schema": "2"},
        {"schema": 2},
        {"schema": 1},
        {**RECORD, "environment": []},
        {**RECORD, "checks": [{"item": "alone"}]},
        {**RECORD, "checks": ["text"]},
        {**RECORD, "checks": 1},
        {**RECORD, "checks": [{**RECORD["checks"][0], "score": "high"}]},
        {**RECORD, "checks": [{**RECORD["checks"][0], "worst": 1}]},
        {**RECORD, "spent_s": []},
    ],
    ids=lambda data: json.dumps(data)[-40:],
)
def test_what_is_no_record_is_a_record_error(tmp_path, data):
    with pytest.raises(RecordError, match=r"run\.json is cut off or altered"):
        records.read(write(tmp_path / "run.json", json.dumps(data)))


def test_a_record_that_is_not_utf_8_is_a_record_error(tmp_path):
    (tmp_path / "run.json").write_bytes(b'{"schema": 1, "cell": "\xff"}')
    with pytest.raises(RecordError, match=r"run\.json"):
        records.read(tmp_path)


def test_a_sealed_record_is_alone_in_its_folder(tmp_path):
    recorder = Recorder(tmp_path, samples.run())
    recorder.add(samples.check())
    recorder.add(samples.timing())
    path = recorder.seal(records.COMPLETE, {"training": 1.5})
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]
    validate(path.read_text())
    seen = records.read(tmp_path)
    assert (seen.state, seen.spent_s, len(seen.checks), len(seen.timings)) == (
        records.COMPLETE,
        {"training": 1.5},
        1,
        1,
    )
    assert seen.ended_at is not None


def test_a_new_run_takes_the_place_of_the_old_one(tmp_path):
    for leaf in ("old", "new"):
        recorder = Recorder(tmp_path, samples.run())
        assert records.read(tmp_path).checks == []
        recorder.add(samples.check(leaf=leaf))
        recorder.seal(records.COMPLETE, {})
    assert [c.leaf for c in records.read(tmp_path).checks] == ["new"]


NEWER, OLDER = "2026-02-02T00:00:00.000Z", "2026-01-01T00:00:00.000Z"


@pytest.mark.parametrize(("started_at", "leaf"), [(NEWER, "unsealed"), (OLDER, "sealed")])
def test_of_two_records_in_a_folder_the_later_run_is_read(tmp_path, started_at, leaf):
    Recorder(tmp_path, samples.run(started_at=started_at)).add(samples.check(leaf="unsealed"))
    (tmp_path / "run.json").write_text(records.dumps(samples.run(checks=[samples.check(leaf="sealed")])))
    assert [check.leaf for check in records.read(tmp_path).checks] == [leaf]
    assert [key[1] for key in gate.read(tmp_path).checks] == [leaf]


def test_a_record_that_was_sealed_and_not_yet_tidied_is_read(tmp_path):
    recorder = Recorder(tmp_path, samples.run())
    stream = (tmp_path / "run.jsonl").read_bytes()
    recorder.seal(records.COMPLETE, {})
    (tmp_path / "run.jsonl").write_bytes(stream)
    assert records.read(tmp_path).state == records.COMPLETE


def test_a_run_that_wrote_no_start_hides_the_record_before_it(tmp_path):
    records.seal(tmp_path, samples.run(checks=[samples.check()]))
    (tmp_path / "run.jsonl").write_bytes(b"")
    for read in (records.read, gate.read):
        with pytest.raises(RecordError, match=r"run\.jsonl is empty"):
            read(tmp_path)


@pytest.mark.parametrize("sealed", [True, False])
def test_a_run_that_ends_before_its_plan_leaves_no_record_to_be_taken_for_its_own(tmp_path, sealed):
    recorder = Recorder(tmp_path, samples.run(checks=[samples.check()]))
    if sealed:
        recorder.seal(records.COMPLETE, {})
    (tmp_path / "index.html").write_text("of the run before")
    records.begin(tmp_path)
    for read in (records.read, gate.read):
        with pytest.raises(RecordError, match=r"ended before its plan.* run\.previous\.json") as error:
            read(tmp_path)
        assert error.value.exit_code == 4
    page, previous = sorted(tmp_path.iterdir())
    assert (page.name, page.read_text()) == ("index.previous.html", "of the run before")
    assert records.read(previous).environment == recorder.run.environment
    Recorder(tmp_path, samples.run()).seal(records.COMPLETE, {})
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_sealed_record_has_no_page_of_another_run_beside_it(tmp_path):
    (tmp_path / "index.html").write_text("of the run before")
    records.seal(tmp_path, samples.run())
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_folder_without_a_record_can_begin(tmp_path):
    records.begin(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("rubbish", ["rubbish", "[]", '{"leaf": 1}', '{"event": "check", "item": "alone"}'])
def test_a_line_of_rubbish_is_named_by_its_number(tmp_path, rubbish):
    recorder = Recorder(tmp_path, samples.run())
    for _ in range(3):
        recorder.add(samples.check())
    path = tmp_path / "run.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], rubbish, *lines[3:], ""]))
    for read in (records.read, gate.read):
        with pytest.raises(RecordError, match=r"line 4 of \S*run\.jsonl"):
            read(tmp_path)


def test_runtimes_are_in_the_order_of_their_first_appearance():
    plan = [samples.planned(item=str(n), runtime=name) for n, name in enumerate(("b", "a", "b", "c"))]
    assert samples.run(plan=plan).runtimes() == ["b", "a", "c"]
