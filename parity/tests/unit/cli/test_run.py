"""The options of `parity run`, as they reach pytest."""

import pytest

from parity.records import LEVELS
from parity.suites import running
from parity.tests.support import samples


@pytest.fixture
def given(monkeypatch):
    """The options that the suites are run with."""
    found = []
    monkeypatch.setattr(running, "run", lambda options: found.extend(options) or 0)
    return found


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_passed_on(given, level, tmp_path):
    assert samples.inside("run", "--out", "out", "--level", level, cwd=tmp_path).returncode == 0
    assert f"--parity-level={level}" in given


def test_without_a_level_none_is_passed_on(given, tmp_path):
    assert samples.inside("run", "--out", "out", cwd=tmp_path).returncode == 0
    assert not [option for option in given if "level" in option]


def test_a_level_that_does_not_exist_is_refused_with_those_that_do(given, tmp_path):
    done = samples.inside("run", "--out", "out", "--level", "all", cwd=tmp_path)
    assert done.returncode == 2
    assert given == []
    assert all(level in done.stdout for level in LEVELS)
