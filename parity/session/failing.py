"""The causes for which items failed: each is shown once, with the items that failed of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from parity.core import failures
from parity.core.errors import ParityError
from parity.core.tracebacks import line_of_user
from parity.report import terminal


@dataclass
class Cause:
    """Why items failed. pytest shows it as text when the run has ended, and all of its items are known.

    Attributes:
        key: equal for items of one cause.
        text: one line.
        repeat: the command that repeats the first item.
        verbose: whether all items are listed.
        items: names of tests with their parameters.
    """

    key: Hashable
    text: str
    repeat: str
    verbose: bool
    items: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(terminal.cause(self.text, self.items, self.repeat, self.verbose))

    def toterminal(self, writer: Any) -> None:
        """Write the text, as pytest asks of what is no string."""
        writer.line(str(self))


class Causes:
    """The causes of a run, in the order in which they were met."""

    def __init__(self) -> None:
        self._found: dict[Hashable, Cause] = {}

    def __iter__(self) -> Iterator[Cause]:
        return iter(self._found.values())

    def add(self, error: BaseException, item: str, repeat: str, verbose: bool) -> tuple[Cause, bool]:
        """Add an item that failed with `error`; return its cause, and whether an item before it has shown it."""
        key, text = _key(error), message(error)
        shown = key in self._found
        cause = self._found.setdefault(key, Cause(key, text, repeat, verbose))
        if item not in cause.items:
            cause.items.append(item)
        if cause.text != text:
            cause.text = _common(cause.text, text)
        return cause, shown


def message(error: BaseException) -> str:
    """Return the message of an error in one line; of one that is not of this package, with its place."""
    if isinstance(error, ParityError):
        text = str(error)
        return text if text and "\n" not in text else failures.of(error).cause
    where = line_of_user(error)
    return f"{failures.of(error).cause}{where and f', at {where}'}"


def _key(error: BaseException) -> Hashable:
    if isinstance(error, ParityError) and error.alike:
        return error.alike
    failure = getattr(error, "failure", None)
    return (failure.kind, failure.cause) if isinstance(failure, failures.Failure) else message(error)


def _common(one: str, other: str) -> str:
    """Return the end that two messages have in common, from the beginning of a sentence; the first if there is none.

    They say of one cause where it was met: `TensorFlow failed on cpu:0: ...`.
    """
    while one and not other.endswith(one):
        _, colon, rest = one.partition(": ")
        one = rest if colon else ""
    return one or other
