"""Baselines: what `parity baseline accept` writes, shows and refuses, and what the gate makes of one."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from parity import gate
from parity.cli import main as cli
from parity.core.errors import RecordError
from parity.gate import baselines
from parity.gate.side import parse
from parity.records import Deprecation, Power, Remedy, Stopped
from parity.tests.support import gate_runs
from parity.tests.support.gate_runs import POLICY, as_side, encoded, kinds, newer, run, with_check
from parity.tests.support.paths import ROOT

COMMITTED = sorted((ROOT / "fixtures/baselines").glob("*.json"))


@pytest.fixture
def accepted(tmp_path, capsys):
    """Accepts a run; returns the exit code, what was said, and the baseline's path."""

    def command(made, *options):
        (tmp_path / "run.json").write_bytes(encoded(made))
        to = tmp_path / "baselines"
        code = cli.main(["baseline", "accept", str(tmp_path / "run.json"), f"--to={to}", *options])
        output, complaint = capsys.readouterr()
        return code, output + complaint, to / f"{made.cell}.json"

    return command


def test_a_run_becomes_a_baseline_that_it_and_its_like_are_held_against(accepted):
    code, output, path = accepted(run(), "--yes")
    assert code == 0
    assert "There is no baseline" in output
    baseline = gate.read(path)
    assert kinds(gate.judge(baseline, as_side(run()), POLICY)) == [("note", "latency")]  # which says that it keeps none
    for worse, kind in (
        (with_check(1, status="fail"), "worse"), (with_check(1, score=100.0), "over the limit"),
        (with_check(1, limit=65.0), "limit raised"), (with_check(1, score=None), "not measured"),
        (newer(checks=newer().checks[1:]), "missing"), (newer(powers=newer().powers[1:]), "missing"),
    ):  # fmt: skip
        assert ("block", kind) in kinds(gate.judge(baseline, as_side(worse), POLICY))
    for drift, kind in (
        (with_check(1, score=8.1), "drift"),
        (newer(powers=[Power("reference", "predict", 13, w, 0.1) for w in "wv"]), "power"),
        (newer(budgets=[replace(budget, max=1e-6) for budget in run().budgets]), "budget"),
        (newer(deprecations=[Deprecation("jax", "going")]), "deprecation"),
    ):  # fmt: skip
        assert kinds(gate.judge(baseline, as_side(drift), POLICY)) == [("warn", kind), ("note", "latency")]


def test_bits_and_durations_are_not_gated_against_a_baseline(accepted):
    baseline = gate.read(accepted(run(), "--yes")[2])
    made = with_check(1, bits_equal=False)
    made.timings[0] = replace(made.timings[0], median_ns=1e12)
    assert kinds(gate.judge(baseline, as_side(made), POLICY)) == [("note", "latency")]  # which says that they are not
    text = baselines.dumps(as_side(run()))
    assert not any(word in text for word in ("bits", "timing", "a cpu", "cores", "2026", "python", "worst"))


def test_the_same_run_twice_gives_the_same_bytes_and_nothing_is_written(accepted):
    path = accepted(run(), "--yes")[2]
    before = path.read_bytes(), path.stat().st_mtime_ns
    code, output, _ = accepted(run())
    assert (code, (path.read_bytes(), path.stat().st_mtime_ns)) == (0, before)
    assert "The baseline stays as it is." in output


def test_the_difference_is_shown_first_and_nothing_is_written_unasked(accepted):
    path = accepted(run(), "--yes")[2]
    before = path.read_bytes()
    made = with_check(1, score=40.0)
    code, output, _ = accepted(made)
    assert (code, path.read_bytes()) == (2, before)
    assert "1 check of reference on tf_graph scored higher" in output
    assert "test_train_gradient[reference-tf_graph-b13]\n    kernel: 2 -> 50" in output
    assert "there is no terminal to ask in. Say --yes" in output
    assert accepted(made, "--yes")[0] == 0
    assert path.read_bytes() != before


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("", 1), ("no", 1)])
def test_accepting_a_baseline_asks_for_confirmation_in_a_terminal(accepted, monkeypatch, answer, code):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    found, _, path = accepted(run())
    assert (found, path.exists()) == (code, code == 0)


@pytest.mark.parametrize(
    ("made", "output", "code"),
    [
        (with_check(1, status="fail", message="off"), "such as kernel of test_train_gradient", 1),
        (with_check(1, status="crash"), "which ended in a crash", 1),
        (with_check(1, status="fixed"), "passed although listed", 1),
        (with_check(1, score=65.0), "scored over the limit, with status pass: score 65, limit 64", 1),
        (with_check(1, score=math.nan), "scored over the limit", 1),
        (newer(checks=newer().checks[1:]), "went missing: planned, and not seen", 1),
        (newer(state="interrupted"), "its run was interrupted", 1),
        (newer(stopped=Stopped("crash", "crash", "signal 6")), "stopped: signal 6", 1),
        (newer(checks=[newer().checks[3]], plan=[]), "TensorFlow answered nothing", 3),
        (newer(cell="../../etc/x"), "cannot be the name of a file", 4),
        (newer(cell="a/b"), "cannot be the name of a file", 4),
    ],
)
def test_what_is_not_in_order_is_refused_and_nothing_is_written(accepted, tmp_path, made, output, code):
    found, complaint, _ = accepted(made, "--yes")
    assert found == code
    assert output in complaint
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["run.json"]


def test_a_baseline_is_not_accepted_again(accepted, tmp_path):
    path = accepted(run(), "--yes")[2]
    assert cli.main(["baseline", "accept", str(path), f"--to={tmp_path}", "--yes"]) == 2


def test_a_baseline_that_cannot_be_read_is_said_and_replaced(accepted):
    path = accepted(run(), "--yes")[2]
    path.write_text(path.read_text()[:-20])
    code, output, _ = accepted(run(), "--yes")
    assert code == 0
    assert "The baseline that is there cannot be compared" in output
    assert gate.read(path).checks
    path.write_bytes(b"\xff")
    assert accepted(run(), "--yes")[0] == 0
    assert gate.read(path).checks


def test_a_remedied_run_and_its_known_issues_are_kept():
    made = with_check(1, status="remedied")
    made.checks[2] = replace(made.checks[2], status="known", score=None)
    made.remedies.append(Remedy("reference", "tensorflow==2.21.0", "stablehlo_skew", "vhlo.custom_call_v2"))
    kept = parse(baselines.dumps(as_side(made)).encode(), "baseline")
    assert [check.status for check in kept.checks.values()].count("remedied") == 1
    assert kept.remedies[0].requirement == "tensorflow==2.21.0"
    assert gate.judge(kept, as_side(made), POLICY).decision == "may upgrade with remedy"


def test_the_order_of_rows_does_not_matter():
    made = run()
    text = baselines.dumps(as_side(made))
    for rows in (made.plan, made.checks, made.powers, made.budgets):
        random.Random(1).shuffle(rows)
    assert baselines.dumps(as_side(made)) == text


def test_a_baseline_has_one_line_per_item():
    lines = baselines.dumps(as_side(run())).splitlines()
    assert sum('"item"' in line for line in lines) == 3
    assert max(map(len, lines)) < 400


def test_a_baseline_does_not_change_with_noise_in_scores():
    made = newer(started_at="2026-03-03T00:00:00.000Z")
    made.checks = [replace(check, score=check.score * 1.2, bits_equal=False) for check in made.checks]
    made.environment["versions"] = dict(run().environment["versions"])
    made.environment["machine"] = {**gate_runs.MACHINE, "cpu": "another"}
    assert baselines.dumps(as_side(made)) == baselines.dumps(as_side(run()))


@given(st.floats(0, 1e300, allow_subnormal=False))
def test_rounding_is_up_and_not_far(value):
    kept = baselines.rounded(value)
    assert value <= kept <= max(2.5 * value * (1 + 1e-12), 0)
    assert baselines.rounded(kept) == kept
    assert float(json.loads(json.dumps(kept))) == kept


def test_rounding():
    assert [baselines.rounded(x) for x in (0, 1, 1.01, 2.2, 7, 64, 3e-7)] == [0, 1, 2, 5, 10, 100, 5e-7]
    assert [baselines.rounded(x, 1.0) for x in (0, 0.01, 1.0, 1.1)] == [0, 1, 1, 2]
    assert [baselines.rounded(x) for x in (1.2e308, 1.6e308)] == [1.2e308, 1.6e308]
    assert [baselines.rounded(x) for x in ("inf", "nan")] == ["inf", "nan"]


def test_a_rounded_score_is_never_over_the_limit():
    made = with_check(1, score=63.0)
    kept = parse(baselines.dumps(as_side(made)).encode(), "baseline")
    assert 64.0 in [check.score for check in kept.checks.values()]
    assert kinds(gate.judge(kept, as_side(made), POLICY)) == [("note", "latency")]


@pytest.mark.parametrize("key", ["schema", "cell", "mode", "items", "measures", "remedies", "versions"])
def test_a_baseline_that_was_altered_is_refused(key):
    found = json.loads(baselines.dumps(as_side(run())))
    for changed in ({**found, key: ["other"]}, {name: value for name, value in found.items() if name != key}):
        with pytest.raises(RecordError):
            parse(json.dumps(changed).encode(), "baseline")


@pytest.mark.parametrize("rows", ["items", "measures"])
def test_a_line_that_is_there_twice_is_refused(rows):
    found = json.loads(baselines.dumps(as_side(run())))
    found[rows].append(found[rows][0])
    with pytest.raises(RecordError, match="2 times"):
        parse(json.dumps(found).encode(), "baseline")


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_a_committed_baseline_is_small_and_as_this_parity_would_write_it(path):
    text = path.read_text(encoding="utf-8")
    kept = gate.read(path)
    assert kept.cell == path.stem
    assert len(text) < 100_000
    assert baselines.dumps(kept) == text


def test_the_committed_baselines_are_of_supported_cells():
    declared = (ROOT / "tox.ini").read_text(encoding="utf-8")
    assert COMMITTED
    for path in COMMITTED:
        assert f"    {path.stem}\n" in declared
