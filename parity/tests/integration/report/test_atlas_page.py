"""The page of the atlas shows every cell in words, links to what is there, and asks for nothing."""

import json
import re
import time
from urllib.parse import unquote

import pytest

from parity.records import ARCHIVE, FLEET, SPLIT, atlas
from parity.records.atlas import Atlas
from parity.report import atlas as page
from parity.report import atlas_text, tables
from parity.tests.support.atlas_rows import KINDS, SKEW, Page, bad, of, row


@pytest.fixture
def written(tmp_path):
    """Writes the page of rows, and gives its text without the one script that every page has."""

    def write(*rows, previous=None, **planned):
        text = page.write(of(*rows, **planned), previous, tmp_path).read_text(encoding="utf-8")
        assert text.count(tables.script()) == 1
        return text.replace(tables.script(), "")

    return write


def test_the_page_says_what_became_of_every_cell_in_words(written):
    text = Page(written(*KINDS.values())).text()
    assert atlas_text.verdict(of(*KINDS.values())) in text
    for output, cell in KINDS.items():
        assert text.count(output) >= 2, output
        assert cell["cell"] in text
    assert 'with parity.readable_by("tensorflow==2.17.1"):' in text
    assert "score 18.3, bit-exact" in text


def test_a_pair_that_was_not_planned_is_said_to_be_so(written):
    assert Page(written(row("0.9.2", "2.20.0"), row("0.10.2", "2.21.0"))).text().count("not planned") == 2


def test_modes_have_grids_of_their_own_with_the_same_columns(written):
    found = Page(written(row(tensorflow="2.20.0"), row(mode=SPLIT), row(mode=FLEET), row(mode=ARCHIVE)))
    for title in page.TITLES.values():
        assert title[0] in found.text()
    assert len([t for t in found.all("table") if t.get("class") == "grid"]) == 4
    assert found.text().count("2.20.0 2.21.0") == 4


def test_a_cell_without_releases_is_listed_outside_the_grid(written):
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
