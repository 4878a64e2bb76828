"""Links of the published pages lead somewhere, and the commands that templates name are commands."""

import html
import re
import shlex
from urllib.parse import unquote, urlsplit

import pytest

from parity.cli import main as cli
from parity.cli import study
from parity.tests.support.documents import tracked
from parity.tests.support.paths import PACKAGE, ROOT

TEMPLATES = [*(PACKAGE / "report").rglob("*.j2"), PACKAGE / "report" / "advice.py", PACKAGE / "report" / "markdown.py"]
LINK = re.compile(r"""<(?:a|img)\s[^>]*?(?:href|src)="([^"#]*)[^"]*"|\]\(([^)#\s]+)[^)]*\)""")
CODE = re.compile(r"(?:<code>|`)parity ([a-z][^<`{]*)(?:</code>|`)|^parity ([a-z][^#|<`\n]*)", re.MULTILINE)
BLOCK = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


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
    """The commands in a text: in code within a line, and at the beginning of lines in blocks of code."""
    inline = [one for one, _ in CODE.findall(BLOCK.sub("", text)) if one]
    blocks = [other for block in BLOCK.findall(text) for _, other in CODE.findall(block) if other]
    return {" ".join(found.split()) for found in (*inline, *blocks)}


def parse(command):
    """Parse the arguments of a command; exit if it does not accept them."""
    name, *rest = shlex.split(command)
    if not rest:
        assert name in {known for names in cli.COMMANDS.values() for known in names}, command
        return
    arguments, further = cli.parser().parse_known_args([name, *rest])
    if name == "study":
        study.parse(arguments.study, arguments.options)
    assert not further or name in cli.ACCEPTS_FURTHER, command


def test_every_command_that_a_template_names_is_one():
    named = {command for path in TEMPLATES for command in commands(path.read_text(encoding="utf-8"))}
    assert len(named) > 5
    for command in named:
        parse(command)


@pytest.mark.parametrize(
    "text",
    [
        "<code>parity baseline RUN</code>",
        "`parity guess`",
        "```\nparity report --loud\n```",
        "`parity study\nfaults --loud`",
    ],
)
def test_a_planted_command_is_found(text):
    [command] = commands(text)
    with pytest.raises((SystemExit, AssertionError)):
        parse(command)


def test_a_planted_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        '[a](b/c.html#x) <a class="y" href="d%20e">f</a> <a href="#g">h</a> [i](https://j.k)', encoding="utf-8"
    )
    assert relative(page) == {tmp_path.resolve() / "b/c.html", tmp_path.resolve() / "d e"}
