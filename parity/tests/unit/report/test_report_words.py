"""What the panels of a page say in words: of what is exact, of several cases, of what was not measured or not known."""

import itertools
import math
import re

import msgspec
import pytest

from parity import records
from parity.records import Remedy, Stopped
from parity.report import advice, charts, facts, lines, markdown, terminal
from parity.tests.support import samples
from parity.tests.support.pages import Page, without_script
from parity.tests.support.report_runs import check, page, run, timings, views


def power(error, weight="Dense_0/kernel", probe="predict"):
    return records.Power("reference", probe, 13, weight, error)


@pytest.mark.parametrize(
    ("powers", "output"),
    [
        ([power(0.0, "key", "rng"), power(1e-4)], "A relative error of 1.00e-04 in Dense_0/kernel would be caught."),
        ([power(0.0, "key", "rng")], "Every comparison is exact: any error would be caught."),
        ([power(0.0, "key"), power(math.inf)], "No probe would catch an error in any weight."),
    ],
)
def test_what_is_compared_exactly_is_no_measured_power(powers, output, tmp_path):
    assert views(run(powers=powers))["power"]["caption"] == output
    html = page(run(powers=powers), tmp_path)
    assert '<td class="n">any</td>' in html
    [section] = re.findall(r'id="power".*?</table>', html, re.DOTALL)
    heads = re.findall(r"<th scope=.col.[^>]*>([^<]*)", section)
    assert len(heads) == len(set(heads))


def test_a_score_that_is_no_number_is_the_highest_of_its_batch_size():
    checks = [check(0, 1), check(1, 13, score=math.nan), check(2, 13, score=5.0)]
    caption = views(run(checks=checks))["sizes"]["figure"].caption
    assert caption.startswith(
        "TensorFlow's highest score, over all that was checked at several batch sizes, is 1.00 at 1, NaN"
    )


def test_what_was_not_measured_is_said_with_how_to(tmp_path):
    text = " ".join(Page(without_script(page(run(timings=[], footprints=[], profiles=[]), tmp_path))).text.split())
    assert "Latency Not measured in this run: parity run --latency --out reports/latency measures it." in text
    assert "element by element Not recorded in this run: parity run --out" in text


def test_names_in_what_was_left_out_stay_as_they_are(tmp_path):
    made = run()
    made.environment["left_out"] = ["mine: training left out: the case is not trained, by Training(epochs=0)"]
    html = page(made, tmp_path)
    assert "mine: training left out" in html
    assert "Mine" not in html


def test_of_several_cases_each_is_named():
    other = [msgspec.structs.replace(timing, case="another") for timing in timings()]
    prints = [*run().footprints, *(msgspec.structs.replace(of, case="another") for of in run().footprints)]
    made = run(timings=timings() + other, footprints=prints)
    shown = views(made)["latency"]
    assert {row["step"] for row in shown["rows"]} >= {"reference: predict", "another: predict"}
    assert {row["name"] for row in shown["footprints"]} >= {"reference: jax", "another: jax"}
    assert ", reference: predict on tf_xla" in shown["ratios"].caption
    text = terminal.show(made)
    assert re.search(r"^another: predict +tf_xla ", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 80
    assert {row["step"] for row in views(run())["latency"]["rows"]} == {"predict", "eval"}


def test_a_batch_size_of_0_is_the_test_set_everywhere(tmp_path):
    made = run(checks=[check(0, 0), check(1, 13)])
    html = page(made, tmp_path)
    assert '<td data-order="0.0">test set<' in html.replace('data-order="0"', 'data-order="0.0"')
    assert "on tf_xla, test set: " in terminal.show(made)


def test_whose_value_an_element_has_is_said():
    worst = records.Worst([1, 2], 1.5, 1.25, 1.0)
    [row] = views(run(checks=[check(worst=worst)]))["checks"]["rows"]
    assert row["worst"] == "[1, 2]: tf_xla 1.5, JAX 1.25, oracle 1"


def test_what_is_not_known_is_not_said_to_be_none(tmp_path):
    skewed = check(status="error", failure="stablehlo_skew", score=None, evidence=None)
    known = check(1, status="known", known_issue="nowhere", failure=None, evidence=None)
    made = run(checks=[skewed, known], remedies=[Remedy("other", "tensorflow==2.21.0", "stablehlo_skew", "")])
    stopped = run(stopped=Stopped("crash", "crash", ""), checks=[])
    for one in (made, stopped):
        output = [terminal.show(one), markdown.summary([(one, None)]), *(each.text for each in advice.blocking(one))]
        output.append(Page(without_script(page(one, tmp_path)).partition("</head>")[2]).text)
        assert not [text for text in output if re.search(r"\bNone\b|, \.|\(\)", text)]


def test_the_verdict_on_every_run_stands_first():
    long = run(checks=[check(n, status="fail", message="off " * 900, item=f"test_predict[{n}]") for n in range(900)])
    runs = [samples.run(cell=f"cell{n}") if n % 2 else long for n in range(9)]
    output = markdown.summary([(one, None) for one in runs]).replace("\\", "")
    first = output.partition("\n## ")[0]
    assert all(one.verdict() in first for one in runs)


def test_contents_name_every_section_once(tmp_path):
    html = without_script(page(run(), tmp_path))
    [contents] = re.findall(r"<nav class=.contents.*?</nav>", html)
    assert re.findall(r'href="#([^"]+)"', contents) == re.findall(r'<h2 id="([^"]+)"', html)
    assert len(re.findall("<h2", html)) == contents.count("<a ")


def test_showndiffer_in_their_dashes():
    drawn = charts.series(["JAX", "a", "b", "c"], "color", "shape", "strokeDash")
    assert [len({str(value) for value in channel["scale"]["range"]}) for channel in drawn.values()] == [4, 4, 4]
    assert drawn["color"]["scale"]["range"][:2] == ["var(--jax)", "var(--tensorflow)"]
    late = charts.series(["a", "jax"], "color")["color"]["scale"]["range"]
    assert late == ["var(--tensorflow)", "var(--jax)"], "JAX has its colour wherever it stands"
    [figure] = lines.curves(run().curves)
    assert figure.columns == ("step", "JAX")


def test_rows_and_links_say_what_they_are_to_who_cannot_see_the_table(tmp_path):
    html = without_script(page(run(), tmp_path))
    assert len(re.findall(r'<tr id="test_[^>]*>.*?<th scope="row">Dense_\d/kernel<', html)) == len(run().checks)
    assert 'aria-label="pass: predict on tf_xla; 6 checks; the worst: Dense_0/kernel, batch 1"' in html
    assert all('role="region"' in tag for tag in re.findall(r"<pre[^>]*aria-label[^>]*>", html))


def test_the_page_says_how_to_read_it(tmp_path):
    html = without_script(page(run(), tmp_path))
    [text] = re.findall(r"<summary>How to read it.*?</details>", html, re.DOTALL)
    assert all(word in text for word in (*facts.SIGNS.values(), "Runtime", "Power", "seeded defect", "relation"))


def test_runtimes_come_in_the_order_of_the_plan_and_those_of_jax_first():
    plan = [samples.planned(item=str(n), runtime=name) for n, name in enumerate(["b", "jax_own", "a", "b"])]
    plan[1] = msgspec.structs.replace(plan[1], tf_device=records.NO_DEVICE)
    made = run(plan=plan, checks=[check(runtime="z"), check(runtime="a")])
    assert facts.runtimes([*made.plan, *made.checks]) == ["jax_own", "b", "a", "z"]
    assert views(made)["matrix"]["runtimes"] == ["jax_own", "b", "a", "z"]
    heads = terminal.show(made).partition("\ntest ")[2].partition("\n")[0]
    assert heads.split() == ["own", "b", "a", "z", "limit", "checks"]
    assert "| test | jax\\_own | b | a | z |" in markdown.summary([(made, None)])


def test_runtimes_are_shown_as_declared_whichever_test_is_planned_first():
    tests = {"defects": ["tf_graph", "jax"], "artifact": ["loaded"], "predict": ["jax", "oracle", "tf_graph", "loaded"]}
    devices = {"jax": records.NO_DEVICE, "oracle": records.NO_DEVICE}
    plan = [
        samples.planned(item=f"{test} {name}", test=test, runtime=name, tf_device=devices.get(name, "cpu:0"))
        for test, names in tests.items()
        for name in names
    ]
    for order in itertools.permutations(tests):
        sorted_plan = sorted(plan, key=lambda item: order.index(item.test))
        assert facts.runtimes(sorted_plan) == ["jax", "oracle", "tf_graph", "loaded"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_terminal_breaks_no_name(width):
    names = ["jax", *(f"remote_inferenceserver_{n}" for n in range(9))]
    leaf = "batch_stats/BatchNorm_1/variance"
    checks = [
        check(item=f"{test} {name}", test=test, runtime=name, status=status, leaf=leaf, score=None)
        for test, status in (("train_gradient", "error"), ("seeded_defects", "pass"))
        for name in names
    ]
    timings = [samples.timing(runtime=name, case=case) for name in names for case in ("reference", "ratings")]
    shown = terminal.show(run(checks=checks, timings=timings), width)
    assert max(map(len, shown.splitlines())) <= width
    words = shown.split()
    assert words.count("inferenceserver") == words.count("remote") == 9
    assert words.count("error") == 10 + 5
    assert words.count(leaf) == 5 + 1
    assert min(words.count(word) for word in ("train_gradient", "seeded_defects", "limit", "checks")) >= 1
    assert all(words.count(name) >= 2 for name in names[1:])


def test_a_leaf_wider_than_the_terminal_is_broken_after_a_slash():
    leaf = "/".join(f"Encoder_{n}" for n in range(10))
    shown = terminal.show(run(checks=[check(leaf=leaf)])).partition("Worst leaves\n")[2].splitlines()
    assert "".join(itertools.takewhile(lambda line: not line.startswith(" "), shown)) == leaf
    assert shown[0].endswith("/")


def test_the_terminal_names_the_worst_status_and_every_limit():
    bad = check(7, status="fail", score=3e4, failure="numeric")
    made = run(checks=[check(), check(1, limit=4.0), bad, check(2, size=1, status="remedied", runtime="other")])
    [row] = re.findall(
        r"^predict +(.*)$", terminal.show(made).partition("\ntest ")[2].partition("\n\n")[0], re.MULTILINE
    )
    assert row.split() == ["✗", "fail", "30,000", "⚒", "1.00", "4", "to", "128", "4"]


def test_markup_of_rich_in_a_record_is_text():
    made = run(checks=[check(1, leaf="[red]kernel[/red]", case="[bold]"), check(2, case="another")])
    assert "[red]kernel[/red]" in terminal.show(made)
    assert "[bold]: predict" in terminal.show(made)
    assert any("[blink]" in line for line in terminal.summary(run(spent_s={"[blink]": 1.0}), 100))


def test_the_summary_ends_with_the_verdict_and_where_the_report_is():
    shown = terminal.summary(run(), 200, "Report: here")
    assert shown[-2:] == [run().verdict(), "Report: here"]
    assert max(map(len, shown)) <= 200
