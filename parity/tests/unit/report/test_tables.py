"""What a page is made of: the script that asks for nothing, rows as JSON, and the panels of the atlas."""

import json
import re

import pytest

from parity.records import SPLIT, atlas
from parity.report import advice, footprints, tables
from parity.report.atlas import checks_view
from parity.tests.support import large, samples
from parity.tests.support.atlas_rows import bad, of, row


def decoded(text):
    """Return the rows of a table as a page shows them, with their names."""
    read = json.loads(text)
    shown = zip(*([texts[row[i]] for row in read["rows"]] for i, texts in enumerate(read["texts"])), strict=True)
    return [(*texts, read["names"][row[-1]]) for texts, row in zip(shown, read["rows"], strict=True)]


def column(*values):
    return [(value, value) for value in values]


def test_rows_are_read_as_they_were_written_and_codes_are_in_the_order_of_the_keys():
    numbers = [(3.0, "3"), (10.0, "10"), (1e308, "NaN"), (3.0, "3")]
    text = tables.data([column("b", "a", "a", "b"), numbers], ["x", "y", "y", "z"], {"a": "a/index.html"})
    assert decoded(text) == [("b", "3", "x"), ("a", "10", "y"), ("a", "NaN", "y"), ("b", "3", "z")]
    read = json.loads(text)
    assert read["texts"] == [["a", "b"], ["3", "10", "NaN"]]
    assert read["groups"] == [{"id": "a", "page": "a/index.html"}, {"id": "b", "page": None}]


def test_a_repeated_text_is_written_once():
    values = [f"a text that is long {i}" for i in range(600)] * 60
    text = tables.data([column(*values)], values, {})
    assert len(text) < 500_000
    assert decoded(text) == [(value, value) for value in values]


def test_texts_sort_as_people_sort_them():
    releases = ["jax0.10.2", "jax0.9.2", "jax0.12.0.1", "jax", "9" * 5000, "batch 13", "batch 1,024", "batch 1"]
    assert sorted(releases, key=tables.natural) == [
        "9" * 5000, "batch 1", "batch 1,024", "batch 13", "jax", "jax0.9.2", "jax0.10.2", "jax0.12.0.1",
    ]  # fmt: skip


def test_rows_cannot_end_the_script_that_they_stand_in():
    planted = "</script><script>alert(1)</script><!--"
    text = tables.data([column(planted)], [planted], {planted: planted})
    assert "<" not in text
    assert decoded(text) == [(planted, planted)]


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
    found = advice.for_newest_pair(of(*rows))
    assert says in found.text
    assert bool(found.code) is (code is not None)
    assert (code or "") in found.code


def test_without_a_pair_nothing_unblocks():
    assert advice.for_newest_pair(of(row(None, None))) is None


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
    view = checks_view([samples.run(cell="a", checks=checks, plan=[planned]), samples.run(cell="b")], {"a": "a/x"})
    item, name = samples.check().item, "test_rng[reference]"
    assert decoded(view["data"]) == [
        ("a", "✓ pass", "reference", "predict", "tf_xla", "batch 13", "output", "1.00", "-", f"{item}/output"),
        ("a", "✓ pass", "reference", "predict", "tf_xla", "batch 13", "bias", "2.00", "0.500", f"{item}/bias"),
        ("a", "? missing", "reference", "rng", "tf_xla", "batch 13", "*", "-", "-", f"{name}/*"),
    ]
    assert json.loads(view["data"])["texts"][1] == ["? missing", "✓ pass"], "what is not in order first"
    assert (view["total"], view["cells"]) == (3, 1)
    [worst] = view["worst"]
    assert worst["href"] == "a/x#test_rng[reference]/%2A"
    assert checks_view([], {}) is None


def test_the_large_atlas_is_as_large_as_it_says():
    made = large.runs()
    assert (len(made), {len(run.checks) for run in made}) == (60, {600})
    assert len({(check.item, check.leaf) for check in made[0].checks}) == 600
    assert {atlas.kind(cell) for cell in large.of(made).cells} == {atlas.AGREES, atlas.BROKEN}
