"""Text from records and paths, made safe to show: names are data, whoever wrote them."""

from __future__ import annotations

import re
from collections.abc import Sequence

LONGEST = 120
"""Characters of a name that are shown."""


def one_line(text: str, longest: int = LONGEST) -> str:
    r"""Return `text` as one line of at most `longest` characters that only show themselves.

    Control characters, line ends, bidirectional controls, zero-width characters and half surrogates are shown as
    escapes (`\x1b`, `\u202e`); a long text loses its middle. What a continuous integration service takes for a
    command, `::` and `##[`, is escaped too, because it is looked for in every line that is printed.
    """
    if len(text) > longest:
        kept = longest // 2 - 10
        text = f"{text[:kept]}…({len(text) - 2 * kept:,} more)…{text[-kept:]}"
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escape(char) for char in text)
        if len(text) > longest:
            text = f"{text[: longest - 1]}…"
    text = text.replace("::", ":\\x3a").replace("##[", "#\\x23[")
    return f"{text[:-1]}\\x3a" if text.endswith(":") else text  # a colon of ours may follow


def plural(n: int, word: str, several: str = "") -> str:
    """Return a count with its noun: `1 check`, `2,190 checks`; `several` is an irregular plural."""
    return f"{n:,} {word if n == 1 else several or f'{word}s'}"


def few(names: Sequence[str], most: int = 3) -> str:
    """Return the first names, and how many more there are: `a, b, c and 4 more`."""
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{rest}"


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def one_stop(text: str) -> str:
    """Return a message that quotes another one with one full stop where that ended with its own; `...` stays."""
    return re.sub(r"(?<=[^\s./])\.\.(?=\s|$)", ".", text)
