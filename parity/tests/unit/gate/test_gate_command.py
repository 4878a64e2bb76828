"""`parity gate` from the outside: exit codes, files, and what it does not import."""

import json
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from parity import gate
from parity.cli import main as cli
from parity.gate import outputs
from parity.gate.verdict import Finding, Verdict, grouped
from parity.tests.support import samples
from parity.tests.support.gate_runs import as_side, encoded, judge, newer, run, with_check


@pytest.fixture
def gated(tmp_path, capsys):
    """Runs the gate over two records; returns its exit code, what it printed, and what it complained of."""

    def command(candidate, *options, baseline=None):
        for name, of in (("old", baseline or run()), ("new", candidate)):
            (tmp_path / f"{name}.json").write_bytes(encoded(of))
        code = cli.main(["gate", str(tmp_path / "old.json"), str(tmp_path / "new.json"), *map(str, options)])
        return code, *capsys.readouterr()

    return command


def test_exit_codes(gated):
    assert gated(newer())[0] == 0
    assert gated(with_check(1, status="remedied"))[0] == 0
    assert gated(with_check(1, status="fail"))[0] == 1
    assert gated(run())[0] == 3
    assert gated(newer(schema=0))[0] == 4
    assert gated(newer(schema=9))[0] == 4
    assert gated(newer(), "--policy", "none.toml")[0] == 2


def test_a_downgrade_blocks_unless_the_option_allows_it(gated):
    older = run(started_at="2026-03-03T00:00:00.000Z")
    assert gated(older, baseline=newer())[0] == 1
    code, output, _ = gated(older, "--allow-downgrade", baseline=newer())
    assert code == 0
    assert "Warns (1)" in output


def test_the_first_line_is_the_decision_and_nothing_is_wider_than_80_columns(gated):
    _, output, _ = gated(with_check(1, status="fail", score=100.0))
    assert output.startswith("Do not upgrade (jax 0.9.2 to 0.10.2, tensorflow 2.20.0 to 2.21.0): 1 check of")
    assert max(map(len, output.split("\n"))) <= 80
    assert "Blocks (1):\n- 1 check of reference on tf_graph went from pass to fail" in output


def test_the_same_sentences_everywhere(gated, tmp_path):
    files = [tmp_path / name for name in ("summary.md", "sub/junit.xml", "verdict.json")]
    options = [f"--{name}={file}" for name, file in zip(("markdown", "junit", "json"), files, strict=True)]
    _, output, _ = gated(with_check(1, status="fail", score=100.0), *options, "--github")
    found = judge(with_check(1, status="fail", score=100.0))
    for sentence in (found.sentence, found.groups[0].sentence):
        assert sentence in " ".join(output.replace("\n  ", " ").split("\n"))
        assert f"::{sentence}" in output
        assert sentence in files[0].read_text().replace("\\", "")
        assert sentence in [case.find("failure").text for case in ElementTree.parse(files[1]).iter("testcase")]
        assert sentence in files[2].read_text()
    assert "::error title=parity gate%3A worse::" in output
    reported = json.loads(files[2].read_text())
    assert (reported["schema"], reported["decision"], reported["exit_code"]) == (1, "do not upgrade", 1)
    assert reported["counts"] == {"block": 1, "warn": 0, "note": 0}
    assert reported["candidate"]["versions"]["jax"] == "0.10.2"


def test_junit_counts_its_failures():
    for found, failures in ((judge(newer()), "0"), (judge(with_check(1, status="fail")), "2")):
        [suite] = ElementTree.fromstring(outputs.junit(found))
        assert (suite.get("failures"), len(suite.findall("testcase/failure"))) == (failures, int(failures))
        assert suite.get("tests") == str(len(suite)) == str(len({case.get("name") for case in suite}))


def many(count):
    found = [
        Finding("block", "worse", "check", "went from pass to fail", f"i{n}", "l" * 99, f"case{n}", detail="<&>" * 80)
        for n in range(count)
    ]
    return Verdict("do not upgrade", "Do not upgrade: x.", found, grouped(found), "old", "new", 1)


def test_a_summary_stays_under_a_mebibyte_and_says_how_much_was_cut():
    text = outputs.summary(many(5_000))
    assert len(text.encode()) < 1 << 20
    shown = text.count("\n- ")
    assert 500 < shown < 5_000
    assert f"{5_000 - shown:,} more findings cut here" in text


def test_a_terminal_and_annotations_say_how_much_was_cut():
    assert "and 80 more findings cut here" in outputs.terminal(many(100))
    commands = outputs.github(many(100)).split("\n")
    assert len(commands) == 10
    assert "92 more findings cut here" in commands[-1]


@pytest.mark.parametrize("name", ["::error::x", "a:", ":", ":::", "##[error]x", "\n::error::x"])
def test_no_name_makes_a_workflow_command_of_a_line(name):
    made = with_check(1, status="fail", message=name)
    made.checks[1] = replace(made.checks[1], item=name, leaf=name)
    made.plan.append(samples.planned(item=name, case=name))
    output = outputs.terminal(judge(made))
    assert "::" not in output
    assert "##[" not in output


def test_a_workflow_command_is_escaped():
    from parity.gate.text import workflow_command

    escaped = workflow_command("error", "a: b, c%\n", "100%\r\n::x")
    assert escaped == "::error title=a%3A b%2C c%25%0A::100%25%0D%0A::x"


def test_the_gate_starts_light(tmp_path):
    for name, of in (("old", run()), ("new", newer())):
        (tmp_path / f"{name}.json").write_bytes(encoded(of))
    heavy = "('numpy', 'jax', 'tensorflow', 'keras', 'rich', 'jinja2', 'packaging', 'pytest', 'parity.report')"
    code = (
        "import sys; from parity.cli import main as cli; code = cli.main(sys.argv[1:]); "
        f"print([name for name in {heavy} if name in sys.modules]); sys.exit(code)"
    )
    done = samples.python("-c", code, "gate", tmp_path / "old.json", tmp_path / "new.json")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "[]"), done.stdout + done.stderr


def test_a_file_that_cannot_be_written_is_said(gated, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, complaint = gated(newer(), f"--json={tmp_path / 'file' / 'x.json'}")
    assert code == 2
    assert "is a file" in complaint
    assert "--json" in complaint
    (tmp_path / "folder").mkdir()
    for option in ("--junit", "--json", "--markdown"):
        code, _, complaint = gated(newer(), f"{option}={tmp_path / 'folder'}")
        assert code == 2
        assert option in complaint


def test_a_summary_is_appended_and_what_is_no_regular_file_stays_what_it_is(gated, tmp_path):
    summary, link, target = (tmp_path / name for name in ("summary.md", "link.json", "target.json"))
    summary.write_text("before\n")
    target.write_text("x" * 100_000)
    link.symlink_to(target)
    assert gated(newer(), f"--markdown={summary}", f"--json={link}", "--junit=/dev/null")[0] == 0
    assert summary.read_text().startswith("before\n**May upgrade")
    assert link.is_symlink()
    assert json.loads(target.read_text())["decision"] == "may upgrade"


def test_a_baseline_is_not_held_against_itself(tmp_path, capsys):
    from parity.gate.baselines import dumps

    path = tmp_path / "old.json"
    path.write_text(dumps(as_side(run())))
    assert cli.main(["gate", str(path), str(tmp_path / "." / "old.json")]) == 3
    assert "is given twice" in "".join(capsys.readouterr())


def test_ten_times_the_checks():
    items = [samples.planned(item=f"test_predict[reference-tf_xla-b{n}]") for n in range(10_000)]
    checks = [of.check(leaf="output", status="pass", score=1.0, limit=64.0) for of in items]
    baseline, candidate = (
        run(plan=items, checks=checks),
        newer(plan=items, checks=[replace(c, score=70.0) for c in checks]),
    )
    found = judge(candidate, baseline)
    assert (found.compared, found.count("block")) == (10_000, 10_000)
    assert len(outputs.terminal(found)) < 2_000


def test_the_interface_that_others_use():
    assert {"judge", "load_policy", "read", "Verdict", "Finding"} <= set(gate.__all__)


@pytest.mark.parametrize("broken", ["--no-such-option", "conftest.py"])
def test_a_run_that_fails_before_its_plan_leaves_nothing_that_the_gate_accepts(tmp_path, broken):
    (tmp_path / "conftest.py").write_text("import no_such_module\n" if broken == "conftest.py" else "")
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.json").write_bytes(encoded(newer()))
    done = samples.python("-m", "pytest", f"--parity-out={out}", *[broken][broken == "conftest.py" :], cwd=tmp_path)
    assert done.returncode == 4, done.stdout
    (tmp_path / "old.json").write_bytes(encoded(run()))
    done = samples.python("-m", "parity", "gate", tmp_path / "old.json", out)
    assert done.returncode == 4
    assert "ended before its plan" in done.stderr
