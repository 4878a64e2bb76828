"""Deprecation warnings of jax, tensorflow and what stands on them: tomorrow's failures, said today."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePath

from parity.core.failures import headline
from parity.records import Deprecation

CATEGORIES = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
LOGGERS = ("tensorflow", "absl")
"""TensorFlow logs that something is deprecated, and gives no Python warning."""

_NAMED = re.compile(r"\b(jax|jaxlib|flax|optax|tensorflow|tf|keras)\b")
_PACKAGES = {"jaxlib": "jax", "tf": "tensorflow"}
_WHERE = re.compile(r"^From \S+:\d+: ")


def of(text: str, filename: str) -> Deprecation:
    """The deprecation that a warning's text speaks of; its package is the first one named in it, or the file's."""
    named = _NAMED.search(text)
    name = named[1] if named else _package(filename)
    return Deprecation(_PACKAGES.get(name, name), headline(_WHERE.sub("", text)))


def _package(filename: str) -> str:
    """The package whose file that is: the folder or file below `site-packages`."""
    parts = PurePath(filename).parts
    below = parts[parts.index("site-packages") + 1 :] if "site-packages" in parts else parts[-1:]
    return below[0].removesuffix(".py") if below else "unknown"


def of_warning(warning: warnings.WarningMessage) -> Deprecation | None:
    """The deprecation that a Python warning speaks of; None if of none."""
    return of(str(warning.message), warning.filename) if issubclass(warning.category, CATEGORIES) else None


class Listener(logging.Handler):
    """Gives `heard` what the frameworks' loggers say of deprecations, until it is removed by `stop`."""

    def __init__(self, heard: Callable[[Deprecation], None]) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard
        for name in LOGGERS:
            logging.getLogger(name).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take what a logger says."""
        text = record.getMessage()
        if "deprecated" in text:
            self._heard(of(text, record.pathname))

    def stop(self) -> None:
        """Listen no more."""
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(self)


@contextmanager
def listening(heard: Callable[[Deprecation], None]) -> Iterator[None]:
    """Give `heard` every deprecation that is warned of or logged meanwhile."""
    listener = Listener(heard)
    with warnings.catch_warnings(record=True) as caught:
        for category in CATEGORIES:
            warnings.simplefilter("always", category)
        try:
            yield
        finally:
            listener.stop()
            for found in filter(None, map(of_warning, caught)):
                heard(found)
