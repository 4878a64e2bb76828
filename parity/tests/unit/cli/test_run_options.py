"""The options of `parity run`, as they reach pytest."""

import pytest

from parity.cli import main as cli
from parity.records import LEVELS
from parity.suites import running


@pytest.fixture
def given(monkeypatch):
    """The options that the suites are run with."""
    found = []
    monkeypatch.setattr(running, "run", lambda options: found.extend(options) or 0)
    return found


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_passed_on(given, level):
    assert cli.main(["run", "--out", "out", "--level", level]) == 0
    assert f"--parity-level={level}" in given


def test_without_a_level_none_is_passed_on(given):
    assert cli.main(["run", "--out", "out"]) == 0
    assert not [option for option in given if "level" in option]


def test_a_level_that_does_not_exist_is_refused_with_those_that_do(given, capsys):
    with pytest.raises(SystemExit) as refused:
        cli.main(["run", "--out", "out", "--level", "all"])
    assert refused.value.code == 2
    assert given == []
    message = capsys.readouterr().err
    assert all(level in message for level in LEVELS)
