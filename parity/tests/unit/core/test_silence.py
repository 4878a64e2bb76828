"""How long a process may be silent, and what is read out of the stacks that it leaves."""

from itertools import pairwise

import pytest

from parity.core import silence
from parity.core.errors import UsageError

# The limit


def test_the_limit_is_that_of_the_environment(monkeypatch):
    monkeypatch.delenv(silence.VARIABLE, raising=False)
    assert silence.limit_s() == silence.DEFAULT_S
    monkeypatch.setenv(silence.VARIABLE, "600")
    assert silence.limit_s(silence.RUN) == 600 * silence.RUN


@pytest.mark.parametrize("text", ["0", "-1", "two minutes", "nan", "inf"])
def test_a_limit_that_is_no_number_of_seconds_is_refused(monkeypatch, text):
    monkeypatch.setenv(silence.VARIABLE, text)
    with pytest.raises(UsageError, match=silence.VARIABLE):
        silence.limit_s()


def test_of_processes_that_wait_for_each_other_the_innermost_is_ended_first():
    """Its look may come later by one interval, its end by what it may take to print where it was."""
    limits = [silence.limit_s(multiple) for multiple in (silence.ANSWER, silence.RUN, silence.CELL, silence.TOX)]
    for inner, outer in pairwise(limits):
        assert inner * (1 + 1 / silence.LOOKS) + silence.LAST_WORDS_S < outer


# What faulthandler prints

OTHER = """Thread 0x00007f1 (most recent call first):
  File "/lib/threading.py", line 1 in wait
"""
CURRENT = """Current thread 0x00007f2 [python] (most recent call first):
  File "/home/someone/a b.py", line 3 in inner
  File "/home/someone/b.py", line 4 in outer
  File "<frozen runpy>", line 88 in _run_code
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("Fatal Python error: Aborted\n\n<no Python frame>\n", ""),
        (f"before\nFatal Python error: Aborted\n\n{OTHER}\n{CURRENT}\nExtension modules: x", True),
        (f"Fatal Python error: Aborted\n\n{CURRENT}\n{OTHER}", True),
        (OTHER, "wait (threading.py:1)"),
    ],
)
def test_where_a_process_was_is_told_by_the_innermost_frames(text, expected):
    frames = "inner (a b.py:3), outer (b.py:4), _run_code (<frozen runpy>:88)"
    assert silence.where(text) == (frames if expected is True else expected)


def test_a_long_stack_is_cut_between_frames():
    lines = "".join(f'  File "f.py", line {n} in {"g" * 30}\n' for n in range(50))
    found = silence.where(f"Current thread 0x1 (most recent call first):\n{lines}")
    assert 0 < len(found) <= silence.LONGEST
    assert found.endswith(")")


def test_the_last_words_are_three_lines_or_the_abort():
    assert silence.last_words("a\nb\nc\nd\n") == "b / c / d"
    assert silence.last_words("a\n", 1) == "a"
    assert silence.last_words("") == ""
    aborted = silence.last_words(f"x\nFatal Python error: Aborted\n\n{CURRENT}Extension modules: y")
    assert aborted.startswith("x / Fatal Python error: Aborted in inner (a b.py:3), ")
    assert "Extension" not in aborted
