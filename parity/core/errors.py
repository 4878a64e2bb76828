"""What can go wrong, in words: every message names the thing, what was expected, and the fix."""

from __future__ import annotations


class ParityError(Exception):
    """Base of every error a user can cause or mend; `exit_code` is the command line's."""

    exit_code = 70


class UsageError(ParityError):
    """The command, an option or a path cannot be used as given."""

    exit_code = 2


class CaseError(UsageError):
    """A case cannot be found, read or used."""


class InputError(UsageError):
    """A batch does not have the shape or dtype that the case states."""


class NotComparableError(ParityError):
    """Nothing to compare: a framework is missing, or nothing ran."""

    exit_code = 3


class RecordError(ParityError):
    """A run record or bundle is unreadable, damaged, or of a newer schema."""

    exit_code = 4


class NotInOrderError(ParityError):
    """A run cannot become a baseline, because checks of it are not in order."""

    exit_code = 1


class StorageError(ParityError):
    """A file could not be written; nothing half-written was left behind."""

    exit_code = 70


class RuntimeFailureError(ParityError):
    """A runtime gave no answer: it raised, or its process ended."""

    exit_code = 1


class RemedyError(ParityError):
    """A remedy cannot be applied: this jax has changed under it."""

    exit_code = 1
