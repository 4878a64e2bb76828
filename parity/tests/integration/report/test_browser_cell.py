"""The page of a cell in a real browser, and what both pages must bear: any number, any text, any address."""

import re

import pytest

from parity import report
from parity.report import atlas as atlases
from parity.tests.support import browsing, large, samples
from parity.tests.support.report_runs import NUMBERS, run

pytestmark = pytest.mark.browser

NAMES = ("index", "cell")
HALF = chr(0xD800)
COLUMNS = {"index": (7, 8), "cell": (5, 6)}
"""Of leaves and scores, counted from 1."""
SORTED = ["-", "-\N{INFINITY}", "-2.00", "0"]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """The pages of one run: its checks have every kind of score, and half of a character in every name."""
    folder = tmp_path_factory.mktemp("single")
    items = [(None, 0), (float("-inf"), 1), *((score, 13) for score in NUMBERS)]
    checks = [
        samples.check(
            item=f"test_predict[{HALF}]", leaf=f"{HALF}_{n}/kernel", score=score, jax_score=1.0, batch_size=size
        )
        for n, (score, size) in enumerate(items)
    ]
    made = samples.run(cell=f"cell {HALF}", checks=checks)
    many = run()
    many.checks += large.runs(large.JAX[-1:], large.TENSORFLOW[-1:])[0].checks
    return {
        "cell": report.write([made], folder / "cell.html"),
        "index": atlases.write(large.of([made]), None, folder, [made]),
        "many": report.write([many], folder / "many.html"),
    }


@pytest.fixture(scope="module")
def browser():
    with browsing.chromium() as started:
        yield started


@pytest.fixture
def visit(browser, paths):
    visits = []

    def opened(name, fragment=""):
        visits.append(browsing.Visit(browser, paths.get(name, name), fragment))
        return visits[-1]

    yield opened
    for one in visits:
        one.close()


@pytest.mark.parametrize("name", NAMES)
def test_every_number_is_said_and_sorted_alike_on_both_pages(visit, name):
    page = visit(name)
    leaves, scores = (page.column("checks", nth) for nth in COLUMNS[name])
    shown = {int(leaf.rpartition("_")[2].split("/")[0]): score for leaf, score in zip(leaves, scores, strict=True)}
    assert [shown[n] for n in sorted(shown)] == ["-", "-\N{INFINITY}", *NUMBERS.values()]
    page.sort("checks", COLUMNS[name][1] - 1, "ascending")
    rising = page.column("checks", COLUMNS[name][1])
    assert (rising[:4], rising[-2:]) == (SORTED, ["\N{INFINITY}", "NaN"])
    page.sort("checks", COLUMNS[name][1] - 1, "descending")
    assert page.column("checks", COLUMNS[name][1])[:2] == ["NaN", "\N{INFINITY}"]


@pytest.mark.parametrize("name", NAMES)
def test_a_table_of_one_cell_is_searched_in_its_texts_alone(visit, name):
    page = visit(name)
    page.search("checks", "_3/KERNEL")
    page.page.wait_for_function("document.querySelectorAll('#checks tbody tr').length === 1")
    assert "_3/kernel" in page.rows("checks")[0]
    page.search("checks", "null")
    page.page.wait_for_selector("#checks td.dt-empty")


@pytest.mark.parametrize("name", NAMES)
def test_half_of_a_character_is_no_obstacle(visit, name):
    first = visit(name)
    row = first.page.locator("#checks tbody tr").nth(5)
    identity, text = row.get_attribute("id"), row.inner_text()
    assert "\\ud800" in identity
    assert visit(name, "#" + identity).page.locator("#checks tr.here").inner_text() == text


def test_the_checks_of_a_cell_are_filtered_searched_and_sorted(visit):
    cell = visit("many")
    cell.choose("checks", "runtime", "tf_graph")
    cell.choose("checks", "batch size", "1,024")
    assert cell.output("checks") == "1 to 25 of 25 (all: 606)"
    assert {row.split("\t")[2] for row in cell.rows("checks")} == {"tf_graph"}
    cell.search("checks", "Dense_0 gradient")
    cell.page.wait_for_function("document.querySelector('#checks_info').innerText.startsWith('1 to 2 ')")
    cell.search("checks", "kernel & bias")
    cell.page.wait_for_selector("#checks td.dt-empty")
    again = visit("many", "#" + cell.page.url.partition("#")[2])
    assert again.page.locator("#checks_wrapper input[type=search]").input_value() == "kernel & bias"
    again.search("checks", "")
    again.page.wait_for_selector("#checks th")
    again.sort("checks", 5, "ascending")
    scores = [float(score) for score in again.column("checks", 6)]
    assert scores == sorted(scores)


ROW = "test_predict[reference-tf_xla-b13]/Dense_2/kernel"


@pytest.mark.parametrize("name", [ROW, ROW.replace("[", "%5B").replace("]", "%5D").replace("/", "%2F")])
def test_a_permalink_opens_a_check_whatever_is_filtered(visit, name):
    cell = visit("many")
    cell.choose("checks", "runtime", "tf_graph")
    before = cell.page.url
    cell.page.evaluate("(name) => (location.hash = name)", name)
    here = cell.page.locator("#checks tr.here")
    here.wait_for()
    assert here.get_attribute("id") == ROW
    assert cell.page.url.endswith(f"#{name}")
    cell.page.go_back()
    cell.page.wait_for_function("document.querySelector('#checks_info').innerText.includes('all')")
    assert cell.page.url == before


def test_back_to_no_address_is_the_page_as_it_was(visit):
    cell = visit("many")
    cell.page.evaluate("location.hash = '?checks.runtime=tf_xla'")
    cell.page.wait_for_function("document.querySelector('#checks_info').innerText.includes('all')")
    cell.page.go_back()
    cell.page.wait_for_function("!document.querySelector('#checks_info').innerText.includes('all')")
    assert cell.output("checks") == "1 to 25 of 606"


def test_a_section_is_where_its_link_leads(visit):
    cell = visit("many", "#latency")
    place = "document.getElementById('latency').getBoundingClientRect().top"
    assert abs(cell.page.evaluate(place)) < 100
    cell.page.evaluate("scrollTo(0, 0)")
    cell.page.locator("nav.contents a", has_text="Latency").click()
    cell.page.wait_for_function(f"Math.abs({place}) < 100")


def test_a_table_that_fails_stops_no_other(browser, paths, tmp_path):
    text = paths["index"].read_text(encoding="utf-8")
    broken = tmp_path / "broken.html"
    broken.write_text(re.sub(r'(id="checks-data">).*?</script>', r"\1[oops</script>", text), encoding="utf-8")
    page = browsing.Visit(browser, broken)
    page.search("cells", "nowhere")
    page.page.wait_for_selector("#cells td.dt-empty")
    assert "SyntaxError" in page.wrong.pop()
    page.close()
