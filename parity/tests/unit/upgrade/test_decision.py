# ruff: noqa: F811 - fixtures that are imported are named by arguments
"""`parity upgrade` over planted records: reuse, the Python, the verdict, and what unblocks it."""

import json
import re
import sys
from dataclasses import replace

import pytest
from msgspec import structs

from parity import records
from parity.compat import readers
from parity.core import failures
from parity.core.errors import NotComparableError, UsageError
from parity.matrix import tasks, tox
from parity.records import CRASH, ERROR, MISSING, TIMEOUT, Stopped, atlas, cells
from parity.records.cells import Cell
from parity.tests.support import samples
from parity.tests.support.pairs import NEW, OLD, SKEW, four, leave, machine, reports, run, runner, set_index, skewed  # noqa: F401
from parity.tests.support.small_matrix import PAIRS, Project
from parity.tests.support.wheels import write as write_wheels
from parity.upgrade import releases, rendering
from parity.upgrade import runner as runners
from parity.upgrade.alternatives import bisect_command, find_alternatives, rows_between
from parity.upgrade.decision import decide
from parity.upgrade.pairs import Pair, corners
from parity.upgrade.reasons import Change, Reason
from parity.upgrade.runner import CellRunner, choose_python

BOTH = Pair(NEW.jax, OLD.tensorflow)
BETWEEN = Pair("0.10.2", "2.21.0")


# Pins


def test_a_pair_is_read_from_pins():
    assert Pair.parse("jax==0.9.2 tensorflow==2.20.0") == Pair.parse("tensorflow-cpu==2.20.0, jax==0.9.2") == OLD
    assert OLD.cell("3.12") == "py312-jax0.9.2-tf2.20.0"
    assert OLD.order() < BETWEEN.order() < NEW.order()
    assert BETWEEN.in_range(OLD, NEW)
    assert not Pair("0.10.2", "2.19.1").in_range(OLD, NEW)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jax==0.9.2", "pins no tensorflow"),
        ("jax>=0.9.2 tensorflow==2.20.0", "'jax>=0.9.2' is no pin"),
        ("jax==0.9.* tensorflow==2.20.0", "is no pin"),
        ("jax tensorflow", "'jax' is no pin"),
        ("jax==0.9.2 tensorflow==2.20.0 tensorflow-cpu==2.21.0", "pins a package twice"),
        ("jax==0.9.2 tensorflow==2.20.0 flax==0.12.6", "named by jax and tensorflow alone.*Leave it out"),
    ],
)
def test_pins_of_no_pair_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
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
        one = CellRunner.for_case(tmp_path / "reports", case, further)
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
        CellRunner.for_case(tmp_path, "reference", (), 0)


def test_a_case_in_the_project_is_named_from_there(tmp_path, monkeypatch):
    found = set()
    for folder in (tmp_path / "here", tmp_path / "there"):
        (folder / "src").mkdir(parents=True)
        (folder / "src" / "mine.py").write_text("case = None", encoding="utf-8")
        monkeypatch.chdir(folder)
        one = CellRunner.for_case(folder / "reports", f"{folder}/src/mine.py:case", ())
        found.add((one.options, one.reports.relative_to(folder)))
    [(options, _)] = found
    assert options == ("--case=src/mine.py:case",)


def test_a_users_case_is_an_input_of_its_records(tmp_path):
    file = tmp_path / "mine.py"
    prints = set()
    for text in ("case = 1", "case = 2"):
        file.write_text(text, encoding="utf-8")
        [task] = tasks.tasks(Cell.parse(OLD.cell("3.12")), tmp_path, [f"--case={file}:case"])
        prints.add(task.request)
    assert len(prints) == 2


def test_cells_write_their_records_to_the_given_folder(tmp_path):
    project = Project(tmp_path)
    elsewhere = project.reports / "cases" / "mine"
    shown = []
    tox.run_cells(project.folder, [PAIRS[0]], [], 1, shown.append, elsewhere)
    assert shown == [f"{PAIRS[0]}: pass"]
    assert records.read(elsewhere / PAIRS[0]).cell == PAIRS[0]
    assert project.outcomes() == {}


# Which records are taken


def test_what_is_recorded_and_up_to_date_is_not_run(runner, four, machine, monkeypatch):
    set_index(monkeypatch, jax=[OLD.jax, NEW.jax], tensorflow=[OLD.tensorflow, NEW.tensorflow])
    found = decide(OLD, NEW, runner, None)
    assert machine.ran == []
    assert (found.verdict.decision, found.exit_code) == ("may upgrade with remedy", 0)
    assert (found.python.reason, found.python.facts["python"]) == (Reason.PYTHON_RECORDED, "3.12")


def test_what_is_out_of_date_or_lacking_is_run_on_the_python_of_the_others(
    runner, four, leave, machine, reports, monkeypatch
):
    leave(OLD, current=False)
    (reports / BOTH.cell("3.12") / "run.json").unlink()
    machine.becomes[NEW.jax] = skewed(NEW)
    set_index(monkeypatch, jax=[], tensorflow=[])
    found = decide(OLD, NEW, runner, None)
    assert machine.ran == [OLD.cell("3.12"), BOTH.cell("3.12")]
    assert found.made == tuple(machine.ran)
    assert all(one.current for one in found.corners.values())
    assert {name: one.cell.name for name, one in found.corners.items()} == {
        name: pair.cell("3.12") for name, pair in corners(OLD, NEW).items()
    }


@pytest.mark.parametrize("status", [CRASH, TIMEOUT])
@pytest.mark.parametrize("how", ["stopped", "check"])
def test_what_crashed_or_timed_out_is_run_again_although_its_inputs_are_the_same(
    runner, four, machine, reports, monkeypatch, status, how
):
    set_index(monkeypatch, jax=[], tensorflow=[])
    before = records.read(reports / OLD.cell("3.12"))
    if how == "stopped":
        before.stopped = Stopped(status, status, "planted")
    else:
        before.checks[0] = structs.replace(before.checks[0], status=status)
    records.seal(reports / OLD.cell("3.12"), before)
    found = decide(OLD, NEW, runner, None)
    assert machine.ran == [OLD.cell("3.12")]
    assert all(one.current for one in found.corners.values())


def test_records_on_several_pythons_are_taken_and_named(runner, four, leave, machine, reports, monkeypatch):
    set_index(monkeypatch, jax=[], tensorflow=[])
    for pair in (OLD, Pair(OLD.jax, NEW.tensorflow)):
        (reports / pair.cell("3.12") / "run.json").unlink()
        leave(pair, "3.11")
    found = decide(OLD, NEW, runner, None)
    assert (machine.ran, found.python.reason) == ([], Reason.PYTHONS_RECORDED)
    assert found.python.facts["python"] == "3.11 and 3.12"
    assert Change("Python", "3.11.1", "3.12.1") in found.findings[-1].changes


def test_nothing_is_run_where_only_what_is_recorded_is_asked_for(runner, four, leave, machine, reports, monkeypatch):
    set_index(monkeypatch, jax=[], tensorflow=[])
    leave(OLD, current=False)
    (reports / BOTH.cell("3.12") / "run.json").unlink()
    found = decide(OLD, NEW, runner, None, recorded=True)
    assert machine.ran == []
    data = json.loads(rendering.as_json(found))["corners"]
    assert {name: one and one["current"] for name, one in data.items()} == {
        "old/old": False, "new/old": None, "old/new": True, "new/new": True,
    }  # fmt: skip
    shown = rendering.terminal(found)
    assert re.search(rf"new/old +{NEW.jax} +{OLD.tensorflow}", shown)
    assert (found.made, found.python.reason) == ((), Reason.PYTHON_ONLY)
    (reports / NEW.cell("3.12") / "run.json").unlink()
    absent = decide(OLD, NEW, replace(runner, _seen={}), None, recorded=True)
    assert (absent.exit_code, absent.verdict) == (3, None)
    assert "new pair" in absent.incomparable
    assert absent.incomparable in rendering.terminal(absent)


def test_a_cell_that_could_not_be_run_is_an_error_and_not_an_answer(runner, machine, reports, monkeypatch):
    def run_here(project, names, options, jobs, show, where, settings):
        stopped = samples.run(cell=names[0], stopped=Stopped(MISSING, "", "no space left"))
        records.seal(reports / names[0], stopped)

    monkeypatch.setattr(tox, "run_cells", run_here)
    with pytest.raises(NotComparableError, match=r"py313-jax0\.9\.2-tf2\.20\.0 could not be run: no space left"):
        decide(OLD, NEW, runner, None)


def test_an_older_record_that_stays_because_nothing_ran_is_no_answer_either(runner, four, leave, machine, monkeypatch):
    leave(OLD, current=False)
    monkeypatch.setattr(tox, "run_cells", lambda *arguments, **named: None)
    with pytest.raises(NotComparableError, match=r"py312-jax0\.9\.2-tf2\.20\.0 was not run"):
        decide(OLD, NEW, runner, None)


def test_where_one_package_stays_there_are_two_corners(runner, four, machine, monkeypatch):
    found = decide(OLD, Pair(OLD.jax, NEW.tensorflow), runner, None)
    assert (list(found.corners), machine.ran) == (["old/old", "new/new"], [])
    assert found.verdict.decision == "may upgrade"


# The Python


def test_the_python_is_one_that_can_install_all(runner, machine):
    pairs = list(corners(OLD, NEW).values())
    nothing = {pair: [] for pair in pairs}
    python, why = choose_python(pairs, nothing)
    assert (python, why.reason, why.facts["recorded"]) == ("3.13", Reason.PYTHON_INSTALLS, 0)
    machine.refused[OLD.jax, "3.13"] = "needs Python <3.13"
    assert choose_python(pairs, nothing)[0] == "3.12"
    machine.refused[NEW.jax, "3.12"] = machine.refused[BOTH.jax, "3.13"] = "no numpy"
    python, why = choose_python(pairs, nothing)
    assert (python, why.reason) == ("3.12", Reason.PYTHON_INSTALLS_MOST)
    assert (why.facts["installable"], why.facts["pairs"]) == (2, 4)
    python, why = choose_python(pairs, nothing, "3.13")
    assert (python, why.reason) == ("3.13", Reason.PYTHON_NAMED)
    for wrong in ("3.11", "2.7"):
        with pytest.raises(UsageError, match=f"--python {wrong}: there is no such Python here"):
            choose_python(pairs, nothing, wrong)


@pytest.fixture
def wheels(tmp_path):
    return write_wheels(tmp_path)


def test_the_resolver_says_what_cannot_be_installed(wheels, monkeypatch):
    monkeypatch.setenv("UV_CONFIG_FILE", str(wheels / "uv.toml"))
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert runners.why_uninstallable(Pair("1.0", "1.0"), here) == ""
    assert "ml-dtypes" in runners.why_uninstallable(Pair("3.0", "1.0"), here)
    with pytest.raises(NotComparableError, match="could not be installed"):
        runners.why_uninstallable(Pair("9.9", "9.9"), here)


# The answer as text and data


@pytest.fixture
def found(runner, four, machine, monkeypatch, leave):
    set_index(monkeypatch, jax=["0.9.2", "0.10.2", "0.11.2", "0.12.0.1"], tensorflow=["2.20.0", "2.21.0"])
    leave(BETWEEN, current=False)
    return decide(OLD, NEW, runner, None)


def test_the_remedy_is_given_as_code_with_its_proof(found):
    assert '    with parity.readable_by("tensorflow==2.21.0"):\n        ...' in rendering.terminal(found)
    compile(found.proof.code, "pasted", "exec")
    assert readers.limits_of(found.proof.requirement)
    proof = found.proof
    assert (proof.checks, proof.not_in_order, proof.worst_score, proof.limit) == (1, 0, 2.0, 64.0)
    assert [advice.reason for advice in found.advice] == [Reason.REMEDY, Reason.ALTERNATIVE]
    assert found.advice[0].facts == {"new": str(NEW), "checks": 1, "failed": 0, "worst": "2", "limit": "64"}


def test_a_remedy_under_which_checks_fail_is_no_proof(runner, leave, machine, monkeypatch):
    set_index(monkeypatch, jax=[], tensorflow=[])
    for pair in corners(OLD, NEW).values():
        leave(pair, **{**skewed(pair), **({"status": records.FAIL, "tensorflow": 99.0} if pair == NEW else {})})
    found = decide(OLD, NEW, runner, None)
    assert (found.exit_code, found.verdict.decision) == (1, "do not upgrade")
    assert (found.proof.not_in_order, found.proof.worst_score) == (1, 99.0)


def test_it_fits_80_columns_and_begins_with_the_verdict(found):
    shown = rendering.terminal(found)
    assert max(map(len, shown.splitlines())) <= 80
    assert " ".join(shown.split()).startswith(found.verdict.sentence)
    assert [line.split()[:2] for line in shown.splitlines() if line.startswith((" old/", " new/"))] == [
        ["old/old", "0.9.2"], ["new/old", "0.12.0.1"], ["old/new", "0.9.2"], ["new/new", "0.12.0.1"],
    ]  # fmt: skip
    assert "vhlo.custom_call_v2" in shown


def test_names_from_records_are_shown_and_not_obeyed(found):
    evil = structs.replace(found.corners["new/new"].run.remedies[0], evidence="a\x1b[2J\n| <script>")
    found.corners["new/new"].run.remedies[0] = evil
    found = replace(
        found, findings=[replace(found.findings[0], facts={"new": evil.evidence, "outcome": evil.evidence})]
    )
    assert "\x1b" not in rendering.terminal(found)
    assert "<script>" not in rendering.markdown(found)


@pytest.mark.parametrize("requirement", ['tensorflow==2.21.0")\nimport os', "tensorflow>=2", "```"])
def test_a_remedy_that_is_no_pin_is_not_pasted(found, requirement):
    found = replace(found, proof=replace(found.proof, requirement=requirement))
    for shown in (rendering.terminal(found), rendering.markdown(found)):
        assert "readable_by(" not in shown.partition("Who moved")[2].partition("Gate")[0]
    assert json.loads(rendering.as_json(found))["remedy"]["code"] is None


def test_the_command_that_measures_more_uses_the_same_records(found, tmp_path):
    elsewhere = CellRunner.for_case(tmp_path / "else where", "ratings", ["--probe=predict"])
    command = bisect_command(OLD, NEW, elsewhere.command_options)
    assert command.endswith(f"--case=ratings --probe=predict '--reports={tmp_path}/else where'")
    assert found.alternatives.command.endswith("--with tensorflow==2.21.0")


def test_json_and_markdown_have_the_same_facts(found):
    data = json.loads(rendering.as_json(found))
    assert (data["decision"], data["exit_code"]) == (found.verdict.decision, 0)
    assert data["corners"]["new/new"]["class"] == failures.STABLEHLO_SKEW
    assert [moved["side"] for moved in data["moved"] if moved["moved"]] == ["upgrade", "program", "reader"]
    assert data["between"]["newest"] == {"jax": "0.10.2", "tensorflow": "2.21.0"}
    assert "readable_by" in data["remedy"]["code"]
    assert [moved["reason"] for moved in data["moved"]] == [
        "jax_moved", "scores_same", "scores_same", "scores_same", "program_moved_alone", "unreadable",
    ]  # fmt: skip
    assert [advice["reason"] for advice in data["advice"]] == ["remedy", "alternative"]
    assert data["python"]["reason"] == "python_recorded"
    assert data["between"]["measure"] == found.alternatives.command
    shown = rendering.markdown(found)
    assert f"```python\n{found.proof.code}\n```" in shown
    assert shown.startswith("**")
    assert "| new/new | 0.12.0.1 |" in shown


# The newest pair in between


def test_the_newest_pair_that_needs_no_remedy_is_by_jax_and_then_by_tensorflow(found, leave, runner):
    known = found.alternatives
    assert (known.newest, known.total, known.measured) == (BETWEEN, 8, 5)
    assert (known.finding.reason, known.finding.facts["worst"]) == (Reason.ALTERNATIVE, "2")
    assert known.command == "parity bisect jax --good 0.10.2 --bad 0.12.0.1 --with tensorflow==2.21.0"
    assert known.command in " ".join(rendering.terminal(found).split())
    leave(Pair("0.11.2", "2.20.0"))
    again = find_alternatives(OLD, NEW, replace(runner, _seen={}), "3.12")
    assert again.newest == Pair("0.11.2", "2.20.0")


def test_a_pair_that_needs_a_remedy_on_one_python_needs_one(found, leave, runner):
    leave(BETWEEN, "3.13", remedy=SKEW)
    again = find_alternatives(OLD, NEW, replace(runner, _seen={}), "3.12")
    assert again.newest == Pair(OLD.jax, NEW.tensorflow)


def test_where_none_is_known_the_command_to_measure_is_given(runner, leave, machine, monkeypatch):
    set_index(monkeypatch, jax=["0.9.2", "0.10.2", "0.12.0.1"], tensorflow=["2.20.0", "2.21.0"])
    for pair in corners(OLD, NEW).values():
        leave(pair, remedy=SKEW)
    found = decide(OLD, NEW, runner, None)
    known = found.alternatives
    assert (known.finding.reason, known.newest, known.total, known.measured) == (Reason.NO_ALTERNATIVE, None, 6, 4)
    assert known.command == "parity bisect jax --good 0.9.2 --bad 0.12.0.1 --with tensorflow==2.20.0"


def test_an_index_that_cannot_be_read_leaves_the_number_of_pairs_open(runner, four, machine, monkeypatch):
    def closed(package, python):
        raise NotComparableError("closed")

    monkeypatch.setattr(releases, "list_releases", closed)
    known = decide(OLD, NEW, runner, None).alternatives
    assert (known.measured, known.total) == (4, None)
    assert known.command


def test_the_atlas_of_the_project_knows_pairs_that_have_no_record_here(runner, four, machine, monkeypatch, reports):
    set_index(monkeypatch, jax=[OLD.jax, "0.10.2", NEW.jax], tensorflow=["2.20.0", "2.21.0"])
    rows = [cells.row(run(pair)) for pair in (BETWEEN, Pair("0.10.2", "2.19.1"), NEW)]
    atlas.write(reports / "atlas.json", atlas.join(rows))
    found = decide(OLD, NEW, runner, None)
    assert (found.alternatives.newest, found.alternatives.measured) == (BETWEEN, 5)
    other = CellRunner.for_case(reports, "ratings", ())
    assert rows_between(OLD, NEW, other) == {}  # what passes for the reference says nothing of another case


def test_nothing_in_between_is_looked_up_where_nothing_is_blocked(runner, leave, machine):
    for pair in corners(OLD, NEW).values():
        leave(pair)
    found = decide(OLD, NEW, runner, None)
    assert (found.verdict.decision, found.alternatives, found.proof) == ("may upgrade", None, None)
    assert found.advice == []
    assert rendering.terminal(found).splitlines()[-1].startswith(("- ", "  "))


def test_a_new_pair_that_passes_and_is_blocked_is_not_proposed(runner, leave, machine, monkeypatch, reports):
    set_index(monkeypatch, jax=[OLD.jax, NEW.jax], tensorflow=[OLD.tensorflow, NEW.tensorflow])
    for pair in corners(OLD, NEW).values():
        leave(pair)
    lacking = records.read(reports / NEW.cell("3.12"))
    del lacking.checks[-1], lacking.plan[-1]
    records.seal(reports / NEW.cell("3.12"), lacking)
    found = decide(OLD, NEW, runner, None)
    assert (found.verdict.decision, found.alternatives.newest) == ("do not upgrade", BOTH)
    assert found.findings[0].reason is Reason.GATE_BLOCKS
    assert found.alternatives.command is None  # it would find no bad release


def test_a_record_of_a_run_that_ended_is_judged_whatever_is_missing_in_it(runner, four, machine, monkeypatch, reports):
    set_index(monkeypatch, jax=[], tensorflow=[])
    atlas.write(reports / "atlas.json", atlas.join([cells.row(run(NEW))]))
    lacking = records.read(reports / NEW.cell("3.12"))
    del lacking.checks[-1]
    records.seal(reports / NEW.cell("3.12"), lacking)
    found = decide(OLD, NEW, runner, None)
    assert (machine.ran, found.exit_code, found.corners["new/new"].outcome.status) == ([], 1, MISSING)
    assert NEW not in rows_between(OLD, NEW, runner)  # the atlas has it, and the record counts


def test_a_new_pair_that_cannot_be_installed_blocks_with_the_resolvers_reason(
    runner, four, leave, machine, monkeypatch
):
    set_index(monkeypatch, jax=[], tensorflow=[])
    stopped = samples.run(cell=NEW.cell("3.12"), stopped=Stopped(ERROR, failures.RESOLVER, "tensorflow needs numpy<2"))
    stopped.inputs = tasks.tasks(Cell.parse(stopped.cell), runner.reports, [])[0].request
    records.seal(runner.reports / stopped.cell, stopped)
    found = decide(OLD, NEW, runner, None)
    assert found.exit_code == 1
    assert found.findings[0].reason is Reason.NO_INSTALL
    assert (found.advice[0].reason, found.advice[0].facts) == (Reason.NO_REMEDY, {"failure": "resolver"})
    assert "tensorflow needs numpy<2" in rendering.terminal(found)


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
    data = json.loads((tmp_path / "new" / "upgrade.json").read_text())
    assert (data["exit_code"], data["decision"]) == (0, "may upgrade with remedy")
    assert " ".join(done.stdout.split()).startswith(data["sentence"])
    assert data["remedy"]["requirement"] in (tmp_path / "upgrade.md").read_text()
