"""The pages in a real browser: what a reader does with them, and what they must never do."""

import re

import pytest

from parity import report
from parity.report import atlas as atlases
from parity.tests.benchmarks import benchmark_report
from parity.tests.support import browsing, large, samples
from parity.tests.support.pages import HOSTILE, full_run

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAMES = ("index", "cell")
FEW = [(probe, "tf_xla", size, leaf) for probe in large.PROBES for size in (1, 13) for leaf in large.LEAVES]
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser():
    with browsing.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The paths of an index of 30 cells, and of a cell's page, by name."""
    folder = tmp_path_factory.mktemp("pages")
    index = large.write(folder, tensorflow=large.TENSORFLOW[3:], places=FEW)
    made = full_run()
    made.checks += large.runs(large.JAX[-1:], large.TENSORFLOW[-1:], FEW)[0].checks
    cell = report.write([made], folder / "cell.html")
    return {"index": index, "cell": cell}


@pytest.fixture
def visit(browser, pages):
    """Opens pages, and fails if one did what it must not."""
    visits = []

    def opened(name, fragment="", **context):
        visits.append(browsing.Visit(browser, pages.get(name, name), fragment, **context))
        return visits[-1]

    yield opened
    for one in visits:
        one.close()


def test_a_choice_leaves_the_rows_that_have_it(visit):
    index = visit("index")
    index.choose("cells", "tensorflow", "2.19.1")
    assert index.output("cells") == "1 to 10 of 10 (all: 30)"
    assert all("2.19.1" in row for row in index.rows("cells"))
    index.choose("cells", "jax", "0.9.2")
    assert len(index.rows("cells")) == 1
    index.choose("cells", "tensorflow", "")
    assert index.output("cells") == "1 to 3 of 3 (all: 30)"


def test_a_search_has_every_word(visit):
    index = visit("index")
    index.search("checks", "jax0.9.2 KERNEL 2.21")
    index.page.wait_for_function("document.querySelector('#checks_info').innerText.includes('all')")
    assert index.output("checks") == "1 to 20 of 20 (all: 1,500)"
    assert all("jax0.9.2-tf2.21.0" in row and "kernel" in row for row in index.rows("checks"))
    index.search("checks", "nowhere")
    index.page.wait_for_selector("#checks td.dt-empty")
    assert index.rows("checks") == ["No row fits the search and the filters."]


def scores(visit):
    texts = visit.page.locator("#checks tbody td:nth-child(8)").all_inner_texts()
    return [float(text.replace(",", "")) for text in texts]


def test_a_header_sorts_by_size_and_says_so_by_mouse_and_keyboard(visit):
    index = visit("index")
    index.sort("checks", 7, "ascending")
    rising = scores(index)
    index.sort("checks", 7, "descending")
    falling = scores(index)
    index.page.keyboard.press("Enter")
    index.page.locator("#checks th[aria-sort=ascending]").wait_for()
    assert scores(index) == rising
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > rising[-1]


def test_releases_sort_as_releases(visit):
    index = visit("index")
    index.choose("cells", "tensorflow", "2.21.0")
    index.sort("cells", 2, "ascending")
    shown = index.page.locator("#cells tbody td:nth-child(3)").all_inner_texts()
    assert shown == list(large.JAX)
    offered = index.page.locator("#cells_wrapper .tools").get_by_label("jax", exact=True).locator("option")
    assert offered.all_inner_texts() == ["all", *large.JAX]


def test_what_is_not_in_order_stands_first(visit):
    index = visit("index")
    failed = ["fail" in row for row in index.rows("checks")]
    assert failed[0]
    assert failed == sorted(failed, reverse=True)
    assert index.output("checks") == "1 to 25 of 1,500"


def test_the_address_opens_the_same_view(visit):
    index = visit("index")
    index.choose("cells", "outcome", "numeric")
    index.sort("cells", 6, "ascending")
    index.choose("checks", "status", "✗ fail")
    index.search("checks", "bias & kernel")
    index.search("checks", "bias")
    index.page.wait_for_function("location.hash.includes('bias')")
    again = visit("index", "#" + index.page.url.partition("#")[2])
    for table in ("cells", "checks"):
        assert again.rows(table) == index.rows(table)
        assert again.output(table) == index.output(table)
    assert again.page.locator("#checks_wrapper input[type=search]").input_value() == "bias"
    assert "numeric" in again.rows("cells")[0]
    again.page.evaluate("history.replaceState(null, '', '#?')")
    again.page.evaluate("dispatchEvent(new Event('hashchange'))")
    assert again.output("checks") == "1 to 25 of 1,500"


def test_a_link_in_the_grid_leads_to_its_row(visit):
    index = visit("index")
    index.choose("cells", "tensorflow", "2.20.0")
    link = index.page.locator("table.grid a[href^='#']").last
    link.click()
    row = index.page.locator("#cells tr.here")
    row.wait_for()
    assert "jax0.12.0.1-tf2.21.0" in row.inner_text().replace("\n", "")
    assert row.evaluate(
        "(tr) => { const at = tr.getBoundingClientRect(); return at.top >= 0 && at.bottom <= innerHeight }"
    )
    assert index.page.locator("#cells_wrapper select").nth(2).input_value() == ""
    assert index.page.evaluate("location.hash") == link.get_attribute("href")
    index.page.evaluate("scrollTo(0, 0)")
    link.click()
    index.page.wait_for_function("scrollY > 0")


def test_a_permalink_opens_at_its_row(visit):
    first = visit("index")
    name = first.page.locator("#checks tbody tr").nth(20).get_attribute("id")
    text = first.rows("checks")[20]
    index = visit("index", f"#{name}")
    assert index.page.locator("#checks tr.here").inner_text() == text
    visit("index", "#100%-nowhere")


def test_a_check_leads_to_the_page_of_its_cell(visit):
    index = visit("index")
    link = index.page.locator("#checks tbody a").first
    assert re.fullmatch(r"py312-jax[\d.]+-tf[\d.]+/index.html#test_\w+%5Breference-tf_xla-b\d+%5D%2F\w+%2F\w+",
                        link.get_attribute("href"))  # fmt: skip


def test_code_is_copied(visit):
    index = visit("index", permissions=["clipboard-read", "clipboard-write"])
    index.page.get_by_role("button", name="Copy").click()
    index.page.get_by_role("button", name="Copied").wait_for()
    assert index.page.evaluate("navigator.clipboard.readText()").startswith('pip install "jax==')
    index.page.keyboard.press("Tab")
    index.page.get_by_role("button", name="Copy", exact=True).wait_for()


@pytest.mark.parametrize("name", NAMES)
def test_a_phone_scrolls_down_only(visit, name):
    assert visit(name, viewport=PHONE, java_script_enabled=False).wide() <= 0
    phone = visit(name, viewport=PHONE)
    assert phone.wide() <= 0
    phone.open_all()
    assert phone.wide() <= 0


@pytest.mark.parametrize("name", NAMES)
def test_every_control_is_reached_by_keyboard(visit, name):
    page = visit(name)
    assert page.walk() == []


def test_a_planted_control_that_hides_its_focus_or_keeps_it_is_found(visit):
    page = visit("cell")
    trap = "<input onkeydown='event.preventDefault()'>"
    page.page.evaluate(f"document.body.innerHTML = `<button style='outline:none'>a</button>{trap}<button>b</button>`")
    hidden, left = page.walk()
    assert "outline:none" in hidden["html"]
    assert left == "<button>b</button>"


@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing_serious_in_light_and_dark(visit, name):
    page = visit(name)
    page.open_all()
    assert page.findings() == []
    assert page.background() == "rgb(255, 255, 255)"
    page.page.emulate_media(color_scheme="dark")
    assert page.background() == "rgb(22, 24, 28)"
    assert page.findings("color-contrast") == []
    page.page.evaluate("document.body.innerHTML = '<p style=color:#777>faint</p><select></select>'")
    planted = page.findings("color-contrast", "select-name")
    assert [finding.partition(":")[0] for finding in planted] == ["color-contrast", "select-name"]


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_complete_without_javascript(visit, name):
    page = visit(name, java_script_enabled=False)
    bare = page.page.locator("body").inner_text()
    live = visit(name)
    assert live.page.locator(".verdict").first.inner_text() in bare
    assert page.page.locator("table").count() == live.page.locator("table").count()
    assert page.page.locator("svg").count() == live.page.locator("svg").count()
    if name == "index":
        assert len(page.rows("cells")) == len(page.rows("checks")) == 30
        assert "Without JavaScript the table has the worst check of each cell" in bare


@pytest.mark.parametrize("name", NAMES)
def test_paper_has_every_row_and_no_control(visit, name):
    page = visit(name, color_scheme="dark")
    opened = page.page.locator("details[open]").count()
    if name == "index":
        page.page.locator("#cells_wrapper .dt-paging-button", has_text="2").click()
    page.page.emulate_media(media="print")
    assert page.page.locator("input:visible, select:visible, button:visible").count() == 0
    assert page.background() == "rgb(255, 255, 255)"
    if name == "index":
        page.page.wait_for_function("document.querySelectorAll('#cells tbody tr').length === 30")
        assert page.page.locator("details:not([open])").count() == 0
        page.page.emulate_media(media="screen")
        page.page.wait_for_function("document.querySelectorAll('#cells tbody tr').length === 5")
        assert page.page.locator("details[open]").count() == opened


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Pages of a run with a script in every string, and with an entity, which DataTables decodes when it searches."""
    folder = tmp_path_factory.mktemp("hostile")
    made = full_run(f"{HOSTILE}&amp;")
    rows = large.of([samples.run(cell=HOSTILE)])
    for row in rows.cells:
        row |= {"jax": HOSTILE, "tensorflow": HOSTILE, "evidence": HOSTILE, "remedy": HOSTILE, "status": "remedied"}
        row |= {"class": HOSTILE, "known": [HOSTILE], "seconds": {HOSTILE: 1.0}, "versions": {HOSTILE: HOSTILE}}
        row["footprints"] = {HOSTILE: {**row["footprints"]["jax"], "load_ns": HOSTILE}}
    return {"cell": report.write([made], folder / "cell.html"), "index": atlases.write(rows, rows, folder, [made])}


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_record_is_inert(visit, hostile, name):
    page = visit(hostile[name])
    page.open_all()
    for select in page.page.locator(".tools select").all():
        select.select_option(index=1)
    for search in page.page.locator("input[type=search]").all():
        search.fill("<script>")
    for button in page.page.locator("th [role=button], button.copy").all():
        button.click()
    again = visit(hostile[name], "#" + page.page.url.partition("#")[2])
    assert "<script>alert(1)</script>" in again.page.locator("body").inner_text()
    assert again.page.locator("img").count() == 0
    assert again.page.locator("script").count() == page.page.evaluate("document.scripts.length") <= 2


@pytest.mark.parametrize("name", NAMES)
def test_screenshots_are_kept(visit, tmp_path, name):
    folder = browsing.screenshots(tmp_path)
    items = folder != tmp_path
    looks = {"light": {}, **({"dark": {"color_scheme": "dark"}, "phone": {"viewport": PHONE}} if items else {})}
    for look, context in looks.items():
        page = visit(name, **context).page
        page.screenshot(path=folder / f"{name}-{look}.png", full_page=True)
        for i, heading in enumerate(page.locator("h2").all() if items else ()):
            heading.evaluate("(on) => on.scrollIntoView()")
            page.screenshot(path=folder / f"{name}-{look}-{i:02}.png")
        assert (folder / f"{name}-{look}.png").stat().st_size > 10_000


@pytest.mark.exhaustive
def test_a_large_atlas_is_small_and_shows_rows_as_they_are_asked_for(browser, tmp_path):
    """How fast it is, `benchmark_report` says: a time would fail beside other work."""
    path, _ = benchmark_report.build(tmp_path)
    found = benchmark_report.measure(browser, path, rounds=1)
    assert found["size in MB"] <= benchmark_report.LIMITS["size in MB"]
