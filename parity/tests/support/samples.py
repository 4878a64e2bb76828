"""Small records by hand, and scripts run in processes of their own."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

from parity import records
from parity.records import Check, Footprint, PlanItem, Run, Timing

ITEM = {
    "item": "test_predict[reference-tf_xla-b13]",
    "test": "predict",
    "case": "reference",
    "probe": "predict",
    "runtime": "tf_xla",
    "batch_size": 13,
    "jax_device": "cpu:0",
    "tf_device": "cpu:0",
}


def planned(**changes):
    return PlanItem(**{**ITEM, **changes})


def item(probe, runtime, batch_size=13, jax_device="cpu:0", tf_device="cpu:0", case="tiny"):
    """An item of the plan that asks a probe of a case of the tests."""
    return planned(
        item="i", test=probe, case=case, probe=probe, runtime=runtime, batch_size=batch_size, jax_device=jax_device,
        tf_device=tf_device,
    )  # fmt: skip


def check(**changes):
    return Check(**{**ITEM, "leaf": "output", "status": records.PASS, **changes})


def timing(**changes):
    """Of nine rounds around a millisecond."""
    known = {"case": "reference", "runtime": "tf_xla", "step": "predict", "batch_size": 13, "device": "cpu:0"}
    measured = {"median_ns": 1e6, "low_ns": 0.99e6, "high_ns": 1.01e6, "times_ns": [1_000_000] * 9}
    return Timing(**{**known, **measured, "narrow": True, "outliers": 0, **changes})


def footprint(**changes):
    """Of a process that took 800 MB."""
    measured = {"import_ns": 2e9, "load_ns": 1e9, "first_call_ns": 5e8, "peak_memory_bytes": 800_000_000}
    known = {"case": "reference", "runtime": "tf_xla", "batch_size": 1024, "threads": {"python": 5}, "export_ns": 3e9}
    return Footprint(**{**known, **measured, "artifact_bytes": 170_000, **changes})


def run(**changes):
    environment = {"versions": {"jax": "0.10.2", "tensorflow": "2.21.0"}, "machine": {"cores": 2}}
    known = {"cell": "local", "started_at": "2026-01-02T03:04:05.678Z", "environment": environment}
    return Run(**{**known, "state": records.COMPLETE, "ended_at": "2026-01-02T03:05:00.000Z", **changes})


def inside(*arguments, cwd):
    """`parity` with these arguments, in this process: for what is not about processes, where imports are most of it."""
    from parity.cli import main as cli

    return _inside(cli.main, arguments, cwd)


def pytest_inside(*arguments, cwd):
    """pytest with these arguments, in this process."""
    import pytest

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_XDIST_WORKER", raising=False)  # it is no part of the tests' own xdist
        return _inside(lambda options: int(pytest.main(options)), ("-p", "no:cacheprovider", *arguments), cwd)


def _inside(main, arguments, cwd):
    """What `main` returns and prints in a folder; modules and probes that are declared there are forgotten."""
    output, before, paths, modules = io.StringIO(), Path.cwd(), list(sys.path), set(sys.modules)
    os.chdir(cwd)
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output), _probes_forgotten():
            code = main([str(argument) for argument in arguments])
    except SystemExit as error:
        code = error.code
    finally:
        os.chdir(before)
        sys.path[:] = paths
        for name in set(sys.modules) - modules:
            if Path(getattr(sys.modules[name], "__file__", None) or os.devnull).is_relative_to(Path(cwd).resolve()):
                del sys.modules[name]
    return subprocess.CompletedProcess(arguments, code, output.getvalue(), "")


@contextlib.contextmanager
def _probes_forgotten():
    from parity.probes import registry
    from parity.runtimes import base

    registry.probes()
    derived = {evaluation: dict(probes) for evaluation, probes in base.DERIVED.items()}
    with contextlib.ExitStack() as undone:
        for known, copy in ((base.DERIVED, derived), (base.EVALUATIONS, {}), (base.EVALUATION_OF, {})):
            undone.enter_context(mock.patch.dict(known, copy))
        yield


def python(*arguments, **options):
    """The interpreter of the tests, run to its end."""
    command = [sys.executable, *map(str, arguments)]
    given = {"timeout": 60, **options}
    return subprocess.run(command, capture_output=True, text=True, check=False, **given)


def parity(*arguments, **options):
    """The `parity` command, run to its end in a process."""
    return python("-m", "parity", *arguments, **options)
