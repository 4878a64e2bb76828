"""What a terminal shows of a cell while it is made: nothing, one line, or the whole output of its processes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from parity.core.progress import WATCHED, Line, State, read_state


class Screen:
    """Shows nothing."""

    verbose = False
    """Whether processes are to say more than their progress and their summary."""

    def begin(self, text: str) -> None:
        """Show what is done from now on."""

    def output(self, text: str) -> None:
        """Take the output of a process, as it comes."""

    def poll(self) -> None:
        """Bring up to date what is shown; called several times a second."""

    def say(self, text: str) -> None:
        """Show a line that stays."""

    def close(self) -> None:
        """Show nothing any more."""


class Everything(Screen):
    """Shows the output of all processes."""

    verbose = True

    def output(self, text: str) -> None:
        """Show it."""
        print(text, end="", flush=True)


class OneLine(Screen):
    """Shows the progress of a process in one line, which that process writes into a file.

    Args:
        stream: where to show it.
    """

    def __init__(self, stream: Any) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="parity-progress-")
        self._file = Path(self._folder.name) / "state.json"
        self._stream = stream
        # Without a thread: a process with several must not fork.
        self._line = Line(stream, lambda: read_state(self._file), threaded=False)
        os.environ[WATCHED] = str(self._file)

    def begin(self, text: str) -> None:
        """Show it, until the process says more."""
        self._file.unlink(missing_ok=True)
        self._line.show(State(text))
        self._line.open()

    def poll(self) -> None:
        """Draw the line again."""
        self._line.tick()

    def say(self, text: str) -> None:
        """Show a line in the place of the progress."""
        self._line.hide()
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Remove the line."""
        self._line.close()
        os.environ.pop(WATCHED, None)
        self._folder.cleanup()
