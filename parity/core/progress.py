"""Progress, reported to a callback: none, or a bar in the terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Report = Callable[[str, int, int], None]
"""Called with a short text, the number of steps done, and that of all steps."""


def silent(text: str, done: int, total: int) -> None:
    """Show nothing."""


class Bar:
    """Show steps in a bar on standard error, from the first step to the last."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def __call__(self, text: str, done: int, total: int) -> None:
        """Show `done` of `total` steps."""
        if self._progress is None:
            columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn())
            console = Console(stderr=True)
            self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
            self._task = self._progress.add_task(text, total=total)
            self._progress.start()
        self._progress.update(self._task, description=text, completed=done)
        if done >= total:
            self.close()

    def close(self) -> None:
        """Remove the bar."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
