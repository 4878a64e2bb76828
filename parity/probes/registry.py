"""Which probes there are: every module of this package, and of its subpackages, that declares a `PROBE`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from parity.probes.declaration import Probe
from parity.runtimes import base


@cache
def probes() -> dict[str, Probe]:
    """Return every probe by name; answers that are derived from others are then known to all runtimes."""
    package = importlib.import_module("parity.probes")
    modules = [importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
    declared = [value for module in modules for value in vars(module).values() if isinstance(value, Probe)]
    for probe in declared:
        add(probe)
    return {probe.name: probe for probe in sorted(declared, key=lambda p: (p.evaluation is None, _place(p), p.name))}


def add(probe: Probe) -> None:
    """Make a probe known that is declared elsewhere, such as beside a test of yours."""
    if probe.derive is not None and probe.evaluation is not None:
        base.derive(probe.name, probe.evaluation, probe.derive)


def _place(probe: Probe) -> int:
    evaluations = list(base.EVALUATIONS)
    return evaluations.index(probe.evaluation) if probe.evaluation else len(evaluations)
