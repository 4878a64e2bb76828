"""One line of progress: redrawn in a terminal, plain and rare anywhere else, and an estimate that is no guess."""

import fcntl
import io
import os
import pty
import re
import struct
import termios

import pytest

from parity.core import progress
from parity.core.progress import Bar, Estimate, Line, State, read_state

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
LONG = State("a question with a name that is longer than the line has room for, on a runtime", 3, 20, 65.0, True)


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    """As a service of continuous integration sets them, where there is no terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv(progress.WATCHED, raising=False)


@pytest.fixture
def terminal():
    """A terminal of 80 columns: a stream, and a function that returns what was written."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.set_blocking(ours, False)

    def written():
        parts = []
        try:
            while part := os.read(ours, 65536):
                parts.append(part)
        except OSError:
            pass
        return b"".join(parts).decode()

    with os.fdopen(theirs, "w") as stream:
        yield stream, written
    os.close(ours)


def test_nothing_is_estimated_before_items_of_the_same_kind_are_done():
    estimate = Estimate(["predict"] * 4)
    assert estimate.left() == (None, False)
    estimate.finished("predict", 30.0)
    assert estimate.left() == (None, False)


def test_the_first_item_of_a_kind_is_left_out_of_the_mean():
    estimate = Estimate(["predict"] * 5)
    for seconds in (30.0, 1.0, 3.0):
        estimate.finished("predict", seconds)
    assert estimate.left() == (4.0, False)


@pytest.mark.parametrize(("unknown", "expected"), [(0, (2.0, False)), (6, (2.0, True)), (7, (None, False))])
def test_kinds_that_are_not_known_make_it_a_lower_bound_and_too_many_of_them_nothing(unknown, expected):
    estimate = Estimate(["predict"] * 4 + ["power"] * unknown)
    for _ in range(2):
        estimate.finished("predict", 1.0)
    assert estimate.left() == expected


def test_a_terminal_has_one_line_that_fits_and_is_removed(terminal):
    stream, written = terminal
    line = Line(stream, threaded=False)
    line.show(LONG)
    line.open()
    line.tick()
    drawn = [re.sub(r"\x1b\[\w*", "", part) for part in re.split(r"[\r\n]+", written())]
    shown = [part for part in drawn if part]
    assert shown
    assert {len(part) for part in shown} <= set(range(81))
    assert all("3 of 20" in part and "at least 0:01:05 left" in part for part in shown)
    line.close()
    assert re.search(r"\x1b\[2K", written())


def test_a_terminal_keeps_its_cursor_because_a_process_that_is_killed_could_not_show_it_again(terminal):
    stream, written = terminal
    line = Line(stream, threaded=False)
    line.open()
    assert "\x1b[?25l" not in written()
    line.close()


@pytest.mark.parametrize("kind", ["pipe", "stream", "dumb terminal"])
def test_anything_else_has_plain_lines_at_their_time(kind, terminal, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    if kind == "dumb terminal":
        monkeypatch.setenv("TERM", "dumb")
    read, write = os.pipe()
    stream = {"pipe": os.fdopen(write, "w"), "stream": io.StringIO(), "dumb terminal": terminal[0]}[kind]
    line = Line(stream, threaded=False)
    line.show(LONG)
    line.open()
    for _ in range(2):
        line.tick()
    line.close()
    os.set_blocking(read, False)
    found = {"pipe": lambda: os.read(read, 65536).decode(), "stream": lambda: stream.getvalue()}
    text = found.get(kind, terminal[1])().replace("\r\n", "\n")
    assert not CONTROL.search(text)
    assert [line.count("3 of 20") for line in text.splitlines()] == [1, 1]
    os.close(read)


def test_nothing_is_printed_before_a_minute():
    stream = io.StringIO()
    line = Line(stream, threaded=False)
    line.open()
    line.tick()
    line.close()
    assert stream.getvalue() == ""


def test_another_process_may_read_the_state_to_its_end(tmp_path, monkeypatch):
    file = tmp_path / "state.json"
    monkeypatch.setenv(progress.WATCHED, str(file))
    line = Line(io.StringIO(), threaded=False)
    assert progress.WATCHED not in os.environ  # processes that this one starts are not watched
    assert read_state(file) is None
    line.step("epoch 1", 3, 9)
    line.tick()
    assert read_state(file).text == "epoch 1, 3 of 9"
    line.show(State("the last", 20, 20))
    line.close()
    assert read_state(file) == State("the last", 20, 20)


def test_a_line_without_a_state_of_its_own_shows_that_of_the_other_process(terminal):
    stream, written = terminal
    states = [None, State("asked elsewhere", 1, 2)]
    line = Line(stream, states.pop, threaded=False)
    line.open()
    line.tick()
    assert "asked elsewhere" in written()
    line.close()


def test_a_bar_ends_with_its_last_step(terminal, monkeypatch):
    stream, written = terminal
    monkeypatch.setattr("sys.stderr", stream)
    bar = Bar()
    for done in range(4):
        bar("step", done, 3)
    assert bar._line is None
    assert written().endswith("\x1b[1A\x1b[2K")
