"""An interrupt where Python knows no line: pytest cannot show it, and would end in an internal error."""

import pytest

pytest_plugins = ["pytester"]

STOPPED = """
def stop():
    raise KeyboardInterrupt

stop.__code__ = stop.__code__.replace(co_linetable=b"")  # as in the middle of `with`, where a signal may arrive

def test_stopped():
    stop()
"""
REMEMBERED = """
from parity.session import interrupts

def pytest_collection_finish(session):
    interrupts.remember(session.config)
"""


@pytest.mark.parametrize(("conftest", "code"), [("", None), (REMEMBERED, pytest.ExitCode.INTERRUPTED)])
def test_an_interrupt_without_a_line_ends_as_an_interrupt(pytester, conftest, code):
    """Without parity's part the exit code is not pytest's for an interrupt: the defect is real."""
    pytester.makepyfile(STOPPED)
    pytester.makeconftest(conftest)
    found = pytester.runpytest_subprocess("-p", "no:cacheprovider").ret
    assert found == code if code is not None else found != pytest.ExitCode.INTERRUPTED
