"""A run with every kind of row, and what holds of any page that is made of it."""

import re
import types
import typing
from html.parser import HTMLParser
from urllib.parse import unquote

from parity import records
from parity.records import Curve, Power, Worst
from parity.report import tables
from parity.tests.support import samples

HOSTILE = "</title></style></svg>\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}"
NAMESPACES = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def full_run(text="plain", **changes):
    """A run with every kind of row, `text` in every string."""
    worst = Worst([1, 2], 1.0, float("nan"), 3.0)
    return samples.run(
        cell=text,
        environment={
            "versions": {"jax": text, "tensorflow": None, text: text},
            "machine": {"cpu": text, "cores": 2, "instruction_sets": [text]},
            "prediction": {"status": text, "failure": text, "evidence": text, "reason": text},
            "installed": {text: text},
            "left_out": [text],
            "writer": {text: [text], "known": {text: None}},
        },
        plan=[of_text(records.PlanItem, text, item=text, level=records.FULL)],
        checks=[
            of_text(
                records.Check,
                text,
                item=f"test_predict[{text}]",
                leaf=f"{text} {size}",
                batch_size=size,
                status=status,
                worst=worst,
            )
            for size, status in enumerate(records.STATUSES)
        ],
        budgets=[of_text(records.BudgetRecord, text)],
        powers=[of_text(Power, text), of_text(Power, text, smallest_relative_error=float("inf"))],
        curves=[
            Curve(text, text, text, text, [1.0, 2.0, 3.0], [1.0, float("nan"), float("inf")]),
            Curve(text, text, f"{text} again", text, [3.0, 4.0], [0.5, 0.25], handover=3.0),
            Curve(text, f"{text} by step", text, text, [3.0, 4.0], [0.5, 250.0], limit=128.0),
        ],
        handover_costs=[of_text(records.HandoverCost, text)],
        timings=[of_text(records.Timing, text, times_ns=[1, 2, 3])],
        footprints=[of_text(records.Footprint, text, threads={text: 1})],
        profiles=[
            of_text(
                records.Profile,
                text,
                item=f"test_predict[{text}]",
                leaf=f"{text} 1",
                shape=[2, 2],
                edges=[1.0, 2.0],
                counts=[4],
                jax_counts=[4],
                map=[[1.0, float("inf")]],
                block=[2, 1],
                failed="",
            ),
            of_text(records.Profile, text, shape=[], edges=[], counts=[], jax_counts=[], map=[], block=[]),
        ],
        remedies=[of_text(records.Remedy, text)],
        programs=[of_text(records.Program, text, operations={text: 1})],
        deprecations=[of_text(records.Deprecation, text)],
        stopped=records.Stopped(records.CRASH, text, text),
        spent_s={text: 1.5},
        **changes,
    )


def of_text(cls, text, **known):
    """An instance of a record's class, `text` in every string and 1.5 or 1 in every number."""
    plain = {str: text, int: 1, float: 1.5, bool: False}
    hints = typing.get_type_hints(cls)
    unions = (types.UnionType, typing.Union)
    first = {n: typing.get_args(h)[0] if typing.get_origin(h) in unions else h for n, h in hints.items()}
    return cls(**{n: plain.get(t) for n, t in first.items()} | known)


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text = set(), [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.text += data


def without_script(html):
    """The page without the one script that is the project's own."""
    script = str(tables.script())
    assert html.count(script) == 1
    return html.replace(script, "")


def assert_self_contained(html):
    html = without_script(html)
    page = Page(html)
    assert not page.tags & {
        "script",
        "link",
        "iframe",
        "object",
        "embed",
        "base",
        "img",
        "image",
        "use",
        "foreignobject",
    }
    names = {name for name, _ in page.attributes}
    assert not [name for name in names if name.startswith("on") or name in ("src", "srcset", "xlink:href")]
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    assert set(re.findall(r"https?://[^\s\"'<>)]*", html)) <= NAMESPACES
    assert "@import" not in html
    assert "url(" not in html
    return page


def assert_links_lead_somewhere(html):
    """Every link inside the page has a target, and no two elements one id."""
    attributes = Page(html.replace(str(tables.script()), "")).attributes
    ids = [value for name, value in attributes if name == "id"]
    links = {unquote(value[1:]) for name, value in attributes if name == "href"}
    assert len(ids) == len(set(ids))
    assert links
    assert links <= set(ids)
