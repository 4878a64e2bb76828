"""The errors that a user can cause or correct.

Every message says what is wrong, what was expected, and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from parity.core.text import one_stop

if TYPE_CHECKING:
    from parity.core.failures import Failure


class ParityError(Exception):
    """The base of all errors of this package.

    Attributes:
        exit_code: that of a command that it ends.
        alike: what the errors of several plan items with one cause have in common; empty where there is no such thing.
    """

    exit_code = 70
    alike = ""

    def __init__(self, message: str = "") -> None:
        super().__init__(one_stop(message))


class UsageError(ParityError):
    """The command, an option or a path cannot be used as given."""

    exit_code = 2


class CaseError(UsageError):
    """A case cannot be found, read or used."""


class InputError(UsageError):
    """A batch does not have the shape or dtype that the case states."""


class NotComparableError(ParityError):
    """There is nothing to compare: a framework is missing, or nothing ran."""

    exit_code = 3


class RecordError(ParityError):
    """A run record or bundle is unreadable, damaged, or of a newer schema."""

    exit_code = 4


class NotInOrderError(ParityError):
    """A run cannot become a baseline, because some of its checks are not in order."""

    exit_code = 1


class StorageError(ParityError):
    """A file could not be written; no incomplete file was left behind."""


class RuntimeFailureError(ParityError):
    """A runtime gave no answer: it raised, or its process ended.

    Attributes:
        failure: the class and the cause, where an error of a framework was taken for them; see `parity.compat.causes`.
        details: the full text of that error, with its stack, for a log.
    """

    exit_code = 1
    failure: Failure | None = None
    details = ""


class RemedyError(ParityError):
    """A remedy cannot be applied, because this jax is another than those for which it was written."""

    exit_code = 1


class PanelError(ParityError):
    """A panel of a report failed; the page was written, with a line about it in place of the panel."""

    exit_code = 70
