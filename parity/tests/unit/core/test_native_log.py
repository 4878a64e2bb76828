"""Standard error without what native code logs, and with everything else; all of it after a crash."""

import os
import subprocess
import sys

import pytest

from parity.core import native_log
from parity.tests.support import samples

BEGIN = """
import logging, os, sys
from pathlib import Path
from parity.core import native_log
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

with native_log.kept(Path(sys.argv[1]) if sys.argv[1:] else None):
"""
KEPT = {"ERROR:tensorflow:a Python error", "of parity"}
NATIVE = "E0000 00:00:1795747037.057908    6228 x.cc:1] a native error"


def environment():
    return {name: value for name, value in os.environ.items() if name != native_log.WANTED}


def lines(block, *arguments, **more):
    """The exit code and the lines of standard error of a process that does `block`, where frameworks log."""
    done = samples.python("-c", BEGIN + block, *arguments, env={**environment(), **more})
    return done.returncode, done.stderr.splitlines()


def test_what_native_code_and_loggers_write_is_dropped_and_what_python_writes_passes():
    code, found = lines("    work()")
    assert (code, set(found)) == (0, KEPT)


def test_what_is_dropped_is_in_the_log_beside_the_record(tmp_path):
    code, found = lines("    work()", tmp_path)
    assert (code, set(found)) == (0, KEPT)
    log = (tmp_path / native_log.LOG).read_text().splitlines()
    assert (len(log), NATIVE in log) == (6, True)


@pytest.mark.parametrize(("value", "count"), [("0", 8), ("1", 8), ("2", 2), ("3", 2)])
def test_nothing_is_dropped_where_the_variable_asks_for_log_lines(value, count):
    code, found = lines("    work()", TF_CPP_MIN_LOG_LEVEL=value)
    assert (code, len(found)) == (0, count)


def test_an_error_of_parity_is_shown_without_what_was_logged():
    code, found = lines("    work()\n    raise UsageError('the reason')")
    assert code == 1
    assert set(found) > KEPT
    assert NATIVE not in found
    assert found[-1].endswith("UsageError: the reason")


def test_an_unexpected_error_is_shown_with_what_was_logged_last():
    code, found = lines("    work()\n    raise ValueError('the reason')")
    assert (code, NATIVE in found) == (1, True)
    assert found[-1] == "ValueError: the reason"


@pytest.mark.parametrize(("end", "expected"), [("os.abort()", -6), ("os._exit(3)", 3)])
@pytest.mark.parametrize("arguments", [(), (".",)], ids=["nowhere", "log"])
def test_what_a_crash_writes_last_is_shown(end, expected, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, found = lines(f"    work()\n    os.write(2, b'Fatal: the last words')\n    {end}", *arguments)
    assert code == expected
    assert set(found) > {*KEPT, NATIVE, "Fatal: the last words"}


def test_a_crash_shows_no_more_than_its_last_lines():
    _, found = lines("    os.write(2, b''.join(b'%d\\n' % n for n in range(9999)))\n    os.abort()")
    assert [line for line in found if line] == [str(n) for n in range(9999 - native_log.LAST, 9999)]


def test_the_frameworks_may_go_on_logging_after_the_block():
    code, found = lines("    work()\nlogging.getLogger('tensorflow').error('later')\nprint('end', file=sys.stderr)")
    assert code == 0
    assert set(found) == {*KEPT, "ERROR:tensorflow:later", "end"}


def test_a_log_that_standard_error_leads_to_is_left_as_it_is(tmp_path):
    log = tmp_path / native_log.LOG
    log.write_text("before\n")
    with log.open("a") as stream:
        code = f"{BEGIN}    work()"
        subprocess.run([sys.executable, "-c", code, tmp_path], stderr=stream, env=environment(), check=True)
    assert log.read_text().startswith("before\n")
    assert NATIVE in log.read_text().splitlines()


def test_a_closed_standard_error_is_left_closed():
    done = samples.python("-c", f"import os; os.close(2)\n{BEGIN}    print('done')")
    assert (done.returncode, done.stdout) == (0, "done\n")
