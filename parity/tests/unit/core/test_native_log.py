"""Standard error without what the frameworks log, and with everything else."""

import os

import pytest

from parity.core import native_log
from parity.tests.support import samples

BEGIN = """
import logging, os, sys
from parity.cli import quiet
from parity.core.errors import UsageError

NATIVE = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n"
    b"I0000 00:00:1795747037.057908    6228 port.cc:153] oneDNN custom operations are on.\\n"
    b"2026-01-02 03:04:05.678901: W tensorflow/core/util/port.cc:113] a warning of an older TensorFlow\\n"
)

def work():
    logging.basicConfig()
    os.write(2, NATIVE)
    logging.getLogger("absl").warning("of absl's logger")
    logging.getLogger("tensorflow").warning("of TensorFlow's logger")
    os.write(2, b"E0000 00:00:1795747037.057908    6228 x.cc:1] a native error\\n")
    logging.getLogger("tensorflow").error("a Python error")
    print("of parity", file=sys.stderr)

with quiet.frameworks():
"""
KEPT = {"E0000 00:00:1795747037.057908    6228 x.cc:1] a native error", "ERROR:tensorflow:a Python error", "of parity"}


def lines(block, **more):
    """The exit code and the lines of standard error of a process that does `block`, where frameworks log."""
    environment = {name: value for name, value in os.environ.items() if name != native_log.WANTED}
    done = samples.python("-c", BEGIN + block, env={**environment, **more})
    return done.returncode, done.stderr.splitlines()


def test_log_lines_below_an_error_are_dropped_and_others_pass():
    code, found = lines("    work()")
    assert (code, set(found)) == (0, KEPT)


def test_nothing_is_dropped_where_the_variable_is_set():
    code, found = lines("    work()", TF_CPP_MIN_LOG_LEVEL="0")
    assert (code, len(found)) == (0, 3 + 2 + 3)


def test_an_error_in_the_block_is_shown_whole_and_last():
    code, found = lines("    work()\n    raise UsageError('the reason')")
    assert code == 1
    assert set(found) > KEPT
    assert found[-1].endswith("UsageError: the reason")


@pytest.mark.parametrize(("end", "expected"), [("os.abort()", -6), ("os._exit(3)", 3)])
def test_what_a_crash_writes_last_is_shown(end, expected):
    code, found = lines(f"    work()\n    os.write(2, b'Fatal: the last words')\n    {end}")
    assert code == expected
    assert set(found) == {*KEPT, "Fatal: the last words"}


def test_the_frameworks_may_go_on_logging_after_the_block():
    code, found = lines("    work()\nlogging.getLogger('tensorflow').error('later')\nprint('end', file=sys.stderr)")
    assert code == 0
    assert set(found) == {*KEPT, "ERROR:tensorflow:later", "end"}


def test_a_closed_standard_error_is_left_closed():
    done = samples.python("-c", f"import os; os.close(2)\n{BEGIN}    print('done')")
    assert (done.returncode, done.stdout) == (0, "done\n")
