"""What a run runs on: both frameworks imported, their devices and releases, and what the handshake predicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parity.compat import deprecations, handshake
from parity.core import environment
from parity.core.ledger import IMPORTING, TimeLedger
from parity.probes.declaration import Devices
from parity.records import Deprecation
from parity.runtimes.base import VIRTUAL_CPUS
from parity.session.planning import gpu_pairs
from parity.session.selection import Selection, not_installed

if TYPE_CHECKING:
    from parity.export.programs import CasePrograms


@dataclass(frozen=True)
class Environment:
    """The environment of a run.

    Attributes:
        facts: for `Run.environment`.
        predictions: by case, what the handshake predicts.
        programs: by case, what conversion would export.
        gpus: the pairs of devices where either framework sees a GPU.
    """

    facts: dict[str, Any]
    predictions: dict[str, handshake.Prediction]
    programs: dict[str, CasePrograms]
    gpus: list[Devices]


def import_frameworks(
    selection: Selection, ledger: TimeLedger, deprecated: Callable[[Deprecation], None]
) -> Environment:  # fmt: skip
    """Import both frameworks, give each its virtual CPUs before either starts, and describe what is there.

    Raises:
        NotComparableError: TensorFlow, or what stands on it, cannot be imported.
    """
    with ledger.spend(IMPORTING), deprecations.collecting(deprecated):
        try:
            from parity.cases import jax_devices
            from parity.compat import reader, writer
            from parity.export import artifact
            from parity.export.programs import CasePrograms
            from parity.probes.registry import probes
        except Exception as error:  # releases that do not go together fail in many ways
            raise not_installed("tensorflow", error) from error
        artifact.configure_devices(VIRTUAL_CPUS)
        probes()
        versions = environment.versions()
        writes, reads = writer.describe(), reader.describe()
        limits = reads.filled(versions["tensorflow"])
        programs = {case.name: CasePrograms(case) for case in selection.cases.values()}
        predictions = {
            name: handshake.predict(writes, limits, found.newer_operations(writes, limits))
            for name, found in programs.items()
        }
    devices = {"jax": jax_devices.devices(), "tensorflow": artifact.devices()}
    facts = {
        "versions": versions,
        "installed": environment.installed(),
        "machine": environment.machine(),
        "devices": devices,
        "writer": vars(writes),
        "reader": vars(reads),
        "prediction": vars(next(iter(predictions.values()))),
    }
    return Environment(facts, predictions, programs, gpu_pairs(devices["jax"], devices["tensorflow"]))
