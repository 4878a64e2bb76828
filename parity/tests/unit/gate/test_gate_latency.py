"""What the gate makes of steps that take longer, and of memory and artifacts that grew: both sides of each limit."""

import json

import pytest
from msgspec.structs import replace

from parity import gate
from parity.cli import main as cli
from parity.core.errors import NotComparableError
from parity.gate import baselines, machines
from parity.gate.side import parse
from parity.records.measures import BATCH_SIZES, BETWEEN_PROCESSES
from parity.tests.support import gate_runs, samples
from parity.tests.support.gate_runs import judge, kinds, newer, run
from parity.tests.support.policies import DRIFT, rule

DAY = "2026-02-0{}T00:00:00.000Z"
FACTOR = gate_runs.POLICY.drift.latency
CONFIRMED = [("block", "latency")]


def slower(factor=2.0, spread=0.01, day=2, **changes):
    """The newer run with its step at a factor of the baseline's 1 ms, whose interval is 1 % on both sides."""
    ns = 1e6 * factor
    timing = samples.timing(median_ns=ns, low_ns=ns * (1 - spread), high_ns=ns * (1 + spread), **changes)
    return newer(timings=[timing], started_at=DAY.format(day))


def test_a_slowdown_that_a_repeat_confirms_blocks_and_says_both_medians_the_factor_its_interval_and_rounds():
    found = judge(slower(2.0), repeats=[slower(1.9, day=3)])
    assert (kinds(found), found.exit_code) == (CONFIRMED, 1)
    [first] = found.findings
    assert (first.case, first.runtime, first.item) == ("reference", "tf_xla", "predict at batch size 13 (cpu:0)")
    for number in ("1 ms", "2 ms", "2 (1.92 to 2.08)", "9 and 9 rounds", "1.9 (1.83 to 1.98)"):
        assert number in first.detail
    assert first.worst == pytest.approx(2.0)


def test_without_a_repeat_it_warns_and_says_the_command():
    found = judge(slower())
    assert (kinds(found), found.exit_code) == ([("warn", "latency"), ("note", "latency")], 0)
    assert "parity run -m latency --batch-size 13 --out REPEAT" in found.findings[1].sentence
    assert "parity gate run.json run.json --repeat REPEAT" in found.findings[1].sentence


def test_an_interval_that_does_not_exclude_the_factor_warns_whatever_a_repeat_says():
    edge = FACTOR * 1.01 / 0.99 / (1 - BETWEEN_PROCESSES)  # where the low end is just the factor
    for repeats in ([], [slower(day=3)]):
        assert kinds(judge(slower(edge * 0.999), repeats=repeats)) == [("warn", "latency")]
    assert kinds(judge(slower(edge * 1.001), repeats=[slower(day=3)])) == CONFIRMED
    assert kinds(judge(slower(2.0, spread=0.3), repeats=[slower(day=3)])) == [("warn", "latency")]


def test_growth_up_to_the_factor_is_none():
    assert kinds(judge(slower(FACTOR), repeats=[slower(day=3)])) == []
    assert kinds(judge(slower(FACTOR * 1.001))) == [("warn", "latency")]
    assert kinds(judge(slower(0.5))) == []


@pytest.mark.parametrize("again", [slower(1.0, day=3), slower(FACTOR, day=3), slower(2.0, spread=0.3, day=3)])
def test_a_repeat_that_does_not_confirm_makes_it_a_note(again):
    for repeats in ([again], [slower(day=4), again]):
        assert kinds(judge(slower(), repeats=repeats)) == [("note", "latency")]


def test_every_repeat_must_have_measured_it():
    other = slower(day=3, batch_size=256)
    assert kinds(judge(slower(), repeats=[other])) == [("warn", "latency")]
    assert kinds(judge(slower(), repeats=[slower(day=4), other])) == [("warn", "latency")]
    assert kinds(judge(slower(), repeats=[slower(day=4), slower(day=5)])) == CONFIRMED


PARTS = {
    "system": "Darwin", "architecture": "arm64", "cpu": "b", "cores": 3, "instruction_sets": [], "affinity": [2, 3],
    "governor": "powersave", "max_mhz": 3000, "flags": ["OMP_NUM_THREADS=1"],
}  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_on_another_machine_nothing_is_compared_and_that_is_said(part):
    made, again = slower(), slower(day=3)
    for one in (made, again):
        one.environment["machine"] = {**gate_runs.MACHINE, part: PARTS[part]}
    found = judge(made, repeats=[again])
    assert kinds(found) == [("note", "latency")]
    assert "differ" in found.findings[0].detail
    assert machines.NAMES.get(part, part) in found.findings[0].detail


@pytest.mark.parametrize("part", ["affinity", "governor", "max_mhz", "flags"])
def test_a_record_from_before_latency_was_measured_is_not_comparable_and_that_is_said(part):
    baseline = run()
    baseline.environment["machine"] = {k: v for k, v in gate_runs.MACHINE.items() if k != part}
    found = judge(slower(), baseline)
    assert kinds(found) == [("note", "latency")]
    assert "does not say" in found.findings[0].detail


def test_load_memory_and_python_are_no_other_machine():
    made, again = slower(), slower(day=3)
    for one in (made, again):
        one.environment["machine"] = {
            **gate_runs.MACHINE, "load": 7.5, "min_mhz": 1, "memory_bytes": 3, "python": "3.12.0",
        }  # fmt: skip
    assert kinds(judge(made, repeats=[again])) == CONFIRMED


def altered(**changes):
    made = slower(day=3)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


VERSIONS = {"versions": {"jax": "0.10.2", "tensorflow": "2.20.0"}, "machine": gate_runs.MACHINE}
ELSEWHERE = {"versions": newer().environment["versions"], "machine": {**gate_runs.MACHINE, "affinity": [0]}}


@pytest.mark.parametrize(
    ("again", "output"),
    [
        (slower(), "it is a run that is given already"),
        (run(), "it is a run that is given already"),
        (altered(environment=VERSIONS), "tensorflow is another"),
        (altered(environment=ELSEWHERE), "the machines differ in affinity"),
        (altered(state="aborted"), "it did not run to its end"),
    ],
)
def test_what_is_no_repeat_is_refused(again, output):
    with pytest.raises(NotComparableError, match=f"is no repeat of .*: {output}.* parity run -m latency"):
        judge(slower(), repeats=[slower(day=4), again])


def test_a_step_that_is_no_longer_measured_warns():
    assert kinds(judge(newer(timings=[]))) == [("warn", "latency")]
    assert kinds(judge(newer(timings=[samples.timing(batch_size=256)]))) == [("warn", "latency")]
    assert kinds(judge(newer(), run(timings=[]))) == []
    found = judge(newer(), run(timings=[]), repeats=[slower(day=3)])
    assert kinds(found) == [("note", "latency")]


def test_an_accepted_baseline_has_no_latencies_and_that_is_said():
    kept = parse(baselines.dumps(gate_runs.as_side(run())).encode(), "kept.json")

    def found(candidate, *repeats):
        return gate.judge(kept, gate_runs.as_side(candidate), gate_runs.POLICY, [*map(gate_runs.as_side, repeats)])

    assert kinds(found(newer(timings=[]))) == []
    for reported in (found(slower()), found(newer(timings=[]), slower(day=3))):
        assert kinds(reported) == [("note", "latency")]


def test_the_advice_names_cases_and_batch_sizes_that_are_not_the_default():
    def advice(*changed):
        timed = [timing for given in changed for timing in slower(**given).timings]
        old = [replace(timing, median_ns=1e6, low_ns=1e6, high_ns=1e6) for timing in timed]
        return judge(newer(timings=timed, started_at=DAY.format(2)), run(timings=old)).findings[-1].sentence

    assert "run -m latency --out REPEAT" in advice(*({"batch_size": size} for size in BATCH_SIZES))
    assert "with the same options, parity run -m latency --case miniature --batch-size 7 --out REPEAT" in advice(
        {"case": "miniature", "batch_size": 7}
    )


def test_a_cpu_that_is_called_unknown_is_not_known():
    made, baseline = slower(), run()
    for one in (made, baseline):
        one.environment["machine"] = {**gate_runs.MACHINE, "cpu": "unknown"}
    found = judge(made, baseline)
    assert kinds(found) == [("note", "latency")]
    assert found.findings[0].detail.endswith("cpu")


def test_a_median_that_is_no_number_warns():
    found = judge(newer(timings=[samples.timing(median_ns=float("nan"))]), repeats=[slower(day=3)])
    assert kinds(found) == [("warn", "latency")]


def test_a_rule_makes_it_advisory(policy):
    soft = policy(DRIFT + rule(runtime="tf_xla", probe="latency"))
    found = judge(slower(), policy=soft, repeats=[slower(day=3)])
    assert (kinds(found), found.exit_code) == ([("warn", "latency")], 0)
    assert found.findings[0].excuse == "it is known"
    assert judge(slower(), policy=policy(DRIFT + rule(probe="predict")), repeats=[slower(day=3)]).exit_code == 1


@pytest.mark.parametrize(
    ("grown", "factor"),
    [
        ("peak_memory_bytes", gate_runs.POLICY.drift.memory), ("artifact_bytes", gate_runs.POLICY.drift.artifact),
    ],
)  # fmt: skip
def test_memory_and_artifacts_that_grew_warn(grown, factor):
    was = getattr(samples.footprint(), grown)

    def made(times):
        return newer(footprints=[samples.footprint(**{grown: int(was * times)})])

    assert kinds(judge(made(factor * 0.999))) == []
    found = judge(made(factor * 1.001))
    assert (kinds(found), found.exit_code) == ([("warn", "footprint")], 0)
    assert found.findings[0].worst == pytest.approx(factor, rel=0.01)
    assert f"{was / 1e6:.4g} MB to" in found.findings[0].detail


def test_memory_is_compared_on_one_kind_of_machine_at_one_batch_size_and_artifacts_everywhere():
    grown = replace(samples.footprint(), peak_memory_bytes=8_000_000_000)
    made = newer(footprints=[grown])
    assert kinds(judge(made)) == [("warn", "footprint")]
    made.footprints = [replace(grown, batch_size=13)]
    assert kinds(judge(made)) == []
    made.footprints = [replace(grown, artifact_bytes=10**9)]
    made.environment["machine"] = {**gate_runs.MACHINE, "cores": 64}
    assert kinds(judge(made)) == [("warn", "footprint"), ("note", "latency")]
    made.footprints = [replace(grown, artifact_bytes=None)]
    assert kinds(judge(made)) == [("note", "latency")]


def test_the_command_takes_repeats_and_every_output_says_so(tmp_path, capsys):
    names = {"old": run(), "new": slower(), "again": slower(day=3), "once more": slower(1.0, day=4)}
    for name, of in names.items():
        (tmp_path / f"{name}.json").write_bytes(gate_runs.encoded(of))
    old, new, again, calm = (str(tmp_path / f"{name}.json") for name in names)
    files = [tmp_path / name for name in ("out.md", "out.xml", "verdict.json")]
    options = [f"--{name}={file}" for name, file in zip(("markdown", "junit", "json"), files, strict=True)]
    assert cli.main(["gate", old, new]) == 0
    assert f"--repeat {'REPEAT'}" in " ".join(capsys.readouterr().out.split())
    assert cli.main(["gate", old, new, "--repeat", again, *options]) == 1
    assert all("confirmed by a repeat" in file.read_text() for file in files)
    assert json.loads(files[2].read_text())["counts"] == {"block": 1, "warn": 0, "note": 0}
    assert cli.main(["gate", old, new, "--repeat", again, "--repeat", calm]) == 0
    assert cli.main(["gate", old, new, "--repeat", new]) == 3
    assert cli.main(["gate", old, new, "--repeat", str(tmp_path / "none")]) == 4
