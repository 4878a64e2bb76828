"""Pages in Debian's Chromium, by Playwright: opened from files, watched for what they must not do."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

CONTROLS = "a[href], button:not([disabled]), select, input, summary, [tabindex='0']"
# What Tab stands on: how it is named, whether it is seen, and whether its focus is.
FOCUSED = """() => {
  const on = document.activeElement, box = on.getBoundingClientRect(), style = getComputedStyle(on);
  if (on === document.body || on.dataset.walked) return null;
  on.dataset.walked = "yes";
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return { html: on.outerHTML.slice(0, 120), seen: box.width > 0 && box.height > 0, outlined };
}"""
# A hundred rows of a kind are as accessible as three, and take axe-core half a minute.
FEW = "document.querySelectorAll('tbody tr:nth-child(n + 4)').forEach((row) => row.remove())"
LEFT = f"""() => [...document.querySelectorAll("{CONTROLS}")]
  .filter((on) => on.checkVisibility() && on.tabIndex >= 0 && !on.dataset.walked)
  .map((on) => on.outerHTML.slice(0, 120))"""


@contextmanager
def chromium():
    """A browser; where there is none, skips the test, and fails it if screenshots are wanted."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        give_up = pytest.fail if os.environ.get("PARITY_SCREENSHOTS") else pytest.skip
        give_up("no Chromium on PATH: install one, such as apt-get install chromium")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page that was opened from a file, and what it did that it must not."""

    def __init__(self, browser, path, fragment="", ready=True, **context):
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.set_default_navigation_timeout(60_000)
        self.wrong = []
        address = path.as_uri()
        self.page.on("console", lambda output: self.wrong.append(f"console: {output.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("dialog", self._dialog)
        self.page.on("request", lambda items: items.url.partition("#")[0] == address or self.wrong.append(items.url))
        self.page.goto(address + fragment)
        if ready and context.get("java_script_enabled", True):
            self.page.wait_for_selector("html[data-ready]")

    def _dialog(self, dialog):
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def rows(self, table):
        """The texts of the rows that a table shows."""
        return self.page.locator(f"#{table} tbody tr").all_inner_texts()

    def output(self, table):
        """What a table says of its rows, such as `1 to 25 of 60`."""
        return self.page.locator(f"#{table}_info").inner_text()

    def search(self, table, text):
        self.page.locator(f"#{table}_wrapper input[type=search]").fill(text)

    def choose(self, table, column, value):
        self.page.locator(f"#{table}_wrapper .tools").get_by_label(column, exact=True).select_option(value)

    def sort(self, table, column, method):
        """Click on a header, and wait until it says which way the rows are sorted."""
        head = self.page.locator(f"#{table} thead th").nth(column)
        head.get_by_role("button").click()
        self.page.locator(f"#{table} thead th:nth-child({column + 1})[aria-sort={method}]").wait_for()

    def wide(self):
        """How much wider the page is than its window, in pixels."""
        return self.page.evaluate("document.documentElement.scrollWidth - innerWidth")

    def column(self, table, nth):
        """The texts of a column, which is counted from 1."""
        return self.page.locator(f"#{table} tbody :is(td, th):nth-child({nth})").all_inner_texts()

    def background(self):
        return self.page.evaluate("getComputedStyle(document.body).backgroundColor")

    def open_all(self):
        self.page.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")

    def walk(self):
        """Tab through the page; what was wrong on the way, and the controls that it never came to."""
        wrong = []
        while on := self._next():
            wrong += [] if on["seen"] and on["outlined"] else [on]
        return wrong + self.page.evaluate(LEFT)

    def _next(self):
        self.page.keyboard.press("Tab")
        return self.page.evaluate(FOCUSED)

    def findings(self, *rules):
        """What axe-core finds serious or critical, a line each; of all rules, or of those."""
        from axe_playwright_python.sync_playwright import Axe

        self.page.evaluate(FEW)
        items = {"runOnly": list(rules)} if rules else {}
        found = Axe().run(self.page, options={"resultTypes": ["violations"], **items}).response["violations"]
        grave = [rule for rule in found if rule["impact"] in ("serious", "critical")]
        return [f"{rule['id']}: {node['html'][:200]}" for rule in grave for node in rule["nodes"]]

    def close(self):
        self.context.close()
        assert not self.wrong


def screenshots(folder):
    """Where screenshots are kept: the folder that PARITY_SCREENSHOTS names, or else `folder`."""
    kept = Path(os.environ.get("PARITY_SCREENSHOTS") or folder)
    kept.mkdir(parents=True, exist_ok=True)
    return kept
