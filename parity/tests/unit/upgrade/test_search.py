# ruff: noqa: F811 - fixtures that are imported are named by arguments
"""`parity bisect` over planted records: what it runs, what it skips, what it reports."""

import pytest

from parity import records
from parity.cli import main as cli
from parity.core import failures
from parity.core.errors import NotComparableError, UsageError
from parity.records import ERROR, REMEDIED, Stopped
from parity.tests.support import samples
from parity.tests.support.pairs import SKEW, leave, machine, reports, runner  # noqa: F401
from parity.upgrade import releases, rendering
from parity.upgrade.pairs import Pair
from parity.upgrade.reasons import Reason
from parity.upgrade.releases import Release
from parity.upgrade.search import Search

JAX = ["0.9.1", "0.9.2", "0.10.0", "0.10.1", "0.10.2", "0.11.0", "0.11.1", "0.11.2", "0.12.0", "0.12.0.1", "0.13.0"]
TF = "2.21.0"
BROKEN = {"remedy": SKEW, "status": REMEDIED}


@pytest.fixture
def index(monkeypatch):
    """The releases of jax on the index, and what stands in the way of some."""
    obstacles = {}
    monkeypatch.setattr(
        releases,
        "list_releases",
        lambda package, python: [Release(version, obstacles.get(version, "")) for version in JAX],
    )
    return obstacles


@pytest.fixture
def history(machine):
    """From 0.11.0 on, jax needs a remedy."""
    machine.becomes.update(dict.fromkeys(JAX[JAX.index("0.11.0") :], BROKEN))
    return machine.becomes


@pytest.fixture
def search(runner, machine, index, history):
    """Bisect jax, and return the boundary and the search."""

    def run(good="0.9.2", bad="0.12.0.1", other=("tensorflow", TF), only="3.12", remedied=False, package="jax"):
        search = Search.plan(package, good, bad, other, runner, only, remedied)
        steps = []
        boundary = search.run(lambda *step: steps.append(step))
        inside = [release for release, _, left in steps if left is not None]
        assert len(inside) == len(set(inside))
        ends = {search.names[0], search.names[-1]}
        assert search.records.keys() - ends <= set(inside) <= {*search.records, *search.skipped} - ends
        for line in rendering.boundary_lines(search, boundary):
            assert line.isprintable()
            assert all(len(part) <= 80 for part in rendering.wrapped(line).splitlines())
        search.steps = steps
        return boundary, search

    return run


def test_it_finds_the_first_bad_release_in_few_environments(search, machine):
    found, done = search()
    assert (found.last_good, found.first_bad, found.unknown) == ("0.10.2", "0.11.0", ())
    assert machine.ran == [
        f"py312-jax{version}-tf{TF}" for version in ("0.9.2", "0.12.0.1", "0.11.0", "0.10.1", "0.10.2")
    ]
    assert (len(done.names), done.most, done.python) == (9, 3, "3.12")
    assert done.why.reason is Reason.PYTHON_NAMED
    assert done.steps == [
        ("0.9.2", "good", None), ("0.12.0.1", "bad", None), ("0.11.0", "bad", 3), ("0.10.1", "good", 1),
        ("0.10.2", "good", 0),
    ]  # fmt: skip
    first_bad = done.records["0.11.0"]
    assert (first_bad.outcome.status, first_bad.outcome.failure) == (REMEDIED, failures.STABLEHLO_SKEW)
    assert first_bad.outcome.evidence in rendering.search_line(done, "0.11.0")
    assert done.records["0.10.2"].worst_score == 2.0
    assert len(done.runner.made) == 5


def test_recorded_releases_are_not_run(search, machine, leave):
    for version in ("0.9.2", "0.10.2"):
        leave(Pair(version, TF))
    for version in ("0.12.0.1", "0.11.0"):
        leave(Pair(version, TF), **BROKEN)
    leave(Pair("0.10.1", TF), current=False)
    leave(Pair("0.10.1", TF), "3.11")
    _, done = search()
    assert machine.ran == done.runner.made == [f"py312-jax0.10.1-tf{TF}"]
    assert len(done.records) == 5


def test_yanked_and_uninstallable_releases_are_skipped_and_named(search, machine, index):
    index["0.10.1"] = "yanked: broken pipe"
    machine.refused["0.11.0", "3.12"] = "jax==0.11.0 needs numpy>=3"
    found, done = search()
    assert (found.last_good, found.first_bad, found.unknown) == ("0.10.2", "0.11.1", ("0.11.0",))
    assert not any("0.10.1" in name or "0.11.0" in name for name in machine.ran)
    assert done.skipped == {"0.10.1": "yanked: broken pipe", "0.11.0": "jax==0.11.0 needs numpy>=3"}
    lines = " ".join(rendering.boundary_lines(done, found))
    assert all(why in lines for why in done.skipped.values())
    assert ("0.11.0", "skip") in [step[:2] for step in done.steps]


def test_a_cell_that_could_not_be_run_is_skipped_and_not_called_bad(search, runner, monkeypatch):
    make = type(runner).run

    def fail(self, pairs, python):
        if pairs[0].jax == "0.10.2":
            raise NotComparableError("no space left")
        return make(self, pairs, python)

    monkeypatch.setattr(type(runner), "run", fail)
    found, done = search()
    assert (found.last_good, found.first_bad, found.unknown) == ("0.10.1", "0.11.0", ("0.10.2",))
    assert done.skipped == {"0.10.2": "no space left"}


def test_a_recorded_failure_of_the_resolver_is_skipped(search, reports, leave):
    name = Pair("0.10.2", TF).cell("3.12")
    inputs = leave(Pair("0.10.2", TF)).inputs
    stopped = Stopped(ERROR, failures.RESOLVER, "no set")
    records.seal(reports / name, samples.run(cell=name, stopped=stopped, inputs=inputs))
    found, done = search()
    assert (found.unknown, done.skipped) == (("0.10.2",), {"0.10.2": "no set"})


def test_an_end_that_is_not_as_given_is_an_error(search, history):
    with pytest.raises(UsageError, match=r"jax 0\.9\.2 is not bad: pass\."):
        search(good="0.9.1", bad="0.9.2")
    with pytest.raises(UsageError, match=r"jax 0\.11\.0 is not good: remedied, .*--remedied-is-good"):
        search(good="0.11.0")
    with pytest.raises(UsageError, match=r"jax 0\.12\.0\.1 is not bad: remedied"):
        search(remedied=True)


def test_an_end_without_an_answer_is_an_error(search, machine):
    machine.refused["0.12.0.1", "3.12"] = "needs Python >=3.13"
    with pytest.raises(UsageError, match=r"--bad 0\.12\.0\.1 has no answer: needs Python >=3\.13"):
        search()


def test_a_remedied_release_may_count_as_good(search, history):
    history["0.12.0"] = history["0.12.0.1"] = {"status": records.FAIL, "tensorflow": 99.0}
    found, done = search(remedied=True)
    assert (found.last_good, found.first_bad) == ("0.11.2", "0.12.0")
    outcome = done.records["0.12.0"].outcome
    assert (outcome.status, outcome.failure) == (records.FAIL, failures.NUMERIC)


def test_it_goes_down_where_the_good_release_is_the_newer_one(search, history):
    history.clear()
    history.update(dict.fromkeys(JAX[:4], BROKEN))
    found, _ = search(good="0.12.0.1", bad="0.9.2")
    assert (found.last_good, found.first_bad) == ("0.10.2", "0.10.1")


def test_an_end_that_is_yanked_counts_as_an_end(search, index):
    index["0.10.2"] = "yanked"
    found, done = search(good="0.10.2", bad="0.11.0")
    assert (found.last_good, found.first_bad) == ("0.10.2", "0.11.0")
    assert (done.most, done.skipped) == (0, {})


def test_releases_that_cannot_be_searched_are_refused(search):
    with pytest.raises(
        UsageError, match=r"the index has no jax 0\.9\.9\. Expected a release that it has, such as 0\.11"
    ):
        search(good="0.9.9")
    with pytest.raises(UsageError, match=r"--good and --bad are both 0\.9\.2"):
        search(bad="0.9.2")
    with pytest.raises(UsageError, match=r"--good and --bad are both 0\.12"):
        search(good="0.12", bad="0.12.0")
    with pytest.raises(UsageError, match=r"--with jax==0\.9\.2: expected the other package, such as tensorflow"):
        search(other=("jax", "0.9.2"))


def test_the_command_passes_options_of_a_run_on(search, leave, machine, monkeypatch, tmp_path, capsys):
    planned = {}

    def plan(*arguments):
        planned.update(zip(("package", "good", "bad", "other", "runner"), arguments, strict=False))
        raise UsageError("planned")

    monkeypatch.setattr(Search, "plan", plan)
    command = ["bisect", "jax", "--good", "0.9.2", "--bad", "0.12", "--with", "tensorflow==2.21.0"]
    assert cli.main([*command, "--reports", str(tmp_path), "--probe=predict", "--batch-size=13"]) == 2
    assert "planned" in capsys.readouterr().err
    assert (planned["good"], planned["bad"], planned["other"]) == ("0.9.2", "0.12", ("tensorflow", "2.21.0"))
    assert planned["runner"].options == ("--probe=predict", "--batch-size=13")
    assert cli.main([*command[:3], "new", *command[4:]]) == 2
    assert "'jax==new' is no pin" in capsys.readouterr().err


def test_the_command_prints_every_step_and_the_boundary(leave, machine, index, reports, monkeypatch, capsys):
    for version in ("0.9.2", "0.10.0"):
        leave(Pair(version, TF))
    leave(Pair("0.10.1", TF), **BROKEN)
    pins = ("--good", "0.9.2", "--bad", "0.10.1", "--with", f"tensorflow=={TF}", "--python", "3.12")
    assert cli.main(["bisect", "jax", *pins, "--reports", str(reports)]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    lines = [line for line in shown.splitlines() if line.startswith("jax 0.")]
    assert [line.split(":")[0] for line in lines] == ["jax 0.9.2", "jax 0.10.1", "jax 0.10.0"]
    assert "jax 0.10.1" in shown.partition("\n\n")[2]
    assert machine.ran == []
