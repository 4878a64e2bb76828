"""What is said to be there is there: the links of the published pages, and the commands that pages name."""

import html
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from parity import report
from parity.cli import main as cli
from parity.report import facts
from parity.tests.support.documents import tracked
from parity.tests.support.paths import ROOT

TEMPLATES = [
    *Path(report.__file__).parent.rglob("*.j2"),
    Path(facts.__file__),
    Path(report.__file__).with_name("markdown.py"),
]
LINK = re.compile(r"""<(?:a|img)\s[^>]*?(?:href|src)="([^"#]*)[^"]*"|\]\(([^)#\s]+)[^)]*\)""")
COMMAND = re.compile(r"(?:<code>|`|^)parity ([a-z]+(?: [^<`#\n]*)?)", re.MULTILINE)


def relative(path):
    """Where the relative links of a page lead."""
    text = re.sub(r"<script.*?</script>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = {html.unescape(one or other) for one, other in LINK.findall(text)}
    return {(path.parent / unquote(link)).resolve() for link in found if link and not urlsplit(link).scheme}


def test_published_pages_link_to_published_files():
    known = tracked()
    published = [path for path in (ROOT / "reports").rglob("*.html") if known is None or path.resolve() in known]
    dead = {
        f"{path.relative_to(ROOT)}: {link}"
        for path in published
        for link in relative(path)
        if not (link.exists() if known is None else link in known)
    }
    assert dead == set()


def commands(text):
    return [found.strip() for found in COMMAND.findall(text)]


def test_every_command_that_a_page_names_is_one():
    named = {command for path in TEMPLATES for command in commands(path.read_text(encoding="utf-8"))}
    assert len(named) > 5
    for command in named:
        cli.parser().parse_args(command.split())


def test_a_planted_command_and_a_planted_link_are_found(tmp_path):
    [command] = commands("<code>parity baseline RUN</code>")
    with pytest.raises(SystemExit):
        cli.parser().parse_args(command.split())
    page = tmp_path / "page.md"
    page.write_text(
        '[a](b/c.html#x) <a class="y" href="d%20e">f</a> <a href="#g">h</a> [i](https://j.k)', encoding="utf-8"
    )
    assert relative(page) == {tmp_path.resolve() / "b/c.html", tmp_path.resolve() / "d e"}
