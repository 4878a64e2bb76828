"""The summary of a run in order: 25 lines of 80 columns, whatever was run, with the verdict and the report last."""

import re

import pytest

from parity.records import Remedy
from parity.report import terminal
from parity.tests.support import samples

REPORT = "Report: reports/latest/index.html"
SPENT = {"environment": 3.2, "importing": 26.5, "training": 3.9, "compiling and running the frameworks": 7.4}
NAMES = ("jax", "jax_float64", "tf_eager", "tf_graph", "tf_xla", "saved_model", "saved_model_fresh")


NOTE = "a note that is longer than one line of eighty columns has room for, it seems, and more so with its end"


def run(names=NAMES, notes=0, status="pass"):
    checks = [
        samples.check(item=f"{probe} {name}", probe=probe, runtime=name, score=score, status=status)
        for name in names for probe, score in (("predict", 0.25), ("eval_loss", 1.5))
    ]  # fmt: skip
    environment = {**samples.run().environment, "left_out": [NOTE] * notes}
    remedies = [Remedy("reference", "tensorflow==2.16.2", "stablehlo_skew", "an operation " * 30)]
    remedies = remedies if status == "remedied" else []
    return samples.run(checks=checks, spent_s=SPENT, environment=environment, remedies=remedies)


@pytest.mark.parametrize("names", [NAMES, tuple(f"runtime_{n}" for n in range(40))], ids=["usual", "many runtimes"])
@pytest.mark.parametrize("notes", [0, 1, 40])
@pytest.mark.parametrize("status", ["pass", "remedied"])
def test_it_fits_and_ends_with_the_verdict_and_the_report(names, notes, status):
    made = run(names, notes, status)
    lines = terminal.brief(made, 80, REPORT)
    assert len(lines) <= terminal.BRIEF - 2 == 23
    assert max(map(len, lines)) <= 80
    assert lines[-1] == REPORT
    text = " ".join(" ".join(lines).split())
    assert " ".join(made.verdict().split()) in text
    assert text.count(NOTE) + sum(map(int, re.findall(r"(\d+) further notes?:", text))) == notes


def test_it_has_a_row_for_each_runtime_with_its_worst_score():
    lines = [line.split() for line in terminal.brief(run(), 80)]
    assert [line[:3] for line in lines if line and line[0] in NAMES] == [[name, "2", "1.50"] for name in NAMES]


def test_what_the_level_leaves_out_is_shown_beside_a_table_of_the_usual_width():
    known = [samples.check(item=f"k{n}", runtime="tf_graph", status="known", leaf="*") for n in range(6)]
    mended = [samples.check(item=f"r{n}", runtime="tf_graph", status="remedied", leaf="*") for n in range(3)]
    worst = [
        samples.check(
            item=f"w {name}", runtime=name, probe="train_gradient", test="train_gradient", batch_size=256, score=18.9
        )
        for name in NAMES
    ]  # fmt: skip
    made = run()
    made.checks += [*known, *mended, *worst]
    made.environment["left_out"] = [
        "level standard leaves out batch size 20, the whole test set, finetuning, fusion, trajectory, optimizers, "
        "resumption, further devices, latency, most of latency: --level full",
        *[NOTE] * 5,
    ]
    lines = terminal.brief(made, 80, REPORT)
    assert len(lines) <= 23
    assert "most of latency: --level full" in " ".join(" ".join(lines).split())
    assert [line.split()[0] for line in lines if line.startswith("runtime")] == ["runtime"]


def test_a_status_but_pass_is_counted_apart():
    made = samples.run(checks=[samples.check(leaf=status, status=status) for status in ("pass", "known", "pass")])
    [row] = [line for line in terminal.brief(made, 80) if line.startswith(made.checks[0].runtime)]
    assert row.split()[1:4] == ["2", "1", "known"]


def test_failures_have_their_detail_and_what_failed_alike_is_counted():
    loading = {"status": "error", "score": None, "message": "it cannot be loaded"}
    alike = [samples.check(item=f"item {n}", **loading) for n in range(3)]
    scored = [samples.check(item=f"scored {n}", status="fail", score=300.0 + n, message="over") for n in range(2)]
    text = "\n".join(terminal.failures(samples.run(checks=[*alike, *scored, samples.check(item="good")])))
    assert text.count("it cannot be loaded") == 1
    assert "2 further items failed alike" in text
    assert all(f"score {score}" in text for score in (300, 301))


def test_the_command_that_repeats_a_failure_can_be_copied():
    repeat = "python -m pytest --pyargs 'parity.suites.test_predict::test_predict[mine-jax-b13]'"
    lines = terminal.failures(samples.run(checks=[samples.check(status="fail", repeat=repeat)]))
    assert f"repeat: {repeat}" in lines


def test_a_run_in_order_has_no_failures():
    assert "".join(terminal.failures(run())) == ""


def test_a_failure_names_the_sizes_that_it_is_about():
    bad = samples.check(status="fail", variant="s=7,t=15", repeat="again", score=200.0, limit=128.0)
    assert "at batch size 13, s=7,t=15" in terminal.failure([bad], 1).splitlines()[0]
    assert "s=7" not in terminal.failure([samples.check(status="fail", variant="padding", repeat="again")], 1)
