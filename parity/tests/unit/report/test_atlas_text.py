"""The atlas in words and in Markdown: every cell is counted once, and no text of a record becomes markup."""

import re

import pytest

from parity.core.errors import UsageError
from parity.records import ARCHIVE, FLEET, SPLIT
from parity.report import atlas_text
from parity.tests.support.atlas_rows import CONVENTION, KINDS, bad, of, row


def test_what_cannot_be_installed_apart_is_not_said_to_be_together():
    alone = of(bad("error", "resolver", mode=SPLIT))
    assert atlas_text.outcome(alone.cells[0]) == "cannot be installed"
    assert atlas_text.verdict(alone) == "1 pair in separate environments cannot be installed."


@pytest.mark.parametrize("text", KINDS)
def test_a_cell_has_a_sign_and_an_outcome(text):
    assert f"{atlas_text.sign(KINDS[text])} {atlas_text.outcome(KINDS[text])}" == text


def test_the_verdict_counts_every_cell_once():
    verdict = atlas_text.verdict(of(*KINDS.values()))
    assert verdict == (
        "Of 11 pairs in one environment, 1 agrees, 1 agrees with a remedy, 1 cannot be installed together, "
        "3 are broken, 2 did not finish, 1 passes although listed as a known issue and 2 were not run."
    )
    assert sum(map(int, re.findall(r"\d+", verdict)[1:])) == len(KINDS)


def test_the_verdict_names_modes_apart():
    verdict = atlas_text.verdict(of(row(), row("0.10.2"), row(mode=SPLIT), row(mode=FLEET, status="crash")))
    assert verdict == (
        "All 2 pairs in one environment agree; 1 pair in separate environments agrees; "
        "1 reader of the one export is broken."
    )


def test_the_verdict_of_nothing_says_so():
    assert atlas_text.verdict(of()) == "No cell was planned."


def test_the_markdown_is_aligned_narrow_and_explained():
    releases = ["2.16.2", "2.17.1", "2.18.1", "2.19.1", "2.20.0", "2.21.0", "2.22.0"]
    rows = [bad("error", CONVENTION, jax="0.12.0.1", tensorflow=release) for release in releases]
    text = atlas_text.markdown(of(*rows, row("0.9.2", bit_exact=True), row("0.10.2", mode=SPLIT)))
    assert max(map(len, text.splitlines())) <= 120
    assert "| 0.12.0.1 | ✗ convention | ✗ convention |" in text
    assert re.search(r"\| 0\.9\.2    (\| +){5}\| ✓ 18\.3 = +\|", text)
    assert len({len(line) for line in text.splitlines() if line.startswith("|")}) <= 2
    assert "✗ broken, with the last word of its class" in text
    assert "⚒" not in text


def test_two_pythons_of_a_pair_share_a_place_in_the_markdown():
    text = atlas_text.markdown(
        of(row(python="3.11"), row(python="3.12", worst_score=20.0), bad("crash", "crash", python="3.13"))
    )
    assert "✓ 20 / ✗ crash" in text


def test_markdown_of_a_planted_tag_or_bar_is_text():
    text = atlas_text.markdown(of(row("<script>|<!-- /atlas -->")))
    assert "<script>" not in text
    assert "<!--" not in text
    assert "\\|" in text


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_readme_changes_between_the_markers_only(tmp_path, newline):
    path = tmp_path / "README.md"
    begin, end = atlas_text.MARKERS
    around = f"# x{newline}{begin}", f"{end}{newline}rest ✓{newline}"
    path.write_bytes(f"{newline}old{newline}".join(around).encode())
    for made in (of(row(status="fail")), of(row())):
        atlas_text.update_readme(path, made)
    text = path.read_bytes().decode()
    assert text == f"\n{atlas_text.markdown(made)}\n".join(around)
    assert [name.name for name in tmp_path.iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    "text", ["", "<!-- atlas -->", "<!-- /atlas --> <!-- atlas -->", "<!-- atlas --><!-- /atlas -->" * 2]
)
def test_a_readme_without_the_markers_is_left_alone(tmp_path, text):
    path = tmp_path / "README.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="<!-- /atlas -->"):
        atlas_text.update_readme(path, of(row()))
    assert path.read_text(encoding="utf-8") == text


def test_modes_have_outcomes_and_nouns_of_their_own():
    exported = row("0.9.2", None, mode="export", cell="py312-jax0.9.2-export")
    made = of(exported, row(mode=SPLIT), row(mode=ARCHIVE), **{"py313-tf2.21.0-verify": "no Python 3.13 here"})
    assert {(cell["mode"], atlas_text.outcome(cell)) for cell in made.cells} == {
        ("export", "exported"),
        ("split", "agrees"),
        ("split", "no Python 3.13 here"),
        ("fleet", "no Python 3.13 here"),
        ("archive", "agrees"),
    }
    assert atlas_text.verdict(made) == (
        "Of 2 pairs in separate environments, 1 agrees and 1 was not run; 1 reader of the one export was not run; "
        "1 reading of an archived bundle agrees."
    )
