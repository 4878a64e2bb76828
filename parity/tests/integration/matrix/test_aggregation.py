"""Records are joined as they are now: held against the lists again, whole or damaged, and nothing else is touched."""

import pytest

from parity import records
from parity.cli.atlas import join
from parity.compat import known_issues, readers
from parity.compat.readers import Limits
from parity.matrix import aggregation
from parity.records import (
    ABORTED,
    ARCHIVE,
    CRASH,
    ERROR,
    EXPORT,
    FAIL,
    FIXED,
    FLEET,
    JOINT,
    KNOWN,
    MISSING,
    PASS,
    SPLIT,
    Recorder,
    cells,
)  # fmt: skip
from parity.records.atlas import in_order
from parity.report import atlas_text, terminal
from parity.tests.support import samples
from parity.tests.support.issues import ENTRY, EVIDENCE, toml

NAME = "py312-jax0.10.2-tf2.21.0"
ISSUE = {**ENTRY, "leaf": "cholesky", "evidence": EVIDENCE}


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """Lists other known issues."""

    def entries(*found):
        path = tmp_path / "issues.toml"
        path.write_text("".join(map(toml, found)), encoding="utf-8")
        issues = known_issues.read(path)
        monkeypatch.setattr(known_issues, "load", lambda: issues)

    entries()
    return entries


@pytest.fixture
def reports(tmp_path, listed):
    folder = tmp_path / "reports"
    folder.mkdir()
    return folder


def leave(reports, name=NAME, **changes):
    records.seal(reports / name, samples.run(cell=name, **{"checks": [samples.check()], **changes}))


def failed(**changes):
    known = {"failure": ENTRY["class"], "evidence": EVIDENCE, "message": f"No FFI handler registered for {EVIDENCE}"}
    return samples.check(leaf="cholesky", status=ERROR, **{**known, **changes})


def contents(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def rows(joined):
    return {row["cell"]: row for row in joined.atlas.cells}


def statuses(run):
    return [check.status for check in run.checks]


# Known issues


def test_a_failure_that_is_listed_after_the_run_is_known_and_an_error_again_when_it_is_not(reports, listed):
    leave(reports, checks=[samples.check(), failed()])
    page = reports / NAME / "index.html"
    assert rows(aggregation.join(reports, {}))[NAME]["status"] == ERROR
    listed(ISSUE)
    joined = aggregation.join(reports, {})
    assert (rows(joined)[NAME]["status"], rows(joined)[NAME]["known"]) == (PASS, ["cholesky"])
    aggregation.write(joined, reports, None)
    assert statuses(records.read(reports / NAME)) == [PASS, KNOWN]
    assert ENTRY["text"] in page.read_text(encoding="utf-8")
    listed()
    aggregation.write(aggregation.join(reports, {}), reports, None)
    assert statuses(records.read(reports / NAME)) == [PASS, ERROR]
    assert rows(aggregation.join(reports, {}))[NAME]["class"] == ENTRY["class"]


def test_a_pass_that_is_listed_after_the_run_is_fixed_and_a_pass_again_when_it_is_not(reports, listed):
    leave(reports, checks=[samples.check(leaf="cholesky")])
    listed(ISSUE)
    aggregation.write(aggregation.join(reports, {}), reports, None)
    assert statuses(records.read(reports / NAME)) == [FIXED]
    assert rows(aggregation.join(reports, {}))[NAME]["status"] == FIXED
    listed()
    aggregation.write(aggregation.join(reports, {}), reports, None)
    assert records.read(reports / NAME).checks == [samples.check(leaf="cholesky")]


def test_joining_alone_writes_nothing_and_joining_again_changes_nothing(reports, listed):
    leave(reports, checks=[samples.check(), failed()])
    listed(ISSUE)
    before = contents(reports)
    joined = aggregation.join(reports, {})
    assert contents(reports) == before
    aggregation.write(joined, reports, None)
    resolved = contents(reports / NAME)
    aggregation.write(aggregation.join(reports, {}), reports, None)
    assert contents(reports / NAME) == resolved


def test_the_page_has_every_check_of_the_records_and_says_so_where_there_are_none(reports):
    empty = aggregation.write(aggregation.join(reports, {}), reports, None).read_text(encoding="utf-8")
    assert "The records were not at hand" in empty
    leave(reports)
    page = aggregation.write(aggregation.join(reports, {}), reports, None).read_text(encoding="utf-8")
    assert "1 check of 1 cell" in page
    _, _, data = page.partition('id="checks-data">')
    assert NAME in data.partition("</script>")[0]


def test_what_the_lists_do_not_change_is_not_written_again(reports, listed):
    leave(reports)
    before = contents(reports / NAME)
    listed(ISSUE)
    aggregation.write(aggregation.join(reports, {}), reports, None)
    assert contents(reports / NAME) == before


def test_an_entry_that_explains_no_failure_is_a_problem(reports, listed):
    leave(reports, checks=[failed()])
    listed(ISSUE, {**ISSUE, "id": "qr", "leaf": "qr"})
    [problem] = aggregation.join(reports, {}).problems()
    assert problem == "the known issue qr matched nothing: remove or narrow it"


# Readers


@pytest.fixture
def reader_states(reports):
    """Leaves the record of a reader that says so of itself."""

    def leave_one(release, mode=JOINT, **states):
        run = samples.run(cell=f"jax0.9.2-tf{release}", mode=mode, checks=[samples.check()])
        run.environment = {"versions": {"jax": "0.9.2", "tensorflow": release}, "reader": {**states, "more": "unknown"}}
        records.seal(reports / run.cell, run)

    return leave_one


def test_a_limit_that_a_reader_denies_is_a_problem_and_one_that_it_confirms_is_not(reports, reader_states):
    listed = readers.table()["2.21.0"]
    reader_states("2.21.0", **vars(listed))
    assert aggregation.join(reports, {}).problems() == []
    reader_states("2.20.0", stablehlo="9.9.9", calling_convention=99)
    reader_states("9.9.9", stablehlo="9.9.9", calling_convention=99)
    joined = aggregation.join(reports, {})
    wrong, absent = joined.problems()
    assert wrong.startswith("readers.toml has Limits(stablehlo='1.12.1'")
    assert absent.startswith("readers.toml has nothing for tensorflow 9.9.9")
    assert joined.limits["9.9.9"] == Limits("9.9.9", 99)


@pytest.mark.parametrize("silent", [{"stablehlo": None, "calling_convention": 9}, {}])
def test_a_reader_without_versions_adds_no_limits(reports, reader_states, silent):
    reader_states("2.20.0", **silent)
    assert aggregation.join(reports, {}).limits == {}


# What is there


def test_a_cell_that_was_planned_and_left_nothing_is_missing_and_one_without_its_python_does_not_count(reports):
    leave(reports)
    joined = aggregation.join(reports, {NAME: "", "py313-jax0.9.2-export": "no Python 3.13 here"})
    assert in_order(joined.atlas)
    assert atlas_text.outcome(rows(joined)["py313-jax0.9.2-export"]) == "no Python 3.13 here"
    joined = aggregation.join(reports, {NAME: "", "py313-jax0.9.2-tf2.21.0": ""})
    assert not in_order(joined.atlas)
    assert rows(joined)["py313-jax0.9.2-tf2.21.0"]["status"] == MISSING


def test_a_record_of_another_cell_is_as_good_as_none(reports, listed):
    listed(ISSUE)
    records.seal(reports / "py311-jax0.9.2-tf2.21.0", samples.run(cell="local"))  # `parity run` into a cell's folder
    row = rows(aggregation.join(reports, {}))["py311-jax0.9.2-tf2.21.0"]
    assert row["status"] == records.MISSING
    assert "local" in row["evidence"]


def test_what_is_no_record_of_a_cell_is_left_alone(reports, listed):
    leave(reports)
    leave(reports, "local", checks=[failed()])
    leave(reports, "first", checks=[failed()])
    (reports / "bundles" / "jax0.9.2").mkdir(parents=True)
    (reports / "bundles" / "run.json").write_text("{", encoding="utf-8")
    (reports / "split-jax0.9.2-tf2.20.0").mkdir()
    (reports / "README.md").write_text("words", encoding="utf-8")
    listed(ISSUE)
    before = {path: found for path, found in contents(reports).items() if path.parent.name != NAME}
    joined = aggregation.join(reports, {})
    assert set(rows(joined)) == {NAME}
    aggregation.write(joined, reports, None)
    after = contents(reports)
    assert {path: after[path] for path in before} == before


def test_records_of_every_mode_are_joined(reports):
    for name, mode in ((NAME, JOINT), ("jax0.9.2-export", EXPORT)):
        leave(reports, name, mode=mode)
    for mode in (SPLIT, FLEET, ARCHIVE):
        leave(reports, f"{mode}-jax0.9.2-tf2.21.0", mode=mode)
    assert {row["mode"] for row in rows(aggregation.join(reports, {})).values()} == {
        JOINT,
        EXPORT,
        SPLIT,
        FLEET,
        ARCHIVE,
    }


def test_a_cell_that_archives_is_no_part_of_the_atlas(reports):
    leave(reports, "py311-jax0.9.2-archive", mode=EXPORT)
    assert rows(aggregation.join(reports, {})) == {}


def test_a_run_that_is_going_on_or_was_cut_off_is_missing_and_stays_as_it_is(reports, listed):
    recorder = Recorder(reports / NAME, samples.run(cell=NAME, state=ABORTED))
    recorder.add(samples.planned(item="asked"))
    recorder.add(samples.planned(item="not asked"))
    recorder.add(failed(item="asked"))
    listed(ISSUE)
    aggregation.write(aggregation.join(reports, {}), reports, None)
    assert [path.name for path in (reports / NAME).iterdir()] == ["run.jsonl"]
    row = rows(aggregation.join(reports, {}))[NAME]
    assert (row["status"], row["evidence"]) == (MISSING, "the run was aborted, 1 of 2 questions not asked")
    recorder.add(samples.check(item="not asked", status=CRASH))
    assert rows(aggregation.join(reports, {}))[NAME]["status"] == CRASH


DAMAGE = {
    "cut off": '{"cell": "x", "sche',
    "empty": "",
    "no record": '{"schema": 1}',
    "not an object": "[]",
    "newer": '{"schema": 99}',
}


@pytest.mark.parametrize("text", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize(
    "name",
    [NAME, "jax0.10.2-export", *(f"{mode}-jax0.10.2-tf2.21.0" for mode in (SPLIT, FLEET, ARCHIVE))],
)
def test_a_record_that_cannot_be_read_is_a_row_that_says_so_and_the_others_are_joined(reports, name, text):
    leave(reports, "jax0.9.2-tf2.21.0")
    (reports / name).mkdir()
    (reports / name / "run.json").write_text(text, encoding="utf-8")
    joined = aggregation.join(reports, {})
    found = rows(joined)
    assert found["jax0.9.2-tf2.21.0"]["status"] == PASS
    row = found[name]
    assert (row["status"], row["class"], row["jax"]) == (MISSING, None, "0.10.2")
    assert row["tensorflow"] == (None if name.endswith(EXPORT) else "2.21.0")
    assert row["mode"] == next((mode for mode in (SPLIT, FLEET, ARCHIVE, EXPORT) if mode in name), JOINT)
    assert "run.json" in row["evidence"]
    assert str(reports.parent) not in row["evidence"]
    aggregation.write(joined, reports, None)
    assert (reports / name / "run.json").read_text(encoding="utf-8") == text


def test_an_unreadable_atlas_is_replaced(reports):
    leave(reports)
    aggregation.write(aggregation.join(reports, {}), reports, None)
    (reports / "atlas.json").write_text("{", encoding="utf-8")
    joined = aggregation.join(reports, {})
    assert joined.previous is None
    aggregation.write(joined, reports, None)
    assert aggregation.join(reports, {}).previous.cells == joined.atlas.cells


def test_the_table_has_a_line_per_cell(reports):
    leave(reports)
    leave(reports, "jax0.9.2-tf2.20.0", checks=[samples.check(status=FAIL, score=900.0)])
    shown = terminal.atlas(aggregation.join(reports, {"jax0.8.3-tf2.21.0": ""}).atlas, 100)
    for words in (
        ("✓", NAME, "agrees"),
        ("✗", "jax0.9.2-tf2.20.0", "numeric", "900"),
        ("jax0.8.3-tf2.21.0", "not run"),
    ):
        assert any(all(word in line for word in words) for line in shown.splitlines())


# The command


class Arguments:
    """The options of `parity atlas`."""

    def __init__(self, **options):
        vars(self).update(options)


@pytest.mark.parametrize(("options", "code"), [({"full": True}, 1), ({"full": False}, 0)])
def test_problems_fail_only_a_full_matrix(reports, listed, options, code, capsys):
    leave(reports)
    listed(ISSUE)
    assert join(reports, {}, Arguments(**options)) == code
    assert ("matched nothing" in capsys.readouterr().err) == options["full"]


def test_showing_writes_nothing(reports, listed):
    leave(reports, checks=[samples.check(), failed()])
    listed(ISSUE)
    before = contents(reports)
    assert join(reports, {}, Arguments(show_only=True)) == 0
    assert contents(reports) == before


def test_a_cell_out_of_order_fails(reports):
    leave(reports, checks=[samples.check(status=FAIL)])
    assert join(reports, {}, Arguments(show_only=True)) == 1
    assert cells.outcome(records.read(reports / NAME)).status == FAIL
