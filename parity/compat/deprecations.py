"""Deprecation warnings of jax, tensorflow and the packages that use them: what fails in a later release."""

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
"""The loggers in which TensorFlow reports what is deprecated, without a Python warning."""

_NAMED = re.compile(r"\b(jax|jaxlib|flax|optax|tensorflow|tf|keras)\b")
_PACKAGES = {"jaxlib": "jax", "tf": "tensorflow"}
_WHERE = re.compile(r"^From \S+:\d+: ")


def of(text: str, filename: str) -> Deprecation:
    """Return the deprecation in a warning's text; its package is the first one named in the text, or the file's."""
    named = _NAMED.search(text)
    name = named[1] if named else _package(filename)
    return Deprecation(_PACKAGES.get(name, name), headline(_WHERE.sub("", text)))


def _package(filename: str) -> str:
    """Return the package of a file: the folder or file below `site-packages`."""
    parts = PurePath(filename).parts
    below = parts[parts.index("site-packages") + 1 :] if "site-packages" in parts else parts[-1:]
    return below[0].removesuffix(".py") if below else "unknown"


def of_warning(warning: warnings.WarningMessage) -> Deprecation | None:
    """Return the deprecation in a Python warning; None if it is a warning of another kind."""
    return of(str(warning.message), warning.filename) if issubclass(warning.category, CATEGORIES) else None


class LogCollector(logging.Handler):
    """Pass the deprecations in the frameworks' logs to `report`, until `stop`."""

    def __init__(self, report: Callable[[Deprecation], None]) -> None:
        super().__init__(logging.WARNING)
        self._report = report
        for name in LOGGERS:
            logging.getLogger(name).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Report a record that speaks of a deprecation."""
        text = record.getMessage()
        if "deprecated" in text:
            self._report(of(text, record.pathname))

    def stop(self) -> None:
        """Remove this handler from the loggers."""
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(self)


@contextmanager
def collecting(report: Callable[[Deprecation], None]) -> Iterator[None]:
    """Pass every deprecation that is warned of or logged within the block to `report`."""
    collector = LogCollector(report)
    with warnings.catch_warnings(record=True) as caught:
        for category in CATEGORIES:
            warnings.simplefilter("always", category)
        try:
            yield
        finally:
            collector.stop()
            for found in filter(None, map(of_warning, caught)):
                report(found)
