"""The plugin in a user's session: what it adds where a case is named, and a case that a test of theirs runs."""

import sys
from subprocess import CompletedProcess
from types import ModuleType, SimpleNamespace

import pytest

from parity.core import processes
from parity.core.errors import UsageError
from parity.session import asserting, plugin

NAMED, BY_DEFAULT = pytest.Config.ArgsSource.ARGS, pytest.Config.ArgsSource.TESTPATHS


def configured(source, cases, **options):
    """The arguments of a session after the plugin has seen it, beside its one folder of tests."""
    config = SimpleNamespace(
        args=["tests"], args_source=source, addinivalue_line=lambda name, line: None,
        option=SimpleNamespace(parity_case=cases, **options), getoption=lambda name: cases,
    )  # fmt: skip
    plugin.pytest_configure(config)
    return config.args


def test_a_case_collects_the_suites_beside_the_tests_of_the_project():
    first, *suites = configured(BY_DEFAULT, ["case.py:case"])
    assert first == "tests"
    assert any(path.endswith("suites/test_state.py") for path in suites)


@pytest.mark.parametrize(
    ("source", "cases", "options"),
    [(BY_DEFAULT, [], {}), (NAMED, ["case.py:case"], {}), (BY_DEFAULT, ["case.py:case"], {"numprocesses": 2})],
)
def test_without_a_case_with_named_tests_and_in_a_controller_of_xdist_nothing_is_added(source, cases, options):
    assert configured(source, cases, **options) == ["tests"]


@pytest.mark.parametrize(
    ("cases", "marked", "refused"), [(["a"], False, True), (["a"], True, False), ([], False, False)]
)
def test_a_case_beside_files_without_the_suites_is_refused_as_nothing_would_be_checked(cases, marked, refused):
    item = SimpleNamespace(get_closest_marker=lambda name: object() if marked else None)
    config = SimpleNamespace(option=SimpleNamespace(), getoption=lambda name: cases)
    if refused:
        with pytest.raises(pytest.UsageError, match="nothing would be checked"):
            plugin.pytest_collection_modifyitems(config, [item])
    else:
        plugin.pytest_collection_modifyitems(config, [item])


def collected(obj, **options):
    config = SimpleNamespace(option=SimpleNamespace(**options))
    plugin.pytest_pycollect_makeitem(SimpleNamespace(config=config, iter_markers=lambda name: []), "test", obj)


def test_a_probe_in_several_processes_is_refused_where_no_case_is_named():
    @pytest.mark.parity_probe("predict")
    def probe():
        pass

    with pytest.raises(pytest.UsageError, match="without -n"):
        collected(probe, numprocesses=2, parity_case=[])
    collected(probe, numprocesses=2, parity_case=["case.py:case"])
    collected(lambda: None, numprocesses=2, parity_case=[])


@pytest.fixture
def started(monkeypatch):
    """The commands that are run, each with the outcome that `outcome` holds."""
    commands, outcome = [], [0, ""]

    def run(command, **options):
        commands.append((command[3:], options["cwd"]))
        return CompletedProcess(command, outcome[0], outcome[1], "")

    monkeypatch.setattr(processes, "run", run)
    return SimpleNamespace(commands=commands, outcome=outcome)


def test_a_case_of_a_module_is_run_with_the_options_of_a_run(started, tmp_path, monkeypatch):
    module, case = ModuleType("mine"), object()
    module.__file__, module.model_case = str(tmp_path / "mine.py"), case
    monkeypatch.setitem(sys.modules, "mine", module)
    options = {"level": "quick", "out": tmp_path, "runtime": ["jax", "tf_xla"], "latency": True, "cell": None}
    asserting.run_apart(case, options, tmp_path)
    [(command, folder)] = started.commands
    assert command == [
        "run", f"--case={tmp_path / 'mine.py'}:model_case", "--level=quick", f"--out={tmp_path}", "--runtime=jax",
        "--runtime=tf_xla", "--latency",
    ]  # fmt: skip
    assert folder == tmp_path


def test_what_is_not_in_order_fails_the_test_with_what_was_shown(started, tmp_path):
    started.outcome[:] = [1, "predict: score 200 over the limit 128\n"]
    with pytest.raises(pytest.fail.Exception, match="score 200 over the limit 128"):
        asserting.run_apart("mine.py:case", {}, tmp_path)


def test_a_case_that_no_module_has_is_refused():
    with pytest.raises(UsageError, match="is in no module"):
        asserting.where(SimpleNamespace(name="local"))
