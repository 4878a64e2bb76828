"""The atlas joins, counts, compares and shows cells as their rows say, and nothing is left out in silence."""

import json
import math
import re
import time
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from parity import atlas, cells, records
from parity.atlas import Atlas
from parity.errors import RecordError, UsageError
from parity.records import ARCHIVE, FLEET, SPLIT
from parity.report import atlas as page
from parity.report import tables
from parity.tests import samples

SKEW, CONVENTION = "stablehlo_skew", "calling_convention"
SECONDS = {"environment": 10.0, "importing": 5.0, "training": 28.8, "own code": 7.7}


def row(jax="0.9.2", tensorflow="2.21.0", python="3.12", **changes):
    """A row as a run makes it, changed."""
    run = samples.run(cell=f"py{python.replace('.', '')}-jax{jax}-tf{tensorflow}", spent_s=SECONDS)
    made = {**cells.row(run), "jax": jax, "tensorflow": tensorflow, "python": python, "status": "pass", "checks": 1534}
    passed = {"evidence": None, "worst_score": 18.3, "bit_exact": False, "predicted": "pass"}
    return {**made, **passed, "versions": {"flax": "0.12.0", "numpy": "2.3.4", "keras": None}, **changes}


def bad(status, failure, evidence="why", **changes):
    return row(status=status, **{"class": failure, "evidence": evidence, "predicted": None, **changes})


KINDS = {
    "✓ agrees": row("0.4.30", bit_exact=True),
    "⚒ with remedy": row("0.4.38", status="remedied", **{"class": SKEW}, remedy="tensorflow==2.17.1"),
    "✗ cannot be installed together": bad("error", "resolver", jax="0.5.3"),
    "✗ stablehlo_skew": bad("error", SKEW, jax="0.6.2", predicted="pass"),
    "✗ numeric": bad("fail", "numeric", jax="0.7.2"),
    "✗ crash": bad("crash", "crash", jax="0.8.3"),
    "◷ timeout": bad("timeout", "timeout", jax="0.9.2"),
    "◷ not finished": bad("missing", None, jax="0.10.1"),
    "! passes, though listed": bad("fixed", "unknown", jax="0.10.2"),
    "\N{EN DASH} no Python 3.13 here": bad("missing", None, "no Python 3.13 here; found 3.12", jax="0.11.2", checks=0),
    "? not run": bad("missing", None, None, jax="0.12.0.1", checks=0),
}


def of(*rows, **planned):
    return atlas.join(rows, {name.replace("__", "-"): why for name, why in planned.items()})


@pytest.fixture
def written(tmp_path):
    """Writes the page of rows, and gives its text without the one script that every page has."""

    def write(*rows, previous=None, **planned):
        text = page.write(of(*rows, **planned), previous, tmp_path).read_text(encoding="utf-8")
        assert text.count(tables.script()) == 1
        return text.replace(tables.script(), "")

    return write


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]

    def text(self):
        return " ".join(" ".join(self.words).split())


def test_releases_are_ordered_as_versions_not_as_text():
    laid = atlas.grid(of(row("0.10.2", "2.9.0"), row("0.9.2", "2.21.0"), row("0.12.0.1", "2.10.1")), "joint")
    assert [jax for jax, _ in laid.lines] == ["0.9.2", "0.10.2", "0.12.0.1"]
    assert laid.columns == ("2.9.0", "2.10.1", "2.21.0")


def test_what_is_no_version_is_kept_and_comes_first():
    laid = atlas.grid(of(row("0.9.2"), row("nightly")), "joint")
    assert [jax for jax, _ in laid.lines] == ["nightly", "0.9.2"]


def test_a_planned_cell_without_a_record_is_missing_with_the_reason_given():
    made = of(row(), **{"py313-jax0.9.2-tf2.20.0": "no Python 3.13 here", "py312-jax0.9.2-tf2.21.0": "ignored"})
    absent, there = made.cells
    assert (absent["status"], absent["evidence"], absent["jax"]) == ("missing", "no Python 3.13 here", "0.9.2")
    assert there["status"] == "pass"


def test_a_planned_name_that_describes_no_cell_is_refused():
    with pytest.raises(UsageError, match="no cell 'nonsense'"):
        of(nonsense="")


def test_of_two_rows_of_a_cell_the_one_that_ended_last_counts():
    late, early = row(ended_at="2026-02-01T00:00:00Z"), row(ended_at="2026-01-01T00:00:00Z", status="fail")
    assert [cell["status"] for cell in of(late, early).cells] == ["pass"]
    known = of(early, **{early["cell"]: "ignored"})
    assert [cell["status"] for cell in known.cells] == ["fail"]


def test_a_verifying_cell_that_left_nothing_is_missing_for_every_export():
    exported = row("0.9.2", None, mode="export", cell="py312-jax0.9.2-export")
    verified = row("0.9.2", mode=SPLIT, cell="split-jax0.9.2-tf2.21.0")
    planned = {"py312-jax0.10.2-export": "", "py313-tf2.21.0-verify": "no Python 3.13 here"}
    made = of(exported, verified, **planned)
    assert [(cell["cell"], cell["status"]) for cell in made.cells] == [
        ("split-jax0.9.2-tf2.21.0", "pass"),
        ("split-jax0.10.2-tf2.21.0", "missing"),
        ("fleet-jax0.10.2-tf2.21.0", "missing"),
        ("py312-jax0.9.2-export", "pass"),
        ("py312-jax0.10.2-export", "missing"),
    ]
    assert [atlas.words(cell) for cell in made.cells][1:4] == ["no Python 3.13 here", "no Python 3.13 here", "exported"]
    assert atlas.verdict(made) == (
        "Of 2 pairs in separate environments, 1 agrees and 1 was not run; 1 reader of the one export was not run."
    )
    assert [cell["mode"] for cell in of(**{"py313-tf2.21.0-verify": ""}).cells] == [SPLIT]


def test_a_verifying_cell_that_left_nothing_is_missing_for_every_archived_bundle():
    read = row("0.9.2", mode=ARCHIVE, cell="archive-jax0.9.2-tf2.21.0", status="remedied", **{"class": SKEW})
    made = atlas.join([read], {"py312-tf2.21.0-verify": ""}, ["0.4.30", "0.9.2"])
    assert [(cell["cell"], cell["mode"], cell["status"]) for cell in made.cells] == [
        ("archive-jax0.4.30-tf2.21.0", ARCHIVE, "missing"),
        ("archive-jax0.9.2-tf2.21.0", ARCHIVE, "remedied"),
    ]
    assert atlas.verdict(made) == "Of 2 readings of archived bundles, 1 agrees with a remedy and 1 was not run."
    assert not atlas.in_order(made)
    assert atlas.in_order(of(read))


def test_what_cannot_be_installed_apart_is_not_said_to_be_together():
    alone = of(bad("error", "resolver", mode=SPLIT))
    assert atlas.words(alone.cells[0]) == "cannot be installed"
    assert atlas.verdict(alone) == "1 pair in separate environments cannot be installed."


def test_one_cell_in_two_modes_is_two_cells():
    assert [cell["mode"] for cell in of(row(mode=SPLIT), row(), row(mode=FLEET)).cells] == ["joint", "split", "fleet"]


def test_an_atlas_is_read_as_it_was_written_one_cell_a_line(tmp_path):
    made = of(*KINDS.values(), row("0.1.0", worst_score=math.inf, python="3.11"))
    path = tmp_path / "atlas.json"
    atlas.write(path, made)
    assert atlas.read(path) == made
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(made.cells) + 2
    assert json.loads("\n".join(lines))["schema"] == 1
    assert [json.loads(line.rstrip(","))["jax"] for line in lines[1:-1]] == [cell["jax"] for cell in made.cells]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot read the atlas"),
        ("[]", "no integer 'schema'"),
        ('{"schema": 2, "cells": []}', "has schema 2"),
        ('{"schema": 1}', "is no atlas"),
        ('{"schema": 1, "made_at": "", "cells": [{"status": "odd", "worst_score": null}]}', "unknown status"),
        ('{"schema": 1, "made_at": "", "cells": [{"mode": "odd", "worst_score": null}]}', "is no atlas"),
        ('{"schema": 1, "made_at": "", "cells": [{"footprints": [1], "worst_score": null}]}', "is no atlas"),
        ('{"schema": 1, "made_at": "", "cells": [{"footprints": {"jax": {}}, "worst_score": null}]}', "is no atlas"),
    ],
)
def test_what_is_no_atlas_is_refused(tmp_path, text, says):
    path = tmp_path / "atlas.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match=says):
        atlas.read(path)


def test_an_atlas_that_is_not_there_is_an_unreadable_one(tmp_path):
    with pytest.raises(RecordError, match="cannot read the atlas"):
        atlas.read(tmp_path / "atlas.json")


@pytest.mark.parametrize("said", KINDS)
def test_a_cell_has_a_sign_and_words(said):
    assert f"{atlas.sign(KINDS[said])} {atlas.words(KINDS[said])}" == said


def test_the_verdict_counts_every_cell_once():
    verdict = atlas.verdict(of(*KINDS.values()))
    assert verdict == (
        "Of 11 pairs in one environment, 1 agrees, 1 agrees with a remedy, 1 cannot be installed together, "
        "3 are broken, 2 did not finish, 1 passes although listed as a known issue and 2 were not run."
    )
    assert sum(map(int, re.findall(r"\d+", verdict)[1:])) == len(KINDS)


def test_the_verdict_names_modes_apart():
    verdict = atlas.verdict(of(row(), row("0.10.2"), row(mode=SPLIT), row(mode=FLEET, status="crash")))
    assert verdict == (
        "All 2 pairs in one environment agree; 1 pair in separate environments agrees; "
        "1 reader of the one export is broken."
    )


def test_the_verdict_of_nothing_says_so():
    assert atlas.verdict(of()) == "No cell was planned."


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({"status": "pass", "predicted": "pass"}, True),
        ({"status": "pass", "predicted": "remedied", "predicted_class": SKEW}, False),
        ({"status": "remedied", "class": SKEW, "predicted": "remedied", "predicted_class": SKEW}, True),
        ({"status": "remedied", "class": SKEW, "predicted": "remedied", "predicted_class": CONVENTION}, False),
        ({"status": "remedied", "class": SKEW, "predicted": "pass"}, False),
        ({"status": "error", "class": "missing_ffi", "predicted": "error", "predicted_class": "missing_ffi"}, True),
        ({"status": "pass", "predicted": None}, None),
        ({"status": "missing", "predicted": "pass"}, None),
    ],
)
def test_a_prediction_is_right_in_status_and_class_or_does_not_count(changes, right):
    assert atlas.foreseen(row(**changes)) is right


def change(**changes):
    return [(c.what, c.before, c.after) for c in atlas.changes(of(row()), of(row(**changes)))]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"seconds": {"training": 1.0}, "ended_at": "2027-01-01T00:00:00Z", "evidence": "other"}, []),
        ({"status": "error", "class": SKEW}, [("outcome", "pass", f"error ({SKEW})")]),
        (
            {"status": "error", "class": SKEW, "worst_score": None, "bit_exact": None},
            [("outcome", "pass", f"error ({SKEW})")],
        ),
        ({"remedy": "tensorflow==2.17.1"}, [("remedy", "none", "tensorflow==2.17.1")]),
        ({"bit_exact": True}, [("bit-exact", "no", "yes")]),
        ({"bit_exact": None}, [("bit-exact", "no", "not known")]),
        ({"worst_score": 18.3 * 1.9}, []),
        ({"worst_score": 18.3 * 2.1}, [("worst score", "18.3", "38.4")]),
        ({"worst_score": 18.3 / 2.1}, [("worst score", "18.3", "8.71")]),
        ({"worst_score": 0.0}, [("worst score", "18.3", "0")]),
        ({"worst_score": None}, [("worst score", "18.3", "none")]),
        ({"worst_score": math.nan}, [("worst score", "18.3", "nan")]),
        ({"worst_score": math.inf}, [("worst score", "18.3", "inf")]),
    ],
)
def test_a_change_is_found_and_noise_is_not(changes, found):
    assert change(**changes) == found


def sized(memory, artifact):
    """Footprints as a run leaves them, one of them without an artifact."""
    sizes = {"peak_memory_bytes": memory, "artifact_bytes": artifact}
    measured = [samples.footprint(**sizes), samples.footprint(runtime="jax", artifact_bytes=None)]
    return cells.row(samples.run(footprints=measured))["footprints"]


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (sized(1_490_000, 149_000), []),
        (sized(1_510_000, 100_000), [("memory of tf_xla", "1 MB", "1.51 MB")]),
        (sized(1_000_000 // 1.51, 100_000), [("memory of tf_xla", "1 MB", "0.662 MB")]),
        (sized(1_000_000, 151_000), [("artifact", "0.1 MB", "0.151 MB")]),
        ({}, []),
    ],
)
def test_memory_and_artifacts_that_differ_by_more_than_half_are_changes(after, found):
    before = of(row(footprints=sized(1_000_000, 100_000)))
    assert [(c.what, c.before, c.after) for c in atlas.changes(before, of(row(footprints=after)))] == found
    assert atlas.changes(of(row()), of(row(footprints=after))) == []


@pytest.mark.parametrize("same", [None, 0.0, math.inf, math.nan])
def test_the_same_score_is_no_change(same):
    assert atlas.changes(of(row(worst_score=same)), of(row(worst_score=same))) == []


def test_cells_new_and_gone_are_changes():
    found = atlas.changes(of(row("0.9.2")), of(row("0.10.2")))
    assert [(c.cell, c.what) for c in found] == [
        ("py312-jax0.9.2-tf2.21.0", "gone"),
        ("py312-jax0.10.2-tf2.21.0", "new"),
    ]


def test_the_markdown_is_aligned_narrow_and_explained():
    releases = ["2.16.2", "2.17.1", "2.18.1", "2.19.1", "2.20.0", "2.21.0", "2.22.0"]
    rows = [bad("error", CONVENTION, jax="0.12.0.1", tensorflow=release) for release in releases]
    text = atlas.markdown(of(*rows, row("0.9.2", bit_exact=True), row("0.10.2", mode=SPLIT)))
    assert max(map(len, text.splitlines())) <= 120
    assert "| 0.12.0.1 | ✗ convention | ✗ convention |" in text
    assert re.search(r"\| 0\.9\.2    (\| +){5}\| ✓ 18\.3 = +\|", text)
    assert len({len(line) for line in text.splitlines() if line.startswith("|")}) <= 2
    assert "✗ broken, with the last word of its class" in text
    assert "⚒" not in text


def test_two_pythons_of_a_pair_share_a_place_in_the_markdown():
    text = atlas.markdown(
        of(row(python="3.11"), row(python="3.12", worst_score=20.0), bad("crash", "crash", python="3.13"))
    )
    assert "✓ 20 / ✗ crash" in text


def test_markdown_of_a_planted_tag_or_bar_is_text():
    text = atlas.markdown(of(row("<script>|<!-- /atlas -->")))
    assert "<script>" not in text
    assert "<!--" not in text
    assert "\\|" in text


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_readme_changes_between_the_markers_only(tmp_path, newline):
    path = tmp_path / "README.md"
    begin, end = atlas.MARKERS
    around = f"# x{newline}{begin}", f"{end}{newline}rest ✓{newline}"
    path.write_bytes(f"{newline}old{newline}".join(around).encode())
    for made in (of(row(status="fail")), of(row())):
        atlas.update_readme(path, made)
    text = path.read_bytes().decode()
    assert text == f"\n{atlas.markdown(made)}\n".join(around)
    assert [name.name for name in tmp_path.iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    "text", ["", "<!-- atlas -->", "<!-- /atlas --> <!-- atlas -->", "<!-- atlas --><!-- /atlas -->" * 2]
)
def test_a_readme_without_the_markers_is_left_alone(tmp_path, text):
    path = tmp_path / "README.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="<!-- /atlas -->"):
        atlas.update_readme(path, of(row()))
    assert path.read_text(encoding="utf-8") == text


def test_the_page_says_what_became_of_every_cell_in_words(written):
    text = Page(written(*KINDS.values())).text()
    assert atlas.verdict(of(*KINDS.values())) in text
    for said, cell in KINDS.items():
        assert text.count(said) >= 2, said
        assert cell["cell"] in text
    assert 'with parity.remedies.readable_by("tensorflow==2.17.1"):' in text
    assert "score 18.3, bit-exact" in text


def test_a_pair_that_was_not_planned_is_said_to_be_so(written):
    assert Page(written(row("0.9.2", "2.20.0"), row("0.10.2", "2.21.0"))).text().count("not planned") == 2


def test_modes_have_grids_of_their_own_with_the_same_columns(written):
    found = Page(written(row(tensorflow="2.20.0"), row(mode=SPLIT), row(mode=FLEET), row(mode=ARCHIVE)))
    for title in page.TITLES.values():
        assert title[0] in found.text()
    assert len([t for t in found.all("table") if t.get("class") == "grid"]) == 4
    assert found.text().count("2.20.0 2.21.0") == 4


def test_a_cell_without_releases_stands_beside_the_grid(written):
    assert "its releases are not known: latest ? not run ." in Page(written(row(), latest="")).text()


def test_the_doctors_hits_are_counted_and_misses_named(written):
    text = Page(written(*KINDS.values())).text()
    assert "was right on 1 of 3 cells; wrong: py312-jax0.4.38-tf2.21.0 , py312-jax0.6.2-tf2.21.0 ." in text
    assert "8 cells without a prediction or an outcome are not counted" in text
    assert text.count("✗ wrong:") == 2


def test_what_changed_is_shown_with_links_to_the_cells_that_are_left(written):
    first = "There is no earlier atlas"
    assert first in written(row())
    assert "Nothing, since the atlas of" in written(row(), previous=of(row()))
    found = Page(written(row(status="fail"), previous=of(row(), row("0.1.0"))))
    assert first not in found.text()
    assert "2 changes since" in found.text()
    assert "by more than a factor of 2, or memory or an artifact by more than 1.5." in found.text()
    assert "outcome pass fail" in found.text()
    assert "gone pass -" in found.text()
    assert "open" in found.all("details")[0]


def test_every_link_leads_somewhere(tmp_path):
    there, beside = row(cell="py312-jax0.9.2-tf2.21.0 x#y"), row("0.10.2")
    (tmp_path / there["cell"]).mkdir()
    (tmp_path / there["cell"] / "index.html").touch()
    (tmp_path / beside["cell"]).mkdir()
    previous = of(row("0.1.0"))
    found = Page(page.write(of(there, beside, *KINDS.values()), previous, tmp_path).read_text(encoding="utf-8"))
    anchors = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(anchors) == len(set(anchors))
    links = {attributes["href"] for attributes in found.all("a")}
    pages = {link for link in links if not link.startswith("#")}
    assert {link.removeprefix("#") for link in links - pages} <= set(anchors)
    assert [unquote(link) for link in pages] == [f"{there['cell']}/index.html"]


def test_the_data_are_linked_where_they_are(tmp_path):
    made = of(row())
    assert 'href="atlas.json"' not in page.write(made, None, tmp_path).read_text(encoding="utf-8")
    atlas.write(tmp_path / "atlas.json", made)
    assert 'href="atlas.json"' in page.write(made, None, tmp_path).read_text(encoding="utf-8")


def test_planted_tags_are_text(written):
    tag = "<script>alert(1)</script>"
    names = ("cell", "jax", "tensorflow", "python", "evidence", "remedy", "predicted", "predicted_class", "class")
    planted = row(**dict.fromkeys(names, tag), known=[tag], versions={tag: tag}, seconds={tag: 1.0})
    absent = bad("missing", None, f"no Python {tag}", checks=0)
    text = written(planted, absent, previous=of(row(cell=tag + "old")))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") > len(names)
    assert Page(text).all("script") == []


def test_the_page_asks_for_nothing_and_names_its_parts(written):
    text = written(*KINDS.values(), row(mode=SPLIT), previous=of())
    found = Page(text)
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)  # the name of a format, which nobody fetches
    assert not any(found.all(tag) for tag in ("script", "img", "link", "iframe"))
    assert found.all("html")[0]["lang"] == "en"
    assert len(found.all("caption")) == len(found.all("table"))
    assert all(attributes.get("scope") in ("row", "col", "rowgroup") for attributes in found.all("th"))
    assert "prefers-color-scheme: dark" in text


def test_long_evidence_is_cut_on_the_page_only(written):
    text = written(bad("error", "resolver", "because " * 1000))
    assert text.count("because ") < 300


def test_a_hundred_cells_are_a_small_page_made_at_once(tmp_path):
    evidence = "vhlo.custom_call_v2 in StableHLO 1.13.7, and more words about it " * 5
    rows = [
        bad("remedied", SKEW, evidence, jax=f"0.{minor}.0", tensorflow=f"2.{reader}.0", remedy="tensorflow==2.17.1")
        for minor in range(10)
        for reader in range(10)
    ]
    made = of(*rows)
    began = time.perf_counter()
    path = page.write(made, of(*(dict(r, status="fail") for r in rows)), tmp_path)
    assert time.perf_counter() - began < 2
    assert path.stat().st_size < 300_000 + len(tables.script())


def test_an_empty_atlas_has_a_page(written):
    assert "No cell was planned." in written()


def test_a_row_that_an_older_parity_wrote_is_shown(tmp_path):
    path = tmp_path / "atlas.json"
    old = {"cell": "c", "jax": "0.9.2", "tensorflow": "2.21.0", "status": "pass", "worst_score": 1.0}
    path.write_text(json.dumps({"schema": 1, "made_at": "then", "cells": [old]}), encoding="utf-8")
    read = atlas.read(path)
    assert isinstance(read, Atlas)
    assert "score 1" in page.write(read, None, tmp_path).read_text(encoding="utf-8")


def test_rows_come_from_records():
    checks = [samples.check(probe="predict", score=3.0, bits_equal=True), samples.check(score=math.inf, status="fail")]
    [cell] = of(cells.row(samples.run(checks=checks))).cells
    assert (atlas.kind(cell), atlas.words(cell), cell["worst_score"]) == ("broken", "numeric", math.inf)
    stopped = samples.run(checks=checks, stopped=records.Stopped("error", "resolver", "no common numpy"))
    assert atlas.words(of(cells.row(stopped)).cells[0]) == "cannot be installed together"
