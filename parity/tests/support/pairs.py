"""Planted records of pairs, and a stand-in for the part that runs cells."""

import dataclasses

import pytest
from msgspec.structs import replace

from parity import records
from parity.core import failures
from parity.matrix import tasks, tox
from parity.records import NO_DEVICE, PASS, PlanItem, Program, Remedy
from parity.records.cells import Cell
from parity.records.rows import Place
from parity.tests.support import samples
from parity.upgrade import releases, search
from parity.upgrade import runner as runners
from parity.upgrade.pairs import Pair, corners
from parity.upgrade.releases import Release
from parity.upgrade.runner import CellRunner

OLD, NEW = Pair("0.9.2", "2.20.0"), Pair("0.12.0.1", "2.21.0")
WRITES = {"0.9.2": "1.13.7", "0.12.0.1": "1.13.7"}
READS = {"2.20.0": "1.13.7", "2.21.0": "1.13.7"}
SKEW = (failures.STABLEHLO_SKEW, "vhlo.custom_call_v2")
LIMIT = 64.0


def operations(**counts):
    return {"builtin.module": 1, "vhlo.add_v1": 7, **{f"vhlo.{name}": n for name, n in counts.items()}}


def run(pair, jax=1.0, tensorflow=2.0, program="a", status=PASS, remedy=None, reads=READS, writes=WRITES, counts=None):
    """Return the record of `pair` with planted scores of JAX and TensorFlow, and planted programs."""
    on_jax = samples.check(item="p-jax", runtime="jax", tf_device=NO_DEVICE, score=jax, limit=LIMIT)
    checks = [
        on_jax,
        replace(on_jax, item="l-jax", probe="eval_loss", score=0.7),
        samples.check(item="p-tf", score=tensorflow, limit=LIMIT, status=status),
        samples.check(item="l-tf", probe="eval_loss", score=1.1, limit=LIMIT),
    ]
    found = samples.run(cell=pair.cell("3.12"), checks=checks)
    found.environment = {
        "versions": {"jax": pair.jax, "tensorflow": pair.tensorflow, "numpy": "2.4.6"},
        "machine": {"python": "3.12.1"},
        "writer": {"stablehlo": writes.get(pair.jax, "1.13.7"), "calling_convention": 10},
        "reader": {"stablehlo": reads.get(pair.tensorflow, "1.13.7"), "calling_convention": 10},
    }
    found.programs = [Program("reference", "predict", program, counts or operations(custom_call_v1=1))]
    if remedy is not None:
        found.remedies = [Remedy("reference", f"tensorflow=={pair.tensorflow}", *remedy)]
    return found


@pytest.fixture
def reports(tmp_path):
    return tmp_path / "reports"


@pytest.fixture
def leave(reports):
    """Write a record of a pair as a cell does."""

    def seal(pair, python="3.12", current=True, **planted):
        name = pair.cell(python)
        found = run(pair, **planted)
        found.cell = name
        found.environment["machine"]["python"] = f"{python}.1"
        fields = Place.__struct_fields__
        found.plan = [PlanItem(**{key: getattr(check, key) for key in fields}) for check in found.checks]
        [task] = tasks.tasks(Cell.parse(name), reports, [])
        found.inputs = task.request if current else "older"
        records.seal(reports / name, found)
        return found

    return seal


@pytest.fixture
def runner(reports, tmp_path):
    reports.mkdir(exist_ok=True)
    return dataclasses.replace(CellRunner.for_case(reports, "reference", (), show=lambda text: None), project=tmp_path)


@pytest.fixture
def machine(monkeypatch, leave):
    """A stand-in for the part that runs cells: the Pythons, what can be installed, and the result of each run."""

    class Machine:
        def __init__(self):
            self.pythons = ("3.13", "3.12")
            self.ran, self.refused, self.becomes = [], {}, {}

        def run_here(self, project, names, options, jobs, show, where, settings):
            for name in names:
                self.ran.append(name)
                cell = Cell.parse(name)
                leave(Pair(cell.jax, cell.tensorflow), cell.python, **self.becomes.get(cell.jax, {}))

    machine = Machine()
    monkeypatch.setattr(tox, "has_python", lambda version: version in machine.pythons)
    monkeypatch.setattr(tox, "run_cells", machine.run_here)
    monkeypatch.setattr(
        runners, "why_uninstallable", lambda pair, python, *of: machine.refused.get((pair.jax, python), "")
    )
    monkeypatch.setattr(search, "why_uninstallable", runners.why_uninstallable)
    monkeypatch.setattr(releases, "list_releases", lambda package, python: pytest.fail("the index was read"))
    return machine


def skewed(pair):
    if pair.jax != NEW.jax:
        return {}
    return {
        "remedy": SKEW, "status": records.REMEDIED, "program": "b", "counts": operations(custom_call_v2=1),
        "writes": {OLD.jax: "1.13.7", NEW.jax: "1.18.0"},
    }  # fmt: skip


@pytest.fixture
def four(leave):
    """The records of the four corners, of which those with the new jax need a remedy."""
    return {pair: leave(pair, **skewed(pair)) for pair in corners(OLD, NEW).values()}


def set_index(monkeypatch, **versions):
    """Let the index have these versions of each package."""
    names = {"tensorflow-cpu": versions["tensorflow"], **versions}
    monkeypatch.setattr(releases, "list_releases", lambda package, python: [Release(v) for v in names[package]])
