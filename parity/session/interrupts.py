"""Ctrl-C that Python loses: it is remembered, and stops the run before the next test."""

from __future__ import annotations

import signal
from typing import Any

import pytest

_SEEN = pytest.StashKey[bool]()


def remember(config: pytest.Config) -> None:
    """Remember Ctrl-C: a KeyboardInterrupt that meets jax's callback of the garbage collector is lost."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        return

    def interrupt(number: int, frame: Any) -> None:
        config.stash[_SEEN] = True
        signal.default_int_handler(number, frame)

    def restore() -> None:
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, interrupt)
    config.add_cleanup(restore)
    config.pluginmanager.register(_Shown())


def seen(config: pytest.Config) -> bool:
    """Return whether there was an interrupt."""
    return config.stash.get(_SEEN, False)


class _Shown:
    """Lets pytest show an interrupt that met code without a line number, as `with` has: pytest raises TypeError."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Leave out the entries of the traceback that have no line."""
        excinfo.traceback = excinfo.traceback.filter(_has_line)


def _has_line(entry: Any) -> bool:
    try:
        return entry.lineno is not None
    except TypeError:  # pytest 9 subtracts 1 from None
        return False
