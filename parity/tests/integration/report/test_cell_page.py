"""The page of a run, and the same in Markdown and in the terminal: what they say, and that no record can break them."""

import json
import math
import re
import sys
import typing

import msgspec
import pytest

from parity import gate, records
from parity.cli import main as cli
from parity.gate.verdict import BLOCK, Group, Verdict
from parity.records import Curve, Remedy, Stopped
from parity.report import advice, charts, markdown, numbers, panels, terminal
from parity.tests.support import large, samples
from parity.tests.support.pages import HOSTILE, Page, assert_links_lead_somewhere, full_run, without_script
from parity.tests.support.report_runs import NUMBERS, check, page, profile, run, timings, views
from parity.tests.support.samples import parity

CONTROL = "##[\x1b[31m\x00\r\n::error::\u202e\ud800\u2028```\t|"
FAILED = {"status": "fail", "score": 3e4, "message": "it is off", "repeat": "python -m pytest 'x::y[1]'"}
SKEW = {"failure": "stablehlo_skew", "evidence": "vhlo.custom_call_v2 in StableHLO 1.18.0"}


BROKEN_PANELS = {
    "view_raises": "ORDER = 5\ndef view(cell): return {}[cell.run.cell]",
    "no_template": "ORDER = 45\ndef view(cell): return {}",
    "no_order": "def view(cell): return None",
    "no_view": "ORDER = 45",
    "no_python": "ORDER =",
    "no_import": "import nowhere_to_be_found",
}


@pytest.mark.parametrize("name", BROKEN_PANELS)
def test_a_panel_that_fails_is_named_on_the_page_and_by_the_exit_code(name, tmp_path, monkeypatch, capsys):
    (tmp_path / "panels").mkdir()
    (tmp_path / "panels" / f"{name}.py").write_text(BROKEN_PANELS[name])
    (tmp_path / "run.json").write_text(records.dumps(run()), encoding="utf-8")
    monkeypatch.setattr(panels, "__path__", [*panels.__path__, str(tmp_path / "panels")])
    panels.modules.cache_clear()
    try:
        assert cli.main(["report", str(tmp_path)]) == 70
    finally:
        panels.modules.cache_clear()
        sys.modules.pop(f"{panels.__name__}.{name}", None)
    assert f"The panel {name} failed: " in capsys.readouterr().err
    html = without_script((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert html.count(f"The panel {name} failed: ") == html.count(" failed: ") == 1
    assert {"Matrix", "Environment", "Every check"} <= set(re.findall(r"<h2[^>]*>([^<]*)", html))
    assert_links_lead_somewhere(html)


def test_the_sections_of_the_page_are_in_order(tmp_path):
    html = without_script(page(run(), tmp_path))
    own = [
        "What unblocks it", "What changed since the baseline", "Matrix", "Scores", "Scores over batch sizes", "Curves",
        "Latency", "The worst leaves, element by element", "Why this can be trusted", "Power", "Environment",
        "Every check", "The command that repeats each item",
    ]  # fmt: skip
    assert [title for title in re.findall(r"<h2[^>]*>([^<]*)", html) if title in own] == own
    assert html.index("in parity") < html.index("What unblocks it")
    assert_links_lead_somewhere(html)


def test_every_chart_is_named_and_has_its_data(tmp_path):
    html = without_script(page(run(), tmp_path))
    figures = re.findall(r"<figure>.*?</figure>", html, re.DOTALL)
    assert len(figures) == 7
    for figure in figures:
        assert re.search(r'<svg [^>]*role="img"[^>]*aria-label="[^"]{30,}', figure)
        assert re.search(r"<figcaption><strong>[^<]+</strong> \S", figure)
        assert re.search(r"<details><summary>The data of this chart.*<tbody>\s*<tr>", figure, re.DOTALL)
        assert not re.search(r"#[0-9a-f]{6}\b", figure)  # every colour is the page's


def test_a_long_table_behind_a_chart_says_where_it_is_cut(tmp_path):
    html = page(run(checks=[check(n) for n in range(300)]), tmp_path)
    assert "The data of this chart: the first 200 of 300 rows" in html


def test_the_table_of_curves_has_a_row_for_each_place_thinned_evenly():
    steps = [float(step) for step in range(1000)]
    made = run(
        curves=[
            Curve("reference", "loss", "JAX", "step", steps, steps),
            Curve("reference", "loss", "carried", "step", [999.0], [7.0]),
        ]
    )
    [figure] = views(made)["curves"]["charts"]
    assert figure.columns == ("step", "JAX", "carried")
    assert (len(figure.rows), figure.total) == (60, 60)
    assert (figure.rows[0], figure.rows[-1]) == (("0", "0", "-"), ("999", "999", "7.00"))


@pytest.mark.parametrize("text", [HOSTILE, CONTROL, "${alert(1)}`</script>", "]]><!--"], ids=range(4))
def test_no_string_of_a_record_or_a_verdict_breaks_a_panel(tmp_path, text):
    group = Group(BLOCK, "worse", 1, text, text, text)
    made, judged = full_run(text), Verdict("stay", text, [], [group], text, text, 1)
    shown = views(made, judged)
    assert all(view is not None for view in shown.values())
    html = without_script(page(made, tmp_path, judged))
    assert not re.search(r"<(script|img)", html)
    assert not Page(html).tags & {"script", "img"}
    assert_links_lead_somewhere(html)
    if text == HOSTILE:
        assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 100


@pytest.mark.parametrize("value", [math.inf, math.nan, 0.0, -1.0])
def test_no_number_of_a_record_breaks_a_panel(value, monkeypatch):
    def drawn(spec):
        json.loads(spec, parse_constant=pytest.fail)
        return "<svg width='1' height='1'/>"

    monkeypatch.setattr(charts, "_drawn", drawn)
    made = full_run()
    for name, cls in records.EVENTS.values():
        hints = {field: str(hint) for field, hint in typing.get_type_hints(cls).items() if "float" in str(hint)}
        filled = {field: value if "list" not in hint else [value] * 2 for field, hint in hints.items()}
        filled |= {"map": [[value, 1.0]]} if "map" in hints else {}
        setattr(made, name, [msgspec.structs.replace(row, **filled) for row in getattr(made, name)])
    assert views(made)["latency"]
    assert views(made)["profiles"]["figures"]
    assert terminal.show(made)
    assert markdown.summary([(made, None)])


@pytest.mark.parametrize("text", [HOSTILE, CONTROL], ids=["hostile", "control"])
def test_no_string_breaks_the_texts(text):
    made = full_run(text)
    shown = [terminal.show(made, 80), markdown.summary([(made, Verdict("stay", text, [], [], text, text, 1))])]
    for output in shown:
        assert not [char for char in output if not (char.isprintable() or char == "\n")]
        assert not re.search(r"^\s*::|##\[", output, re.MULTILINE)
    prose = "\n".join(line for line in shown[1].splitlines() if not line.startswith("    "))
    assert "<" not in prose
    assert not re.search(r"(?<!\\)[`~]", prose.replace("`parity report RUN --summary --baseline FILE`", ""))


def test_two_thousand_checks_are_less_than_two_megabytes(tmp_path):
    made = large.runs(
        large.JAX[:1],
        large.TENSORFLOW[:1],
        [(p, r, n, f"{leaf}/{k}") for p, r, n, leaf in large.PLACES for k in range(4)],
    )[0]
    html = page(made, tmp_path)
    assert len(made.checks) == 2400
    assert len(re.findall(r'<tr id="test_', html)) == 2400
    assert len(html.encode()) < 2e6


def test_captions_and_rows_name_the_worst_check_first(tmp_path):
    bad = check(7, status="fail", score=3e4, failure="numeric", message="it is off", repeat="python -m pytest x")
    nothing = check(8, status="fail", score=math.nan)
    shown = views(run(checks=[check(), bad]))
    for name in ("matrix", "scores"):
        caption = shown[name]["caption"] if name == "matrix" else shown[name]["figure"].caption
        assert "Dense_7/kernel" in caption
        assert "30,000" in caption
    assert shown["checks"]["rows"][0]["check"] == bad
    assert "Dense_7/kernel" in terminal.show(run(checks=[check(), bad]))
    ranked = [row["check"] for row in views(run(checks=[check(), bad, nothing]))["checks"]["rows"]]
    assert ranked == [nothing, bad, check()]
    assert "1 score beyond 1.00e+06, infinite or no number" in views(run(checks=[nothing]))["scores"]["figure"].caption


def test_latency_says_who_is_slower_what_is_wide_and_whether_threads_differ():
    shown = views(run())["latency"]
    assert "Of 2 timings 2 are slower than JAX and 0 faster" in shown["ratios"].caption
    assert f"{numbers.times(1.5)} (1.40 to 1.60), predict on tf_xla" in shown["ratios"].caption
    assert shown["wide"] == ["reference: eval at batch size 13 (cpu:0) on tf_xla"]
    assert shown["threads"].startswith("The processes differ in their threads")
    alike = [msgspec.structs.replace(footprint, threads={"python": 3}) for footprint in run().footprints]
    assert views(run(footprints=alike))["latency"]["threads"] == "Every process has the same threads: 3 python."
    faster = [
        msgspec.structs.replace(t, ratio=t.ratio and 0.5, ratio_low=t.ratio and 0.4, ratio_high=t.ratio and 0.6)
        for t in timings()
    ]
    assert "0 are slower than JAX and 2 faster" in views(run(timings=faster))["latency"]["ratios"].caption


def test_a_profile_says_where_the_farthest_element_is():
    [(figure, row)] = views(run())["profiles"]["figures"]
    assert "2 of 16 elements lie farther from the oracle than any of JAX's" in figure.caption
    assert "42.0 budgets away, of 128 allowed, in rows 2 to 3, columns 2 to 3" in figure.caption
    assert row == "test_predict[reference-tf_xla-b13]/Dense_0/kernel"


@pytest.mark.parametrize(
    "found", [[[math.nan, 0.0]], [[0.0]], [[math.inf] * 90] * 70, []], ids=["nan", "zero", "inf", "none"]
)
def test_a_profile_with_any_map_is_drawn(found):
    [(figure, _)] = views(run(profiles=[profile(map=found)]))["profiles"]["figures"]
    assert figure.svg.startswith("<svg")


def test_a_leaf_that_could_not_be_evaluated_again_is_named(tmp_path):
    bare = {key: [] for key in ("shape", "edges", "counts", "jax_counts", "map", "block")}
    found = run(profiles=[profile(**bare, failed="it answers no more")])
    assert views(found)["profiles"]["figures"] == []
    text = page(found, tmp_path)
    assert re.search(
        r"None of Dense_0/kernel of predict on .*, which could not be evaluated again: it answers no more", text
    )
    assert "Not recorded in this run: <code>parity run --out" not in text


def blocking(**changes):
    return advice.blocking(run(**changes))


def test_what_unblocks_it_is_code_to_copy():
    assert blocking() == []
    remedy = Remedy("reference", "tensorflow==2.21.0", *SKEW.values())
    assert 'readable_by("tensorflow==2.21.0")' in blocking(remedies=[remedy])[0].code
    skewed = blocking(checks=[check(status="error", **SKEW)])
    assert [('readable_by("tensorflow==2.21.0")' in each.code, "1.18.0" in each.text) for each in skewed] == [
        (True, True)
    ]
    assert "parity export" in blocking(stopped=Stopped("error", "resolver", "x"), checks=[])[0].code
    assert [each.code for each in blocking(state=records.ABORTED)] == [""]
    bad = check(status="fail", score=200.0, repeat="python -m pytest x", message="off")
    assert [(each.code, each.check) for each in blocking(checks=[check(), bad])] == [("python -m pytest x", bad)]
    fixed = check(status="fixed", known_issue="erf")
    assert "erf" in blocking(checks=[fixed])[0].text
    [missing] = blocking(plan=[samples.planned(item="test_never")])
    assert (missing.check.item, missing.check.status) == ("test_never", "missing")


def test_only_a_command_that_is_there_is_announced():
    bad = check(status="fail", score=200.0, message="off")
    texts = [blocking(checks=[msgspec.structs.replace(bad, repeat=repeat)])[0].text for repeat in ("x", None)]
    assert texts[0].startswith(texts[1])
    assert [text.endswith(":") for text in texts] == [True, False]


def test_the_reason_that_a_record_knows_for_a_missing_answer_is_shown():
    skipped = check(item="test_skipped", leaf=records.WHOLE, status="missing", message="skipped: no GPU", repeat="x")
    [missing] = blocking(plan=[samples.planned(item="test_never")], checks=[skipped])
    assert (missing.check, missing.code) == (skipped, "")
    assert "2 planned items" in missing.text
    assert skipped.message in missing.text


def test_a_check_of_a_whole_item_has_no_star_in_its_text():
    bad = check(leaf=records.WHOLE, status="error", message="off")
    texts = [blocking(checks=[bad])[0].text, terminal.failure([bad], 1), terminal.show(run(checks=[bad]))]
    assert [text for text in texts if "*" in text] == []


def test_a_failure_beside_tensorflow_names_no_device_of_it():
    bad = check(status="error", message="off")
    assert "TensorFlow on cpu:0" in terminal.failure([bad], 1)
    assert "TensorFlow" not in terminal.failure([msgspec.structs.replace(bad, tf_device=records.NO_DEVICE)], 1)


def test_a_known_issue_does_not_block():
    made = run(checks=[check(), check(1, status="known", known_issue="cholesky-on-cpu")])
    assert advice.blocking(made) == []
    [known] = advice.known(made, made.checks)
    assert (known.check, "Cholesky factors cannot be exported" in known.text) == (made.checks[1], True)


@pytest.fixture
def pair(tmp_path):
    """Paths of a record, and of a worse one after it."""
    old, new = run(), run(checks=[check(), check(1, **FAILED)], started_at="2026-02-02T03:04:05.678Z")
    paths = []
    for name, made in (("old", old), ("new", new)):
        paths.append(tmp_path / name / "run.json")
        made.plan = [samples.planned(item=item) for item in {c.item: 0 for c in made.checks}]
        paths[-1].parent.mkdir()
        paths[-1].write_text(records.dumps(made), encoding="utf-8")
    return paths


def test_a_baseline_says_what_changed_as_the_gate_says_it(pair, tmp_path, capsys):
    old, new = pair
    verdict = gate.judge(gate.read(old), gate.read(new), gate.load_policy())
    assert verdict.exit_code == 1
    assert cli.main(["report", str(new), "--baseline", str(old), "--out", str(tmp_path / "page.html")]) == 0
    text = " ".join(Page((tmp_path / "page.html").read_text(encoding="utf-8")).text.split())
    assert all(group.sentence in text for group in verdict.groups)
    assert cli.main(["report", str(new), "--baseline", str(old), "--summary"]) == 0
    output = capsys.readouterr().out.replace("\\", "")
    assert all(group.sentence in output for group in verdict.groups)
    assert cli.main(["report", str(new), "--summary"]) == 0
    assert "No baseline was given" in capsys.readouterr().out


def test_markdown_has_the_verdict_the_matrix_and_the_failures():
    bad = check(7, **FAILED)
    output = markdown.summary([(run(checks=[check(), bad]), None)])
    assert run(checks=[check(), bad]).verdict() in output.replace("\\", "")
    assert "| predict | ✗ fail 30,000 |" in output
    assert "| ✗ fail | Dense\\_7/kernel |" in output
    assert "it is off" in output
    assert "\n    python -m pytest 'x::y[1]'\n" in output


def test_markdown_of_200_000_checks_is_under_a_mebibyte():
    failed = {"status": "fail", "message": "<x>" * 400, "repeat": "y" * 3000}
    checks = [check(n, item=f"test_predict[{n}]", **(failed if n % 2 else {})) for n in range(200)] * 1000
    output = markdown.summary([(samples.run(checks=checks), None)])
    assert "And 50 items more." in output
    many = [(samples.run(checks=checks[:200]), None)] * 20
    cut = markdown.summary(many)
    assert len(output.encode()) < len(cut.encode()) < 1 << 20
    assert re.search(r"\n[\d,]+ lines more did not fit\.\n$", cut)


def test_the_terminal_is_80_columns_wide():
    output = {"score": 1e9, "message": "off " * 200, "repeat": "python -m pytest 'x'" * 9}
    long = check(1, leaf="layer/" * 40, item="test_predict[x]", status="fail", **output)
    made = run(checks=[check(), long, check(2, runtime="a_runtime_with_a_long_name", case="another")])
    assert f"\n    {output['repeat']}\n" in terminal.show(made), "to be copied as it is"
    for shown in (terminal.show(made), terminal.show(run())):
        assert max(len(line) for line in shown.splitlines() if not line.startswith("    ")) <= 80
    assert re.search(r"^predict +1\.00 +128 +6$", terminal.show(run()), re.MULTILINE)
    assert re.search(
        rf"^predict +tf_xla +13 +19\.5 ms +{numbers.times(1.5)} +1\.40 to 1\.60$", terminal.show(run()), re.MULTILINE
    )


def test_show_is_quick_to_start_and_its_exit_code_is_the_verdict(pair, tmp_path):
    old, new = (parity("show", path) for path in pair)
    assert (old.returncode, new.returncode, old.stderr) == (0, 1, "")
    assert "\n    python -m pytest 'x::y[1]'\n" in new.stdout
    assert "✗ JAX 0.10.2 and TensorFlow 2.21.0 are not in order" in new.stdout
    slow = samples.python("-X", "importtime", "-m", "parity", "show", pair[0]).stderr
    assert not re.search(r"\| +(numpy|jax|tensorflow|jinja2|vl_convert|altair)\n", slow)
    assert parity("show", tmp_path / "nowhere").returncode == 4


@pytest.mark.parametrize("value", NUMBERS, ids=str)
def test_a_number_has_three_digits(value):
    assert numbers.number(value) == NUMBERS[value]


def test_units_are_such_that_people_can_compare():
    output = [numbers.duration(ns) for ns in (0.5, 812, 999.9, 1234, 1.5e6, 2.5e9, 7.2e12, None)]
    assert output == ["0.500 ns", "812 ns", "1.00 µs", "1.23 µs", "1.50 ms", "2.50 s", "7,200 s", "-"]
    assert [numbers.memory(size) for size in (300 << 20, 1 << 10)] == ["300 MiB", "9.77e-04 MiB"]
    assert (numbers.exact(128.0), numbers.exact(0.5), numbers.exact(None)) == ("128", "0.5", "-")


@pytest.fixture
def specs(monkeypatch):
    """The specifications that are drawn."""
    seen, draw = [], charts.vl_convert.vegalite_to_svg
    monkeypatch.setattr(
        charts.vl_convert, "vegalite_to_svg", lambda spec, **more: seen.append((spec, more)) or draw(spec, **more)
    )
    return seen


def test_every_specification_is_one_by_altair_s_copy_of_the_schema(specs, tmp_path):
    import altair

    charts._drawn.cache_clear()
    page(run(), tmp_path)
    assert len(specs) == 7
    for spec, more in specs:
        altair.Chart.from_dict({**json.loads(spec), "config": more["config"]})
    broken = json.loads(specs[0][0].replace('"domain"', '"domian"'))
    with pytest.raises(Exception, match="Failed validating"):
        altair.Chart.from_dict(broken)


def test_a_remedy_of_several_cases_is_said_once():
    known = ("tensorflow==2.21.0", "stablehlo_skew", "vhlo.custom_call_v2 in StableHLO 1.18.0")
    found = advice.blocking(
        samples.run(remedies=[records.Remedy(case, *known) for case in ("reference", "optimizers")])
    )
    [text] = [each.text for each in found if each.code]
    assert text.startswith("reference and optimizers need a remedy: as exported by default TensorFlow cannot run them")
