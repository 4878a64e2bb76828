# ruff: noqa: F811 - fixtures that are imported are named by arguments
"""`parity bisect` over records made by hand: what it runs, what it steps around, what it says."""

import pytest

from parity import records
from parity.cli import main as cli
from parity.core import failures
from parity.core.errors import NotComparableError, UsageError
from parity.records import ERROR, REMEDIED, Stopped
from parity.tests.support import samples
from parity.tests.support.pairs import SKEW, bench, leave, machine, reports  # noqa: F401
from parity.upgrade import bisecting, releases
from parity.upgrade.pins import Pair
from parity.upgrade.releases import Release

JAX = ["0.9.1", "0.9.2", "0.10.0", "0.10.1", "0.10.2", "0.11.0", "0.11.1", "0.11.2", "0.12.0", "0.12.0.1", "0.13.0"]
TF = "2.21.0"
BROKEN = {"remedy": SKEW, "status": REMEDIED}


@pytest.fixture
def index(monkeypatch):
    """The releases of jax on the index, and what stands in the way of some."""
    obstacles = {}
    monkeypatch.setattr(
        releases, "listed", lambda package, python: [Release(version, obstacles.get(version, "")) for version in JAX]
    )
    return obstacles


@pytest.fixture
def history(machine):
    """From 0.11.0 on, jax needs a remedy."""
    machine.becomes.update(dict.fromkeys(JAX[JAX.index("0.11.0") :], BROKEN))
    return machine.becomes


@pytest.fixture
def search(bench, machine, index, history):
    """Bisects jax, and returns the boundary and what was said in one line."""

    def run(good="0.9.2", bad="0.12.0.1", other=("tensorflow", TF), only="3.12", mended=False, package="jax"):
        said = []
        found = bisecting.search(package, good, bad, other, bench, only, mended, said.append)
        assert all(len(line) <= 80 for text in said for line in text.splitlines())
        return found, " ".join(" ".join(said).split())

    return run


def test_it_finds_the_first_bad_release_in_few_environments(search, machine):
    found, said = search()
    assert (found.last_good, found.first_bad, found.unknown) == ("0.10.2", "0.11.0", ())
    assert machine.ran == [
        f"py312-jax{version}-tf{TF}" for version in ("0.9.2", "0.12.0.1", "0.11.0", "0.10.1", "0.10.2")
    ]
    assert "9 releases of jax from 0.9.2 to 0.12.0.1, with tensorflow 2.21.0 on Python 3.12" in said
    assert "at most 3 environments beside the two ends." in said
    assert "jax 0.11.0: remedied, stablehlo_skew: vhlo.custom_call_v2 (run now); 3 remain" in said
    assert "The first bad release is jax 0.11.0: remedied, stablehlo_skew: vhlo.custom_call_v2." in said
    assert "The last good one is jax 0.10.2: pass, worst score 2." in said
    assert "5 environments were built, 0 recorded before" in said


def test_what_is_recorded_is_not_run(search, machine, leave):
    for version in ("0.9.2", "0.10.2"):
        leave(Pair(version, TF))
    for version in ("0.12.0.1", "0.11.0"):
        leave(Pair(version, TF), **BROKEN)
    leave(Pair("0.10.1", TF), current=False)
    leave(Pair("0.10.1", TF), "3.11")
    _, said = search()
    assert machine.ran == [f"py312-jax0.10.1-tf{TF}"]
    assert "jax 0.9.2: pass (recorded); good, as given" in said
    assert "1 environment was built, 4 recorded before" in said


def test_yanked_and_uninstallable_releases_are_stepped_around_and_named(search, machine, index):
    index["0.10.1"] = "yanked: broken pipe"
    machine.refused["0.11.0", "3.12"] = "jax==0.11.0 needs numpy>=3"
    found, said = search()
    assert (found.last_good, found.first_bad, found.unknown) == ("0.10.2", "0.11.1", ("0.11.0",))
    assert not any("0.10.1" in name or "0.11.0" in name for name in machine.ran)
    assert "Stepped around jax 0.10.1: yanked: broken pipe." in said
    assert "Stepped around jax 0.11.0: jax==0.11.0 needs numpy>=3." in said
    assert "The first bad release is one of jax 0.11.0 or 0.11.1: 0.11.0 could not be asked" in said


def test_a_cell_that_could_not_be_run_is_stepped_around_and_not_called_bad(search, bench, monkeypatch):
    make = type(bench).make

    def fail(self, pairs, python):
        if pairs[0].jax == "0.10.2":
            raise NotComparableError("no space left")
        return make(self, pairs, python)

    monkeypatch.setattr(type(bench), "make", fail)
    found, said = search()
    assert (found.last_good, found.first_bad, found.unknown) == ("0.10.1", "0.11.0", ("0.10.2",))
    assert "Stepped around jax 0.10.2: no space left." in said


def test_a_recorded_no_of_the_resolver_is_stepped_around(search, reports, leave):
    name = Pair("0.10.2", TF).cell("3.12")
    inputs = leave(Pair("0.10.2", TF)).inputs
    stopped = Stopped(ERROR, failures.RESOLVER, "no set")
    records.seal(reports / name, samples.run(cell=name, stopped=stopped, inputs=inputs))
    assert search()[0].unknown == ("0.10.2",)


def test_an_end_that_is_not_what_it_is_said_to_be_is_an_error(search, history):
    with pytest.raises(UsageError, match=r"jax 0\.9\.2 is not bad: pass\. Expected --bad to name a release that is\."):
        search(good="0.9.1", bad="0.9.2")
    with pytest.raises(UsageError, match=r"jax 0\.11\.0 is not good: remedied, .*--remedied-is-good"):
        search(good="0.11.0")
    with pytest.raises(UsageError, match=r"jax 0\.12\.0\.1 is not bad: remedied"):
        search(mended=True)


def test_an_end_that_cannot_be_asked_is_an_error(search, machine):
    machine.refused["0.12.0.1", "3.12"] = "needs Python >=3.13"
    with pytest.raises(UsageError, match=r"--bad 0\.12\.0\.1 cannot be asked: needs Python >=3\.13"):
        search()


def test_what_a_remedy_mends_may_count_as_good(search, history):
    history["0.12.0"] = history["0.12.0.1"] = {"status": records.FAIL, "tensorflow": 99.0}
    found, said = search(mended=True)
    assert (found.last_good, found.first_bad) == ("0.11.2", "0.12.0")
    assert "first bad release is jax 0.12.0: fail, numeric" in said


def test_it_goes_down_where_the_good_release_is_the_newer_one(search, history):
    history.clear()
    history.update(dict.fromkeys(JAX[:4], BROKEN))
    found, _ = search(good="0.12.0.1", bad="0.9.2")
    assert (found.last_good, found.first_bad) == ("0.10.2", "0.10.1")


def test_an_end_that_is_yanked_counts_as_an_end(search, index):
    index["0.10.2"] = "yanked"
    found, said = search(good="0.10.2", bad="0.11.0")
    assert (found.last_good, found.first_bad) == ("0.10.2", "0.11.0")
    assert "at most 0 environments beside the two ends." in said


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


def test_the_command_takes_options_of_a_run_along(monkeypatch, tmp_path, capsys):
    asked = {}

    def searched(*arguments):
        asked.update(zip(("package", "good", "bad", "other", "bench"), arguments, strict=False))

    monkeypatch.setattr(bisecting, "search", searched)
    command = ["bisect", "jax", "--good", "0.9.2", "--bad", "0.12", "--with", "tensorflow==2.21.0"]
    assert cli.main([*command, "--reports", str(tmp_path), "--probe=predict", "--batch-size=13"]) == 0
    assert (asked["good"], asked["bad"], asked["other"]) == ("0.9.2", "0.12", ("tensorflow", "2.21.0"))
    assert asked["bench"].options == ("--probe=predict", "--batch-size=13")
    assert cli.main([*command[:3], "new", *command[4:]]) == 2
    assert "'jax==new' is no pin" in capsys.readouterr().err
