"""Rows of an atlas, of every kind, and what is to be seen of its page."""

from html.parser import HTMLParser

from parity.records import atlas, cells
from parity.tests.support import samples

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
