"""What options select: cases, runtimes, probes and batch sizes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from parity.cases.case import BATCH_SIZES, TEST_SET, Case
from parity.cases.loading import load_all
from parity.core.errors import NotComparableError, UsageError
from parity.core.ledger import IMPORTING, TimeLedger
from parity.records import FULL
from parity.runtimes import registry
from parity.runtimes.base import VIRTUAL_CPUS, Runtime


@dataclass(frozen=True)
class Selection:
    """What a run is about.

    Attributes:
        cases: by the name that they were given under.
        runtimes: the selected runtimes.
        probes: names of probes; empty for all.
        sizes: batch sizes, `TEST_SET` for the whole test set.
        default_sizes: whether nothing else was given; sizes that a test set cannot fill are then left out.
        level: one of `records.LEVELS`; what options name is planned at every level.
        given_runtimes: whether options name the runtimes.
        named: the probes that options name, by their name or mark.
        left_out: why cases of a group are left out, by name.
        artifact: the SavedModel that options give, in place of the case's export.
    """

    cases: dict[str, Case]
    runtimes: tuple[type[Runtime], ...]
    probes: tuple[str, ...]
    sizes: tuple[int, ...]
    default_sizes: bool = False
    level: str = FULL
    given_runtimes: bool = False
    named: frozenset[str] = frozenset()
    left_out: Mapping[str, str] = field(default_factory=dict)
    artifact: str | None = None

    def name_of(self, case: str) -> str:
        """Return the name under which the case named `case` was given."""
        return next((name for name, found in self.cases.items() if found.name == case), case)


def select(
    cases: Iterable[str],
    runtimes: Sequence[str],
    probes: Sequence[str],
    sizes: Sequence[str],
    ledger: TimeLedger,
    level: str = FULL,
    marks: Iterable[str] = (),
    artifact: str | None = None,
) -> Selection:
    """Return the selection that options make; what is not given is everything that the level has.

    Args:
        cases: as options give them, a group for all its cases, like the next three.
        runtimes: by name.
        probes: by name.
        sizes: batch sizes.
        ledger: books the time of imports.
        level: one of `records.LEVELS`.
        marks: of further probes that options name.
        artifact: the folder of a SavedModel in place of the one case's own export; None for none.

    Raises:
        UsageError: a name or number is not one of those expected.
        CaseError: a case cannot be loaded.
        NotComparableError: JAX is not installed.
    """
    chosen = tuple(map(registry.require, dict.fromkeys(runtimes))) or tuple(registry.runtimes().values())
    numbers = tuple(dict.fromkeys(_size(size) for size in sizes)) or BATCH_SIZES
    with ledger.spend(IMPORTING):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        try:
            from parity.cases import jax_devices
        except Exception as error:
            raise not_installed("jax", error) from error
        jax_devices.configure_devices(VIRTUAL_CPUS)  # before a case can start JAX
        loaded, left_out = load_all(cases)
        if artifact is not None:
            loaded = _with_artifact(loaded, artifact)
    if len({case.name for case in loaded.values()}) < len(loaded):
        raise UsageError("two of the cases have the same name. Rename one: ids and records go by it.")
    return Selection(
        loaded, chosen, tuple(probes), numbers, default_sizes=not sizes, level=level, given_runtimes=bool(runtimes),
        named=frozenset([*probes, *marks]), left_out=left_out, artifact=artifact,
    )  # fmt: skip


def _with_artifact(cases: dict[str, Case], path: str) -> dict[str, Case]:
    if len(cases) != 1:
        raise UsageError(f"--artifact {path} with {len(cases)} cases. Expected the one --case that it is of.")
    return {
        name: replace(case, artifact=replace(case.corrections, path=path), export=None) for name, case in cases.items()
    }


def not_installed(framework: str, error: Exception) -> NotComparableError:
    """Return the error to raise when a framework, or what stands on it, cannot be imported."""
    return NotComparableError(
        f"{framework} cannot be imported: {type(error).__name__}: {error}. Expected both frameworks; install the pair "
        "that you want to check."
    )


def _size(text: str) -> int:
    if text == "test":
        return TEST_SET
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(
            f"batch size {text!r}. Expected a whole number of at least 1, or 'test' for the whole test set."
        )
    return int(text)
