"""Conformance tests for models trained in JAX and shipped in TensorFlow.

    case -> train briefly -> export -> runtimes answer -> score -> record -> gate, report

A *case* (`parity.cases`) is a model with data. *Runtimes* (`parity.runtimes`) answer *probes* (`parity.probes`) about
it: JAX, JAX in float64 (the oracle), TensorFlow in its several ways. Answers are *scored* (`parity.scoring`) against
the oracle, in units of rounding error. A *run* (`parity.session`) plans, asks and *records* (`parity.records`). The
*gate* (`parity.gate`) compares two records; the *report* (`parity.report`) shows one.

The names in `__all__` are the public API; everything else is private and may change without notice.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.cases.adapters.equinox import from_equinox
    from parity.cases.adapters.haiku import from_haiku
    from parity.cases.adapters.linen import from_linen
    from parity.cases.adapters.nnx import from_nnx
    from parity.cases.artifacts import Artifact
    from parity.cases.case import Case, Dataset, Limit, State, Training
    from parity.cases.optimizers import Optimizer, Schedule
    from parity.cases.specs import Batch, Spec
    from parity.compat.remedies import readable_by
    from parity.core.errors import ParityError
    from parity.handover.continuing import resume
    from parity.probes.declaration import Probe, every_runtime
    from parity.probes.evaluation import score
    from parity.probes.seeded_defects import seeded_defect
    from parity.runtimes.base import Capabilities, Model, Runtime
    from parity.session.asserting import assert_in_order

__version__ = "0.1.0"

__all__ = [
    "Artifact",
    "Batch",
    "Capabilities",
    "Case",
    "Dataset",
    "Limit",
    "Model",
    "Optimizer",
    "ParityError",
    "Probe",
    "Runtime",
    "Schedule",
    "Spec",
    "State",
    "Training",
    "assert_in_order",
    "every_runtime",
    "from_equinox",
    "from_haiku",
    "from_linen",
    "from_nnx",
    "readable_by",
    "resume",
    "score",
    "seeded_defect",
]

_MODULES = {
    "parity.cases.adapters.equinox": ("from_equinox",),
    "parity.cases.adapters.haiku": ("from_haiku",),
    "parity.cases.adapters.linen": ("from_linen",),
    "parity.cases.adapters.nnx": ("from_nnx",),
    "parity.cases.artifacts": ("Artifact",),
    "parity.cases.case": ("Case", "Dataset", "Limit", "State", "Training"),
    "parity.cases.optimizers": ("Optimizer", "Schedule"),
    "parity.cases.specs": ("Batch", "Spec"),
    "parity.compat.remedies": ("readable_by",),
    "parity.core.errors": ("ParityError",),
    "parity.handover.continuing": ("resume",),
    "parity.probes.evaluation": ("score",),
    "parity.probes.seeded_defects": ("seeded_defect",),
    "parity.probes.declaration": ("Probe", "every_runtime"),
    "parity.runtimes.base": ("Capabilities", "Model", "Runtime"),
    "parity.session.asserting": ("assert_in_order",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import parity` imports neither numpy nor a framework."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'parity' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    """Return the public names beside those that are imported already."""
    return sorted({*globals(), *__all__})
