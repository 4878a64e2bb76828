"""Standings by hand, for the tests of the gate: whole runs whose parts can be changed."""

from msgspec.structs import replace

from parity import gate, records
from parity.core.storage import ESCAPED
from parity.gate.side import parse
from parity.records import Power, Program
from parity.tests.support import samples

POLICY = gate.load_policy()
MACHINE = {
    "system": "Linux", "architecture": "x86_64", "python": "3.11.7", "cpu": "a cpu", "cores": 2,
    "instruction_sets": ["avx2"], "affinity": [0, 1], "governor": None, "load": 0.1,
    "max_mhz": None, "flags": [],
}  # fmt: skip


def item(name, **changes):
    test = name.partition("[")[0]
    return {"item": f"test_{name}", "test": test, "probe": test, **changes}


def run(checks=None, **changes):
    """A run that is in order: two questions on TensorFlow, one on JAX; `checks` replaces its checks."""
    items = [
        samples.planned(**item("predict[reference-tf_xla-b13]")),
        samples.planned(**item("train_gradient[reference-tf_graph-b13]", runtime="tf_graph")),
        samples.planned(**item("predict[reference-jax-b13]", runtime="jax", tf_device="none")),
    ]
    leaves = (("output",), ("kernel", "bias"), ("output",))
    made = [
        planned_item.check(leaf=leaf, status="pass", score=1.5, limit=64.0, bits_equal=True)
        for planned_item, names in zip(items, leaves, strict=True)
        for leaf in names
    ]
    given = {
        "plan": items,
        "checks": made if checks is None else checks,
        "powers": [Power("reference", "predict", 13, weight, error) for weight, error in (("w", 1e-4), ("v", 1e-3))],
        "budgets": [records.BudgetRecord("reference", "predict", 13, "output", 1e-7, 2e-7, "8 evaluations")],
        "timings": [samples.timing()],
        "footprints": [samples.footprint()],
        "programs": [Program("reference", "predict", "0" * 64, {"add": 1})],
        "environment": {"versions": {"jax": "0.9.2", "tensorflow": "2.20.0"}, "machine": MACHINE},
    }
    return samples.run(**{**given, **changes})


def newer(**changes):
    """The same run of newer releases, on another day."""
    environment = {"versions": {"jax": "0.10.2", "tensorflow": "2.21.0"}, "machine": MACHINE}
    return run(**{"started_at": "2026-02-02T00:00:00.000Z", "environment": environment, **changes})


def with_check(number, **changes):
    """The newer run with one of its checks changed."""
    made = newer()
    made.checks[number] = replace(made.checks[number], **changes)
    return made


def encoded(run):
    """The bytes of a record, as they are written."""
    return records.dumps(run).encode("utf-8", ESCAPED)


def as_side(run):
    return parse(encoded(run), "run.json")


def judge(candidate, baseline=None, policy=POLICY, repeats=()):
    return gate.judge(as_side(baseline or run()), as_side(candidate), policy, [as_side(one) for one in repeats])


def kinds(verdict):
    return [(finding.level, finding.kind) for finding in verdict.findings]
