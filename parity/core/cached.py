"""A value that is made once, when it is first read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Cached(Generic[T]):
    """A value that is made when it is first read; a failure is kept as well, and raised again by each reading."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: list[T] = []
        self._failure: Exception | None = None

    def get(self) -> T:
        """Return the value.

        Raises:
            Exception: it cannot be made.
        """
        if self._failure is not None:
            raise self._failure.with_traceback(None)  # or the traceback would grow each time
        if not self._made:
            try:
                self._made.append(self._make())
            except Exception as error:
                self._failure = error
                raise
        return self._made[0]
