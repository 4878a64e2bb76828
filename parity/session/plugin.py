"""The pytest plugin as every pytest loads it: options, one mark and one fixture; it imports pytest alone.

The suites' hooks are in `parity.session.hooks`, registered when a `--parity-` option is given, or when a test is
collected that has the mark `parity_probe`. A session that asks for neither pays nothing for them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parity.core.ledger import TimeLedger

PROBE = "parity_probe"
"""The mark that connects a test with its probe: by name, or as a `Probe` that is declared beside the test."""
SIZES = "13; at standard also 1 and 256; at full also 20 and the whole test set"
LEDGER = TimeLedger()  # opened as early as pytest allows, so that imports are booked
ONLY = "PARITY_ONLY"
"""A variable of the environment: set where the tests of other projects run in another process."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the suites; `parity run` has them without the prefix."""
    group = parser.getgroup("parity", "parity between JAX and TensorFlow")
    several = {"action": "append", "default": [], "metavar": "NAME"}
    group.addoption("--parity-case", **several, help="a case by name, or path/to/file.py:name (default: reference)")
    group.addoption("--parity-runtime", **several, help="only this runtime; may be given several times")
    group.addoption("--parity-probe", **several, help="only this probe; may be given several times")
    group.addoption(
        "--parity-batch-size", action="append", default=[], metavar="N",
        help=f"only this batch size, or 'test' for the whole test set; may be given several times (default: {SIZES})",
    )  # fmt: skip
    group.addoption("--parity-artifact", metavar="DIR", help="the SavedModel to check, in place of parity's own export")
    group.addoption("--parity-latency", action="store_true", help="also time every step on every runtime")
    group.addoption(
        "--parity-level", metavar="LEVEL", type=_level,
        help="how much to run: quick to write a case, standard (default) to gate an upgrade, full for everything",
    )  # fmt: skip
    group.addoption("--parity-out", metavar="DIR", help="write run.json and index.html into this folder")
    group.addoption("--parity-cell", metavar="NAME", help="name of this environment in the record (default: tox's)")
    group.addoption("--parity-known-issues", metavar="FILE", help="known issues of your project, beside the package's")


def _level(text: str) -> str:
    from argparse import ArgumentTypeError

    from parity.records.levels import LEVELS

    if text not in LEVELS:
        raise ArgumentTypeError(f"invalid choice: {text!r} (choose from {', '.join(LEVELS)})")
    return text


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Move an old record aside as soon as --parity-out is known: this run may end before its plan."""
    known = early_config.known_args_namespace
    if known.parity_out and not known.collectonly:
        from parity import records
        from parity.core.errors import ParityError

        try:
            records.begin(Path(known.parity_out))
        except ParityError as error:
            raise pytest.UsageError(str(error)) from None


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark; where a case is given and no test is named, collect the suites beside the project's tests."""
    config.addinivalue_line("markers", f"{PROBE}(probe): the probe of a test, by name or as its declaration")
    named = config.args_source == pytest.Config.ArgsSource.ARGS
    if config.getoption("--parity-case") and not named and not _in_several_processes(config):
        folder = Path(__file__).parents[1] / "suites"
        config.args.extend(str(path) for path in sorted(folder.glob("test_*.py")))


def _wanted(config: pytest.Config) -> bool:
    """Return whether an option asks for the suites."""
    options = vars(config.option)
    return any(options[name] for name in options if name.startswith("parity_"))


def _in_several_processes(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput") or bool(getattr(config.option, "numprocesses", None))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin where options ask for the suites; with xdist in a process of their own, beside its workers."""
    config = session.config
    if not _wanted(config) or hasattr(config, "workerinput"):
        return
    if _in_several_processes(config):
        from parity.session.beside import Beside

        config.pluginmanager.register(Beside(config))
    else:
        _hooks(config).begin(config, True)


def _hooks(config: pytest.Config) -> Any:
    """Return the module of the suites' hooks, registered when it is first needed."""
    from parity.session import hooks

    if not config.pluginmanager.is_registered(hooks):
        config.pluginmanager.register(hooks)
    return hooks


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: object) -> None:
    """Register the hooks before the first test with a probe is made, whose fixtures they have."""
    own = getattr(obj, "pytestmark", ())
    marks = [*collector.iter_markers(PROBE), *(own if isinstance(own, list) else [])]
    if any(getattr(mark, "name", "") == PROBE for mark in marks):
        config = collector.config
        if _in_several_processes(config) and not _wanted(config):
            raise pytest.UsageError(
                f"{name}: the suites share compiled programs and one record. Run them in one process, without -n, or "
                "name a case with --parity-case: then they run in a process of their own."
            )
        if not _in_several_processes(config) and not config.pluginmanager.hasplugin("parity.session.hooks"):
            _hooks(config).begin(config, False)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave to each process its own tests, where the suites run in a process of their own."""
    import os

    only = ONLY in os.environ
    asked = config.getoption("--parity-case") and (only or not _in_several_processes(config))
    if asked and not any(item.get_closest_marker(PROBE) for item in items):
        raise pytest.UsageError(
            "--parity-case names a case, and no test of the suites is among the files that are named: nothing would be "
            "checked. Name no files, or add --pyargs parity.suites."
        )
    if only or _in_several_processes(config):
        kept = [item for item in items if (item.get_closest_marker(PROBE) is not None) is only]
        if len(kept) < len(items):
            config.hook.pytest_deselected(items=list(set(items) - set(kept)))
            items[:] = kept


@pytest.fixture
def assert_parity(request: pytest.FixtureRequest) -> Callable[..., Path]:
    """Return the function `assert_parity(case, level="quick", out=None, **options)`, which fails where a run fails.

    It runs `parity run` in a process of its own and returns the folder of the record and the page. `case` is a `Case`
    that a module has, or a name, or `path/to/file.py:name` from the root of the project; `options` are those of
    `parity run`, such as `probe="predict"` or `runtime=["saved_model", "tf_xla"]`.
    """
    from parity.session.asserting import run_apart

    def assert_parity(case: Any, level: str = "quick", out: str | Path | None = None, **options: Any) -> Path:
        folder = Path(out) if out else request.getfixturevalue("tmp_path") / "parity"
        run_apart(case, {"level": level, "out": folder, **options}, request.config.rootpath)
        return folder

    return assert_parity
