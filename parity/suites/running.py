"""Run the suites with pytest, apart from any pytest configuration of the user's."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

from parity.core.errors import UsageError

PYTEST_TO_EXIT = {0: 0, 1: 1, 2: 130, 3: 70, 4: 2, 5: 3}
"""The exit code of parity for each of pytest; 5 is "no tests collected", which is not comparable."""


def run(options: list[str]) -> int:
    """Run the suites and return the exit code.

    Unless an option says how much pytest shows, it shows failures alone: the plugin shows the progress and the summary.

    Args:
        options: of pytest, such as `--parity-out=DIR` or `-k predict`.

    Raises:
        UsageError: pytest is not installed, or an option asks for several processes.
    """
    try:
        import pytest
    except ImportError:
        raise UsageError(
            "the suites need pytest, which is not installed. Install it: pip install 'parity[test,report]'"
        ) from None
    if any(map(_DISTRIBUTES.fullmatch, options)):
        raise UsageError("the suites share compiled programs and one record: run them in one process, without -n.")
    isolated = [
        f"-c{os.devnull}", f"--rootdir={_root(options)}", "-pno:cacheprovider", "--no-header", "--tb=short",
        "-Wignore::pytest.PytestAssertRewriteWarning",
    ]  # fmt: skip
    detail = [] if any(map(_SHOWS.fullmatch, options)) else ["-qq"]
    # The first look at latency is in the report; the tables of pytest-benchmark are for who asks for them.
    if detail and find_spec("pytest_benchmark") and not any(map(_TIMES.search, options)):
        detail.append("--benchmark-quiet")
    return PYTEST_TO_EXIT.get(int(pytest.main([*isolated, *detail, "--pyargs", "parity.suites", *options])), 70)


_SHOWS = re.compile(r"-v+|-q+|--verbose|--verbosity=.*|--quiet|--co|--collect-?only")
_DISTRIBUTES = re.compile(r"-n.*|--numprocesses.*")
_TIMES = re.compile(r"latency|benchmark")


def _root(options: list[str]) -> str:
    """Return the folder that holds the package and the files of tests that `options` name.

    pytest leaves out the file in the name of a test that lies outside of its root.
    """
    package = str(Path(__file__).absolute().parents[2])
    named = [path for option in options if (path := Path(option.partition("::")[0]).absolute()).is_file()]
    try:
        return os.path.commonpath([package, *(path.parent for path in named)])
    except ValueError:  # on another drive
        return package
