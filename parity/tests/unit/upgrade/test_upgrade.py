# ruff: noqa: F811 - fixtures that are imported are named by arguments
"""`parity upgrade` over records made by hand: reuse, the Python, the verdict, and what unblocks it."""

import json
import sys
from dataclasses import replace

import msgspec
import pytest

from parity import records
from parity.compat import readers
from parity.core import failures
from parity.core.errors import NotComparableError, UsageError
from parity.matrix import atlas, running, scheduling
from parity.records import ERROR, MISSING, Stopped, cells
from parity.records.cells import Cell
from parity.tests.support import samples
from parity.tests.support.pairs import NEW, OLD, SKEW, bench, four, leave, listed, machine, reports, run, skewed  # noqa: F401
from parity.tests.support.small_matrix import PAIRS, Project
from parity.tests.support.wheels import write as write_wheels
from parity.upgrade import between, making, telling
from parity.upgrade.making import Bench
from parity.upgrade.pins import Pair, corners
from parity.upgrade.upgrading import upgrade

BOTH = Pair(NEW.jax, OLD.tensorflow)
BETWEEN = Pair("0.10.2", "2.21.0")


# Pins


def test_a_pair_is_read_from_pins():
    assert Pair.parse("jax==0.9.2 tensorflow==2.20.0") == Pair.parse("tensorflow-cpu==2.20.0, jax==0.9.2") == OLD
    assert OLD.cell("3.12") == "py312-jax0.9.2-tf2.20.0"
    assert OLD.order() < BETWEEN.order() < NEW.order()
    assert OLD.between(NEW, BETWEEN)
    assert not OLD.between(NEW, Pair("0.10.2", "2.19.1"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jax==0.9.2", "pins no tensorflow"),
        ("jax>=0.9.2 tensorflow==2.20.0", "'jax>=0.9.2' is no pin"),
        ("jax==0.9.* tensorflow==2.20.0", "is no pin"),
        ("jax tensorflow", "'jax' is no pin"),
        ("jax==0.9.2 tensorflow==2.20.0 tensorflow-cpu==2.21.0", "pins a package twice"),
        ("jax==0.9.2 tensorflow==2.20.0 flax==0.12.6", "named by jax and tensorflow alone.*Leave it out"),
    ],
)
def test_what_pins_no_pair_is_refused(text, said):
    with pytest.raises(UsageError, match=said):
        Pair.parse(text)


def test_the_corners_are_four_or_with_one_package_two():
    assert [str(pair) for pair in corners(OLD, NEW).values()] == [
        "jax 0.9.2 with tensorflow 2.20.0", "jax 0.12.0.1 with tensorflow 2.20.0",
        "jax 0.9.2 with tensorflow 2.21.0", "jax 0.12.0.1 with tensorflow 2.21.0",
    ]  # fmt: skip
    assert len(set(corners(OLD, Pair(OLD.jax, NEW.tensorflow)).values())) == 2
    with pytest.raises(UsageError, match="nothing to upgrade"):
        corners(OLD, OLD)


# Where records are


def test_records_of_a_case_or_with_options_lie_apart_from_the_references(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("case = None", encoding="utf-8")

    def place(case="reference", *further):
        one = Bench.of(tmp_path / "reports", case, further)
        return one.reports.relative_to(tmp_path / "reports").as_posix(), one.options

    assert place() == (".", ())
    assert place("ratings") == ("cases/ratings", ("--case=ratings",))
    mine, options = place(f"{file}:case")
    assert mine.startswith("cases/mine-case-")
    assert options == (f"--case={file}:case",)
    another = tmp_path / "other" / file.name
    another.parent.mkdir()
    another.write_text("case = None", encoding="utf-8")
    assert place(f"{another}:case")[0] != mine
    short = place("reference", "--probe=predict", "--batch-size=13")
    assert short == ("cases/reference-probe=predict-batch-size=13", ("--probe=predict", "--batch-size=13"))
    names = {place("reference", "-k", f"{'a' * 200}{end}")[0] for end in "xy"}
    assert len(names) == 2
    assert max(map(len, names)) < 100
    for path in names | {short[0]}:
        assert cells.of_record(path.split("/")[1]) is None  # no atlas takes it for a cell
    with pytest.raises(UsageError, match="no case file"):
        place("nowhere.py:case")
    for unknown in ("..", "", "no/such"):
        with pytest.raises(UsageError, match=r"no case .*Expected one of"):
            place(unknown)
    with pytest.raises(UsageError, match="no name in it"):
        place(f"{file}:")
    with pytest.raises(UsageError, match="--jobs 0"):
        Bench.of(tmp_path, "reference", (), 0)


def test_a_users_case_is_an_input_of_its_records(tmp_path):
    file = tmp_path / "mine.py"
    prints = set()
    for text in ("case = 1", "case = 2"):
        file.write_text(text, encoding="utf-8")
        [task] = running.tasks(Cell.parse(OLD.cell("3.12")), tmp_path, [f"--case={file}:case"])
        prints.add(task.inputs)
    assert len(prints) == 2


def test_cells_leave_their_records_where_they_are_asked_to(tmp_path):
    project = Project(tmp_path)
    elsewhere = project.reports / "cases" / "mine"
    told = []
    scheduling.run_here(project.folder, [PAIRS[0]], [], 1, told.append, elsewhere)
    assert told == [f"[1/1] {PAIRS[0]}: pass"]
    assert records.read(elsewhere / PAIRS[0]).cell == PAIRS[0]
    assert project.outcomes() == {}


# Which records are taken


def test_what_is_recorded_and_up_to_date_is_not_run(bench, four, machine, monkeypatch):
    listed(monkeypatch, jax=[OLD.jax, NEW.jax], tensorflow=[OLD.tensorflow, NEW.tensorflow])
    found = upgrade(OLD, NEW, bench, None)
    assert machine.ran == []
    assert (found.verdict.decision, found.exit_code) == ("may upgrade with remedy", 0)
    assert found.on == "on Python 3.12, on which all 4 are recorded"


def test_what_is_out_of_date_or_lacking_is_run_on_the_python_of_the_others(
    bench, four, leave, machine, reports, monkeypatch
):
    leave(OLD, current=False)
    (reports / BOTH.cell("3.12") / "run.json").unlink()
    machine.becomes[NEW.jax] = skewed(NEW)
    listed(monkeypatch, jax=[], tensorflow=[])
    found = upgrade(OLD, NEW, bench, None)
    assert machine.ran == [OLD.cell("3.12"), BOTH.cell("3.12")]
    assert found.made == tuple(machine.ran)
    assert all(one.current for one in found.corners.values())
    said = telling.terminal(found)
    assert "2 of the corners were recorded already" in said
    assert "older" not in said


def test_records_on_several_pythons_are_taken_and_said(bench, four, leave, machine, reports, monkeypatch):
    listed(monkeypatch, jax=[], tensorflow=[])
    for pair in (OLD, Pair(OLD.jax, NEW.tensorflow)):
        (reports / pair.cell("3.12") / "run.json").unlink()
        leave(pair, "3.11")
    found = upgrade(OLD, NEW, bench, None)
    assert (machine.ran, found.on) == ([], "on Python 3.11 and 3.12")
    assert "Python 3.11.1 to 3.12.1" in telling.terminal(found)


def test_nothing_is_run_where_only_what_is_recorded_is_asked_for(bench, four, leave, machine, reports, monkeypatch):
    listed(monkeypatch, jax=[], tensorflow=[])
    leave(OLD, current=False)
    (reports / BOTH.cell("3.12") / "run.json").unlink()
    found = upgrade(OLD, NEW, bench, None, recorded=True)
    said = telling.terminal(found)
    assert machine.ran == []
    assert "Made by another parity, or from other options, and not made again: old/old." in said
    assert f"new/old  {NEW.jax}  {OLD.tensorflow}" in said
    assert "no record" in said
    (reports / NEW.cell("3.12") / "run.json").unlink()
    absent = upgrade(OLD, NEW, replace(bench, _seen={}), None, recorded=True)
    assert (absent.exit_code, absent.verdict) == (3, None)
    assert telling.terminal(absent).startswith("Not comparable")


def test_a_cell_that_could_not_be_run_is_an_error_and_not_an_answer(bench, machine, reports, monkeypatch):
    def run_here(project, names, options, jobs, show, where):
        stopped = samples.run(cell=names[0], stopped=Stopped(MISSING, "", "no space left"))
        records.seal(reports / names[0], stopped)

    monkeypatch.setattr(scheduling, "run_here", run_here)
    with pytest.raises(NotComparableError, match=r"py313-jax0\.9\.2-tf2\.20\.0 could not be run: no space left"):
        upgrade(OLD, NEW, bench, None)


def test_an_older_record_that_stays_because_nothing_ran_is_no_answer_either(bench, four, leave, machine, monkeypatch):
    leave(OLD, current=False)
    monkeypatch.setattr(scheduling, "run_here", lambda *arguments: None)
    with pytest.raises(NotComparableError, match=r"py312-jax0\.9\.2-tf2\.20\.0 was not run"):
        upgrade(OLD, NEW, bench, None)


def test_without_a_checkout_it_says_what_would_have_to_be_run(bench, machine, tmp_path):
    (tmp_path / "tox.ini").unlink()
    with pytest.raises(UsageError, match=r"py313-jax0.9.2-tf2.20.0, .* must be run, and there is no tox.ini"):
        upgrade(OLD, NEW, bench, None)


def test_where_one_package_stays_there_are_two_corners(bench, four, machine, monkeypatch):
    found = upgrade(OLD, Pair(OLD.jax, NEW.tensorflow), bench, None)
    assert (list(found.corners), machine.ran) == (["old/old", "new/new"], [])
    assert found.verdict.decision == "may upgrade"


# The Python


def test_the_python_is_one_that_can_install_all(bench, machine):
    pairs = list(corners(OLD, NEW).values())
    nothing = {pair: [] for pair in pairs}
    newest = ("3.13", "on which all 4 can be installed, the newest here that can")
    assert making.on_one_python(pairs, nothing) == newest
    machine.refused[OLD.jax, "3.13"] = "needs Python <3.13"
    assert making.on_one_python(pairs, nothing)[0] == "3.12"
    machine.refused[NEW.jax, "3.12"] = machine.refused[BOTH.jax, "3.13"] = "no numpy"
    python, why = making.on_one_python(pairs, nothing)
    assert (python, why) == ("3.12", "on which 2 of 4 can be installed, and on none here more")
    assert making.on_one_python(pairs, nothing, "3.13") == ("3.13", "as asked for")
    for wrong in ("3.11", "2.7"):
        with pytest.raises(UsageError, match=f"--python {wrong}: there is no such Python here"):
            making.on_one_python(pairs, nothing, wrong)


@pytest.fixture
def wheels(tmp_path):
    return write_wheels(tmp_path)


def test_the_resolver_says_what_cannot_be_installed(wheels, monkeypatch):
    monkeypatch.setenv("UV_CONFIG_FILE", str(wheels / "uv.toml"))
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert making.uninstallable(Pair("1.0", "1.0"), here) == ""
    assert "ml-dtypes" in making.uninstallable(Pair("3.0", "1.0"), here)
    with pytest.raises(NotComparableError, match="could not be installed"):
        making.uninstallable(Pair("9.9", "9.9"), here)


# The verdict in words


@pytest.fixture
def found(bench, four, machine, monkeypatch, leave):
    listed(monkeypatch, jax=["0.9.2", "0.10.2", "0.11.2", "0.12.0.1"], tensorflow=["2.20.0", "2.21.0"])
    leave(BETWEEN, current=False)
    return upgrade(OLD, NEW, bench, None)


def test_the_remedy_is_given_as_code_with_its_proof(found):
    said = telling.terminal(found)
    assert '    with parity.readable_by("tensorflow==2.21.0"):\n        ...' in said
    compile(found.proof.code, "pasted", "exec")
    assert readers.limits_of(found.proof.requirement)
    assert "ran 1 checks under it, all of them in order; the worst score is 2, the limit 64." in " ".join(said.split())


def test_a_remedy_under_which_checks_fail_is_no_proof(bench, leave, machine, monkeypatch):
    listed(monkeypatch, jax=[], tensorflow=[])
    for pair in corners(OLD, NEW).values():
        leave(pair, **{**skewed(pair), **({"status": records.FAIL, "tensorflow": 99.0} if pair == NEW else {})})
    found = upgrade(OLD, NEW, bench, None)
    assert (found.exit_code, found.verdict.decision) == (1, "do not upgrade")
    assert "1 of them not in order; the worst score is 99" in " ".join(telling.terminal(found).split())


def test_it_fits_80_columns_and_begins_with_the_verdict(found):
    said = telling.terminal(found)
    assert max(map(len, said.splitlines())) <= 80
    assert said.startswith("May upgrade with remedy")
    assert [line.split()[:2] for line in said.splitlines() if line.startswith((" old/", " new/"))] == [
        ["old/old", "0.9.2"], ["new/old", "0.12.0.1"], ["old/new", "0.9.2"], ["new/new", "0.12.0.1"],
    ]  # fmt: skip
    assert "vhlo.custom_call_v2" in said


def test_names_from_records_are_shown_and_not_obeyed(found):
    evil = msgspec.structs.replace(found.corners["new/new"].run.remedies[0], evidence="a\x1b[2J\n| <script>")
    found.corners["new/new"].run.remedies[0] = evil
    found = replace(found, moved=[replace(found.moved[0], sentence=evil.evidence)])
    assert "\x1b" not in telling.terminal(found)
    assert "<script>" not in telling.markdown(found)


@pytest.mark.parametrize("requirement", ['tensorflow==2.21.0")\nimport os', "tensorflow>=2", "```"])
def test_a_remedy_that_is_no_pin_is_not_pasted(found, requirement):
    found = replace(found, proof=replace(found.proof, requirement=requirement))
    for said in (telling.terminal(found), telling.markdown(found)):
        assert "names no single release, and cannot be shown" in said
        assert "readable_by(" not in said.partition("cannot be shown")[0].partition("Who moved")[2]
    assert json.loads(telling.as_json(found))["remedy"]["code"] is None


def test_what_is_to_be_measured_is_of_the_same_records(found, tmp_path):
    elsewhere = Bench.of(tmp_path / "else where", "ratings", ["--probe=predict"])
    told = between.measure(replace(found.between, options=elsewhere.asked), OLD, NEW)
    assert told.endswith(f"--case=ratings --probe=predict '--reports={tmp_path}/else where'")
    kept = between.measure(found.between, OLD, NEW)
    assert kept.endswith("--with tensorflow==2.21.0")


def test_json_and_markdown_say_the_same(found):
    data = json.loads(telling.as_json(found))
    assert (data["decision"], data["exit_code"]) == (found.verdict.decision, 0)
    assert data["corners"]["new/new"]["class"] == failures.STABLEHLO_SKEW
    assert [moved["side"] for moved in data["moved"] if moved["moved"]] == ["upgrade", "program", "reader"]
    assert data["between"]["newest"] == {"jax": "0.10.2", "tensorflow": "2.21.0"}
    assert "readable_by" in data["remedy"]["code"]
    told = telling.markdown(found)
    assert "```python\nimport parity.compat.remedies" in told
    assert told.startswith("**May upgrade with remedy")
    assert "| new/new | 0.12.0.1 |" in told


# The newest pair in between


def test_the_newest_pair_that_needs_no_remedy_is_by_jax_and_then_by_tensorflow(found, leave, bench):
    said = " ".join(telling.terminal(found).split())
    assert f"needs no remedy, by jax and then by tensorflow, is {BETWEEN} (worst score 2);" in said
    assert "of the 8 pairs between them, both included, 5 have been measured." in said
    assert "parity bisect jax --good 0.10.2 --bad 0.12.0.1 --with tensorflow==2.21.0" in said
    leave(Pair("0.11.2", "2.20.0"))
    again = between.look(OLD, NEW, replace(bench, _seen={}), "3.12")
    assert again.newest == Pair("0.11.2", "2.20.0")


def test_a_pair_that_needs_a_remedy_on_one_python_needs_one(found, leave, bench):
    leave(BETWEEN, "3.13", remedy=SKEW)
    again = between.look(OLD, NEW, replace(bench, _seen={}), "3.12")
    assert again.newest == Pair(OLD.jax, NEW.tensorflow)


def test_where_none_is_known_it_says_so_and_how_to_measure(bench, leave, machine, monkeypatch):
    listed(monkeypatch, jax=["0.9.2", "0.10.2", "0.12.0.1"], tensorflow=["2.20.0", "2.21.0"])
    for pair in corners(OLD, NEW).values():
        leave(pair, remedy=SKEW)
    found = upgrade(OLD, NEW, bench, None)
    said = " ".join(telling.terminal(found).split())
    assert "No pair in between is known to need no remedy; of the 6 pairs between them, both included, 4 have" in said
    assert "parity bisect jax --good 0.9.2 --bad 0.12.0.1 --with tensorflow==2.20.0" in said


def test_an_index_that_cannot_be_asked_leaves_the_number_of_pairs_open(bench, four, machine, monkeypatch):
    def closed(package, python):
        raise NotComparableError("closed")

    monkeypatch.setattr(between.releases, "listed", closed)
    said = " ".join(telling.terminal(upgrade(OLD, NEW, bench, None)).split())
    assert "4 have been measured (the index could not be asked how many there are)" in said


def test_the_atlas_of_the_project_knows_pairs_that_have_no_record_here(bench, four, machine, monkeypatch, reports):
    listed(monkeypatch, jax=[OLD.jax, "0.10.2", NEW.jax], tensorflow=["2.20.0", "2.21.0"])
    rows = [cells.row(run(pair)) for pair in (BETWEEN, Pair("0.10.2", "2.19.1"), NEW)]
    atlas.write(reports / "atlas.json", atlas.join(rows))
    found = upgrade(OLD, NEW, bench, None)
    assert (found.between.newest, found.between.measured) == (BETWEEN, 5)
    other = Bench.of(reports, "ratings", ())
    assert between.known(OLD, NEW, other) == {}  # what passes for the reference says nothing of another case


def test_nothing_in_between_is_asked_for_where_nothing_is_blocked(bench, leave, machine):
    for pair in corners(OLD, NEW).values():
        leave(pair)
    found = upgrade(OLD, NEW, bench, None)
    assert (found.verdict.decision, found.between, found.proof) == ("may upgrade", None, None)
    assert telling.terminal(found).splitlines()[-1].startswith(("- ", "  "))


def test_a_new_pair_that_passes_and_is_blocked_is_not_proposed(bench, leave, machine, monkeypatch, reports):
    listed(monkeypatch, jax=[OLD.jax, NEW.jax], tensorflow=[OLD.tensorflow, NEW.tensorflow])
    for pair in corners(OLD, NEW).values():
        leave(pair)
    lacking = records.read(reports / NEW.cell("3.12"))
    del lacking.checks[-1], lacking.plan[-1]
    records.seal(reports / NEW.cell("3.12"), lacking)
    found = upgrade(OLD, NEW, bench, None)
    said = " ".join(telling.terminal(found).split())
    assert (found.verdict.decision, found.between.newest) == ("do not upgrade", BOTH)
    assert "Nothing broke" not in said
    assert f"{NEW} passes as exported by default what it was asked, and the gate blocks it" in said
    assert "parity bisect" not in said  # which would find nothing bad


def test_a_record_of_a_run_that_ended_is_judged_whatever_is_missing_in_it(bench, four, machine, monkeypatch, reports):
    listed(monkeypatch, jax=[], tensorflow=[])
    atlas.write(reports / "atlas.json", atlas.join([cells.row(run(NEW))]))
    lacking = records.read(reports / NEW.cell("3.12"))
    del lacking.checks[-1]
    records.seal(reports / NEW.cell("3.12"), lacking)
    found = upgrade(OLD, NEW, bench, None)
    assert (machine.ran, found.exit_code, found.corners["new/new"].outcome.status) == ([], 1, MISSING)
    assert NEW not in between.known(OLD, NEW, bench)  # the atlas has it, and the record counts


def test_a_new_pair_that_cannot_be_installed_blocks_with_the_resolvers_reason(bench, four, leave, machine, monkeypatch):
    listed(monkeypatch, jax=[], tensorflow=[])
    stopped = samples.run(cell=NEW.cell("3.12"), stopped=Stopped(ERROR, failures.RESOLVER, "tensorflow needs numpy<2"))
    stopped.inputs = running.tasks(Cell.parse(stopped.cell), bench.reports, [])[0].inputs
    records.seal(bench.reports / stopped.cell, stopped)
    found = upgrade(OLD, NEW, bench, None)
    said = " ".join(telling.terminal(found).split())
    assert found.exit_code == 1
    assert "new/new error, resolver: tensorflow needs numpy<2." in said
    assert "No remedy is known for resolver." in said


# The commands


def parity(*arguments, cwd):
    code = """
import os, sys
os.environ["UV_DEFAULT_INDEX"] = "http://127.0.0.1:1/"
from parity.cli.main import main
code = main(sys.argv[1:])
sys.exit("a framework was imported" if {"jax", "tensorflow"} & {*sys.modules} else code)
"""
    return samples.python("-c", code, *arguments, cwd=cwd)


def test_the_command_judges_recorded_corners(four, reports, tmp_path):
    pins = ["--from", "jax==0.9.2 tensorflow==2.20.0", "--to", "jax==0.12.0.1 tensorflow==2.21.0"]
    written = ["--json", tmp_path / "new" / "upgrade.json", "--markdown", tmp_path / "upgrade.md"]
    done = parity("upgrade", *pins, "--reports", reports, *written, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("May upgrade with remedy (jax 0.9.2 to 0.12.0.1, tensorflow 2.20.0 to 2.21.0")
    assert json.loads((tmp_path / "new" / "upgrade.json").read_text())["exit_code"] == 0
    assert (tmp_path / "upgrade.md").read_text().startswith("**May upgrade")
