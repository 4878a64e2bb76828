"""The atlas of 60 cells with 600 checks each, in a browser: `python -m parity.tests.benchmarks.benchmark_report`.

Print the times and the size with their limits, beside those of a page with the same rows as HTML.
"""

import sys
import tempfile
import time
from pathlib import Path

from parity.report import atlas as page
from parity.report import tables
from parity.tests.support import browsing, large

ROUNDS = 5
LIMITS = {
    "built in s": 10.0,
    "size in MB": 3.0,
    "opened in ms": 1500.0,
    "filtered in ms": 100.0,
    "searched in ms": 100.0,
}
# The time from an input to the frame in which its rows are seen; then the table is as before.
REACTED = """async ([selector, value]) => {
  const control = document.querySelector(selector);
  const event = () => new Event(control.tagName === "SELECT" ? "change" : "input", { bubbles: true });
  const narrowed = () => document.getElementById("checks_info").textContent.includes("all");
  const set = async (to, until) => {
    const began = performance.now();
    control.value = to;
    control.dispatchEvent(event());
    do await new Promise(requestAnimationFrame); while (narrowed() !== until);
    return performance.now() - began;
  };
  const took = await set(value, true);
  await set("", false);
  return took;
}"""
# The module of a page has run before its load event ends.
OPENED = """async () => {
  const [navigation] = performance.getEntriesByType("navigation");
  while (!navigation.loadEventEnd) await new Promise(requestAnimationFrame);
  return navigation.loadEventEnd;
}"""


def measure(browser, path, rounds=ROUNDS, live=True):
    """Return the size, and the milliseconds to open `path` and to narrow its table: the best of several rounds."""
    found = {"size in MB": path.stat().st_size / 1e6}
    for _ in range(rounds):
        visit = browsing.Visit(browser, path, ready=live)
        took = {"opened in ms": visit.page.evaluate(OPENED)}
        if live:
            took["filtered in ms"] = visit.page.evaluate(REACTED, ["#checks-choice-4", "tf_xla"])
            took["searched in ms"] = visit.page.evaluate(REACTED, ["#checks_wrapper input", "kernel gradient"])
        found |= {name: min(value, found.get(name, value)) for name, value in took.items()}
        visit.close()
    return found


def build(folder):
    """Return the path of the page of the large atlas, and the seconds that it takes to write."""
    made = large.runs()
    joined = large.of(made)
    began = time.perf_counter()
    path = page.write(joined, None, folder, made)
    return path, time.perf_counter() - began


def static(path, folder):
    """Return the path of the same page with every row of its table as HTML, and without a script."""
    cells = "".join(
        f"<tr><td><code>{run.cell}</code><td>✓ {check.status}<td>{check.case}<td>{check.probe}<td>{check.runtime}"
        f"<td>batch {check.batch_size}<td><a href='{run.cell}/index.html#{check.item}/{check.leaf}'>{check.leaf}</a>"
        f"<td class=n>{check.score:.3g}<td class=n>{check.jax_score:.3g}"
        for run in large.runs()
        for check in run.checks
    )
    text = path.read_text(encoding="utf-8").replace(tables.script(), "")
    head, _, rest = text.partition('id="checks"')
    before, _, after = rest.partition("<tbody>")
    plain = folder / "static.html"
    plain.write_text(f'{head}id="checks"{before}<tbody>{cells}{after}', encoding="utf-8")
    return plain


def main():
    """Print the table; returns whether every limit holds."""
    with tempfile.TemporaryDirectory() as folder, browsing.chromium() as browser:
        path, built = build(Path(folder))
        found = {"built in s": built, **measure(browser, path)}
        beside = measure(browser, static(path, Path(folder)), live=False)
    print(f"{'':16}{'measured':>10}{'limit':>10}{'static rows':>14}")
    for name, limit in LIMITS.items():
        other = f"{beside[name]:.1f}" if name in beside else "-"
        print(f"{name:16}{found[name]:10.1f}{limit:10.1f}{other:>14}")
    return all(found[name] <= limit for name, limit in LIMITS.items())


if __name__ == "__main__":
    sys.exit(not main())
