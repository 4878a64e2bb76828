"""What a long command does now: one line that is redrawn in a terminal, and one line a minute where there is none."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

Report = Callable[[str, int, int], None]
"""Called with a short text, the number of steps done, and that of all steps."""

WATCHED = "PARITY_PROGRESS"
"""The environment variable with the file into which a process writes its state, for the one that started it."""
EVERY_S = 60.0
"""Seconds between two lines where there is no terminal."""
_TICK_S = 0.5


def silent(text: str, done: int, total: int) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class State:
    """How far a command has come.

    Attributes:
        text: what is asked or done now.
        done: the number of items that are done.
        planned: the number of all items; 0 while that is unknown.
        left_s: the seconds that the rest will take; None where nothing is known.
        at_least: whether the rest will take longer than that, because nothing is known about some items.
    """

    text: str
    done: int = 0
    planned: int = 0
    left_s: float | None = None
    at_least: bool = False

    @property
    def count(self) -> str:
        """How many items are done, in words."""
        return f"{self.done:,} of {self.planned:,}" if self.planned else ""

    @property
    def left(self) -> str:
        """The estimate, in words."""
        if self.left_s is None or self.left_s < 1:
            return ""
        return f"{'at least' if self.at_least else 'about'} {_clock(self.left_s)} left"


class Estimate:
    """The seconds that planned items will take, from the items of the same kind that are done.

    The first item of a kind does not count: it pays for what its successors share, such as a compiled program.

    Args:
        kinds: the kind of each planned item.
    """

    def __init__(self, kinds: Iterable[Hashable]) -> None:
        self._open = Counter(kinds)
        self._seconds: defaultdict[Hashable, list[float]] = defaultdict(list)

    def expect(self, kind: Hashable, count: int) -> None:
        """Plan further items of a kind."""
        self._open[kind] += count

    def finished(self, kind: Hashable, seconds: float) -> None:
        """Note that an item of that kind took so many seconds."""
        self._open[kind] -= 1
        self._seconds[kind].append(seconds)

    def left(self) -> tuple[float | None, bool]:
        """Return the seconds that the rest takes, and whether it takes longer because some kinds are not known yet.

        None where less than a quarter of the items that are left are of known kinds.
        """
        rest = {kind: count for kind, count in self._open.items() if count > 0}
        known = {kind: count for kind, count in rest.items() if len(self._seconds[kind]) > 1}
        if not known or 4 * sum(known.values()) < sum(rest.values()):
            return None, False
        mean = {kind: sum(self._seconds[kind][1:]) / (len(self._seconds[kind]) - 1) for kind in known}
        return sum(mean[kind] * count for kind, count in known.items()), len(known) < len(rest)


class Line:
    """One line that says what is done now, of how much, for how long, and how long the rest takes.

    A terminal has one line, which is redrawn. Anything else has a line of plain text every `EVERY_S`. Where `WATCHED`
    is set, the state is also written into that file, because the process that set it draws the line.

    Args:
        stream: where to write; its descriptor is duplicated, so that the stream may be redirected meanwhile.
        read: returns the state, where another process writes it; None where `show` is called.
        threaded: whether a thread keeps the line up to date; else `tick` must be called several times a second.
    """

    def __init__(self, stream: TextIO, read: Callable[[], State | None] | None = None, threaded: bool = True) -> None:
        self._stream, self._owned = _duplicate(stream)
        self._read, self._threaded = read, threaded
        self._file = os.environ.pop(WATCHED, None) if read is None else None
        self._state, self._detail = State("starting"), ""
        self._began = self._printed = time.monotonic()
        self._live: Live | None = None
        self._stop: threading.Event | None = None
        self._lock = threading.RLock()
        self._console = _console(self._stream)

    def show(self, state: State) -> None:
        """Show another state from now on."""
        with self._lock:
            self._state, self._detail = state, ""

    def step(self, text: str, done: int, total: int) -> None:
        """Show how far the current item has come; a `Report`."""
        self._detail = f"{text}, {done:,} of {total:,}" if done < total else ""

    def open(self) -> None:
        """Begin to show the line, or go on."""
        with self._lock:
            if self._console is not None and self._live is None:
                self._live = Live(
                    console=self._console, get_renderable=self._drawn, transient=True, auto_refresh=False,
                    redirect_stdout=False, redirect_stderr=False,
                )  # fmt: skip
                self._live.start(refresh=True)
        if self._threaded and self._stop is None:
            self._stop = threading.Event()
            threading.Thread(target=self._run, args=(self._stop,), daemon=True).start()

    def hide(self) -> None:
        """Remove the line from the terminal, so that others may write there; `open` shows it again."""
        with self._lock:
            live, self._live = self._live, None
            if live is not None:
                live.stop()

    def close(self) -> None:
        """Remove the line, and close what was opened for it."""
        if self._stop is not None:
            self._stop.set()
            self._stop = None
        self.hide()
        with self._lock:
            self._write()
            if self._owned and not self._stream.closed:
                self._stream.close()

    def tick(self) -> None:
        """Bring the line up to date."""
        with self._lock:
            if self._read is not None:
                self._state = self._read() or self._state
            self._write()
            if self._live is not None:
                self._live.refresh()
            elif self._console is None and time.monotonic() - self._printed >= EVERY_S:
                self._printed += EVERY_S
                with suppress(OSError, ValueError):  # whoever read it is gone
                    print(self._plain(), file=self._stream, flush=True)

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(_TICK_S):
            self.tick()

    def _plain(self) -> str:
        state, elapsed = self._state, _clock(time.monotonic() - self._began)
        return ", ".join(filter(None, (f"{elapsed}: {self._text()}", state.count, state.left)))

    def _drawn(self) -> Table:
        state = self._state
        parts = (state.count, _clock(time.monotonic() - self._began), state.left)
        grid = Table.grid(expand=True, padding=(0, 2, 0, 0))
        grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for _ in filter(None, parts):
            grid.add_column(no_wrap=True)
        grid.add_row(Text(self._text()), *(Text(part) for part in parts if part))
        return grid

    def _text(self) -> str:
        return self._detail or self._state.text

    def _write(self) -> None:
        if self._file is None:
            return
        new = Path(f"{self._file}.new")
        state = {**asdict(self._state), "text": self._text()}
        with suppress(OSError):  # nobody watches any more
            new.write_text(json.dumps(state), encoding="utf-8")
            new.replace(self._file)


def read_state(path: Path) -> State | None:
    """Return the state that a process wrote into `path`; None where it wrote none."""
    try:
        return State(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


class Bar:
    """A `Line` on standard error for steps that take equally long, from the first step to the last."""

    def __init__(self) -> None:
        self._line: Line | None = None
        self._done, self._since = 0, 0.0

    def __call__(self, text: str, done: int, total: int) -> None:
        """Show `done` of `total` steps."""
        now = time.monotonic()
        if self._line is None:
            self._line, self._estimate = Line(sys.stderr), Estimate(())
            self._estimate.expect("step", total - done)
        else:
            for _ in range(done - self._done):
                self._estimate.finished("step", (now - self._since) / (done - self._done))
        self._done, self._since = done, now
        self._line.show(State(text, done, total, *self._estimate.left()))
        self._line.open()
        if done >= total:
            self.close()

    def close(self) -> None:
        """Remove the line."""
        if self._line is not None:
            self._line.close()
            self._line = None


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))


def _duplicate(stream: TextIO) -> tuple[TextIO, bool]:
    """Return a stream of the same file with a descriptor of its own, and True; the stream itself where it has none."""
    try:
        return os.fdopen(os.dup(stream.fileno()), "w", encoding=stream.encoding, errors="replace"), True
    except (AttributeError, OSError, ValueError):
        return stream, False


class _Console(Console):
    """A console that never hides the cursor: a process that is killed could not show it again."""

    def show_cursor(self, show: bool = True) -> bool:
        return False


def _console(stream: TextIO) -> Console | None:
    """Return a console that can redraw a line; None where there is no terminal, whatever variables say about colour."""
    try:
        if not stream.isatty() or os.environ.get("TERM", "").lower() in ("", "dumb", "unknown"):
            return None
    except (AttributeError, ValueError):
        return None
    settings: dict[str, Any] = {"force_terminal": True, "color_system": None, "highlight": False, "markup": False}
    return _Console(file=stream, **settings)
