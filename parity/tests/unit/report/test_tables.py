"""What a page is made of: the script that asks for nothing, rows as JSON, and the panels of the atlas."""

import json
import math
import re

import pytest

from parity.matrix import atlas
from parity.records import SPLIT
from parity.report import every_check, footprints, newest, tables
from parity.report.tables import Group
from parity.tests.support import large, samples
from parity.tests.support.atlas_rows import bad, of, row


def decoded(text):
    """The rows of every group, as a page reads them."""
    groups = []
    for group in json.loads(text):
        size = len(group["values"][0])
        codes, code = group.get("codes", range(size)), 0
        if "steps" in group:
            codes = []
            for step, times in zip(group["steps"][::2], group["steps"][1::2], strict=True):
                codes += [code := code + step for _ in range(times)]
        groups.append([tuple(column[code] for column in group["values"]) for code in codes])
    return groups


@pytest.mark.parametrize(
    "rows",
    [
        [("a", 1), ("b", 2)],
        [("a", 1)] * 100 + [("b", 2)] * 100,
        [(letter, None) for letter in "abcd" * 50],
        [(letter, 0) for letter in "abacabadabacabaeab" * 9],
    ],
    ids=["distinct", "runs", "regular", "irregular"],
)
def test_rows_are_read_as_they_were_written(rows):
    assert decoded(tables.data([Group(rows)])) == [rows]


def test_what_repeats_is_written_once_and_what_is_regular_is_short():
    questions = [(f"a question that is long {i}",) for i in range(600)]
    text = tables.data([Group(questions * 60, names=[name for (name,) in questions] * 60)])
    assert len(text) < 60_000
    assert decoded(text) == [questions * 60]


def test_numbers_have_three_digits_and_need_not_be_finite():
    assert decoded(tables.data([Group([(1.23456e-9,), (math.inf,), (-math.inf,), (math.nan,), (1024,), (None,)])])) == [
        [(1.23e-09,), ("inf",), ("-inf",), ("nan",), (1024,), (None,)]
    ]


def test_rows_cannot_end_the_script_that_they_stand_in():
    planted = "</script><script>alert(1)</script><!--"
    text = tables.data([Group([(planted,)], names=[planted], pages=[planted])])
    assert "<" not in text
    assert decoded(text) == [[(planted,)]]


def test_the_script_stands_in_a_page_and_is_the_library():
    text = tables.script()
    assert text.startswith('<script type="module">')
    assert text.endswith("</script>")
    assert not re.search(r"<!--|<script|</script", text[10:-9], re.IGNORECASE)
    assert "SpryMedia" in text, "its licence goes with it"


def test_a_name_is_one_word_and_its_link_is_quoted():
    name = tables.permalink("test_predict[a b]", "kernel\n%")
    assert name == "test_predict[a_b]/kernel_%"
    assert tables.fragment(name) == "test_predict[a_b]/kernel_%25"
    assert tables.fragment(tables.permalink(chr(0xD800))) == "%5Cud800"


NEW, OLD = ("0.12.0.1", "2.21.0"), ("0.9.2", "2.20.0")
SKEW = {"class": "stablehlo_skew"}


@pytest.mark.parametrize(
    ("rows", "says", "code"),
    [
        ([row(*NEW), row(*OLD)], "Nothing has to: the newest pair, jax 0.12.0.1 with tensorflow 2.21.0, agrees", None),
        (
            [row(*NEW, status="remedied", remedy="tensorflow==2.21.0", **SKEW), row(*OLD)],
            "fails as exported by default (stablehlo_skew), and agrees with this around the export:",
            'with parity.readable_by("tensorflow==2.21.0"):',
        ),
        (
            [bad("error", "stablehlo_skew", jax=NEW[0]), row(*OLD)],
            "jax 0.12.0.1 with tensorflow 2.21.0: stablehlo_skew. The newest pair that agrees is jax 0.9.2",
            'pip install "jax==0.9.2" "tensorflow==2.20.0"',
        ),
        (
            [bad("crash", "crash", jax=NEW[0]), row(*OLD, status="remedied", remedy="tensorflow==2.20.0", **SKEW)],
            "The newest pair that agrees with a remedy is jax 0.9.2",
            'readable_by("tensorflow==2.20.0")',
        ),
        ([bad("error", "resolver", jax=NEW[0])], "cannot be installed together. No other pair agrees.", None),
        ([bad("fail", "numeric", jax=NEW[0], mode=SPLIT), row(*OLD)], "the newest pair, jax 0.9.2", None),
    ],
    ids=["agrees", "remedy", "older", "older with a remedy", "none", "one environment before two"],
)
def test_what_unblocks_the_newest_pair(rows, says, code):
    told = newest.unblocking(of(*rows))
    assert says in told["says"]
    assert (told["code"] is None) is (code is None)
    assert (code or "") in (told["code"] or "")


def test_without_a_pair_nothing_unblocks():
    assert newest.unblocking(of(row(None, None))) is None


def costs(load, jax, ratio=None):
    footprint = {"load_ns": load, "peak_memory_bytes": 1 << 30, "artifact_bytes": None}
    latency = ratio and {"batch_size": 13, "ratios": {"predict": {"tf_xla": ratio}}, "median_ns": {}}
    return row(jax, footprints={"tf_xla": footprint}, latency=latency)


def test_costs_say_what_changed_most_over_releases():
    view = footprints.view(of(costs(1e9, "0.9.2", [1.0, 0.9, 1.1]), costs(3e9, "0.10.2", [2.0, 1.9, 2.1])))
    memory, load = view["footprints"]
    assert load.title == "Time to load, convert or place"
    assert load.caption == (
        "What changed most is tf_xla: 1.00 s with jax 0.9.2, 3.00 s with jax 0.10.2, both with tensorflow 2.21.0."
    )
    assert load.rows == [("0.9.2", "2.21.0", "1.00 s"), ("0.10.2", "2.21.0", "3.00 s")]
    assert memory.caption.startswith("From the first jax to the last nothing changed by 5%: tf_xla has 1,020 MiB")
    [latency] = view["latency"]
    assert latency.title == "Latency of predict over JAX's, at batch size 13"
    assert latency.rows[1][2].replace("\N{MULTIPLICATION SIGN}", "x") == "2.00 x (1.90 x to 2.10 x)"


def test_costs_of_one_release_are_shown_and_none_are_none():
    view = footprints.view(of(costs(1e9, "0.9.2")))
    assert view["footprints"][1].caption.startswith("The most is 1.00 s, of tf_xla with jax 0.9.2")
    assert view["latency"] == []
    nothing = footprints.view(of(row(), row(footprints=None, latency=None)))
    assert (nothing["latency"], nothing["footprints"]) == ([], [])


def test_costs_say_in_how_many_of_the_pairs_that_ran_they_were_measured():
    apart = bad("error", "resolver", jax="0.7.2", checks=0)
    view = footprints.view(of(costs(1e9, "0.9.2"), costs(1e9, "0.8.3", [1.0, 0.9, 1.1]), row("0.10.2"), apart))
    assert view["measured"] == {"footprints": "2 of 3", "latency": "1 of 3"}


def test_every_check_is_in_the_table_and_the_worst_of_each_cell_is_in_the_page():
    planned = samples.planned(item="test_rng[reference]", probe="rng")
    checks = [samples.check(score=1.0), samples.check(leaf="bias", score=2.0, jax_score=0.5)]
    view = every_check.view([samples.run(cell="a", checks=checks, plan=[planned]), samples.run(cell="b")], {"a": "a/x"})
    cells, statuses, questions, scores, jax = decoded(view["data"])
    assert cells == [("a",)] * 3
    assert statuses == [("✓ pass",), ("✓ pass",), ("? missing",)]
    assert questions[1] == ("reference", "predict", "tf_xla", "batch 13", "bias")
    assert (scores, jax) == ([(1.0,), (2.0,), (None,)], [(None,), (0.5,), (None,)])
    assert (view["total"], view["cells"]) == (3, 1)
    [worst] = view["worst"]
    assert worst["href"] == "a/x#test_rng[reference]/%2A"
    assert every_check.view([], {}) is None


def test_the_large_atlas_is_as_large_as_it_says():
    made = large.runs()
    assert (len(made), {len(run.checks) for run in made}) == (60, {600})
    assert len({(check.item, check.leaf) for check in made[0].checks}) == 600
    assert {atlas.kind(cell) for cell in large.of(made).cells} == {atlas.AGREES, atlas.BROKEN}
