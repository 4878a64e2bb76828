"""Read the Markdown files of the project: code blocks, commands, links, headings and tables."""

import itertools
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt

from parity.tests.support.paths import PACKAGE, ROOT

README = ROOT / "README.md"
CHAPTERS = {path.stem: path for path in sorted((PACKAGE / "docs").glob("*.md"))}
DOCUMENTS = (README, ROOT / "CHANGELOG.md", ROOT / "reports" / "README.md", *CHAPTERS.values())


@dataclass(frozen=True)
class Block:
    """A fenced code block; `flags` are the words of the fence after the language."""

    language: str
    flags: tuple[str, ...]
    text: str


class Document:
    """A Markdown file, parsed with tables.

    Args:
        path: the file, UTF-8.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))
        self.inline = [child for token in self.tokens for child in token.children or ()]

    def blocks(self, language: str) -> list[Block]:
        """Return the code blocks of one language, in order."""
        fences = [(token.info.split() or [""], token.content) for token in self.tokens if token.type == "fence"]
        return [Block(words[0], tuple(words[1:]), text) for words, text in fences if words[0] == language]

    def languages(self) -> set[str]:
        """Return the languages of all code blocks."""
        return {(token.info.split() or [""])[0] for token in self.tokens if token.type == "fence"}

    def code(self) -> list[str]:
        """Return the inline code, each on one line."""
        return [" ".join(child.content.split()) for child in self.inline if child.type == "code_inline"]

    def links(self) -> list[str]:
        """Return the targets of links and images."""
        targets = [child.attrGet("href") or child.attrGet("src") for child in self.inline]
        return [str(target) for target in targets if target]

    def anchors(self) -> set[str]:
        """Return the anchors of the headings, as GitHub makes them."""
        return {_slug(title) for title in self._titles().values()}

    def table(self, heading: str) -> list[list[str]]:
        """Return the rows of the first table after a heading, without its header; cells are Markdown source.

        Raises:
            KeyError: there is no such heading, or no table after it.
        """
        starts = [index for index, title in self._titles().items() if title == heading]
        if not starts:
            raise KeyError(f"{self.path.name} has no heading {heading!r}")
        rows: list[list[str]] = []
        for token in self.tokens[starts[0] :]:
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "inline" and rows:
                rows[-1].append(token.content)
            elif token.type == "table_close":
                return rows[1:]
        raise KeyError(f"{self.path.name} has no table after {heading!r}")

    def _titles(self) -> dict[int, str]:
        pairs = itertools.pairwise(self.tokens)
        return {index: text.content for index, (token, text) in enumerate(pairs) if token.type == "heading_open"}


@cache
def tracked() -> frozenset[Path] | None:
    """Return the files that git tracks and their folders, or None outside a checkout."""
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    files = [(ROOT / name).resolve() for name in done.stdout.split("\0") if name]
    return frozenset(path for file in files for path in (file, *file.parents))


def _slug(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
