"""What a run asks: the selection that options make."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from parity.cases.case import BATCH_SIZES, PROBES, TEST_SET, Case, load
from parity.core.errors import NotComparableError, UsageError
from parity.core.ledger import IMPORTING, Ledger
from parity.runtimes import JAX, RUNTIMES, SAVED_MODEL, SAVED_MODEL_FRESH, VIRTUAL_CPUS

ARTIFACT, TRAINED, FINETUNED = "artifact", "training", "finetuning"
TRAJECTORY, RESUMPTION, ENDURANCE, FUSION = "trajectory", "resumption", "endurance", "fusion"
BESIDE = {
    ARTIFACT: SAVED_MODEL, TRAINED: JAX, FINETUNED: SAVED_MODEL, TRAJECTORY: SAVED_MODEL, RESUMPTION: SAVED_MODEL_FRESH,
    ENDURANCE: SAVED_MODEL, FUSION: SAVED_MODEL,
}  # fmt: skip
"""What is checked beside the probes, once per case, and the runtime that it is about."""
RELATIONS, CANARIES = "relations", "canaries"
"""What a case's runtimes must be to each other, and whether its subject can see."""
OPERATIONS, OPTIMIZERS = "operations", "optimizers"
"""Single operations, and optimizers with their schedules: about a pair of releases, and asked beside any case."""
OF_NO_CASE = (OPERATIONS, OPTIMIZERS)
LATENCY = "latency"
"""How long steps take, and what runtimes cost beside; asked where it is wanted."""
ASKED = (*PROBES, *BESIDE, RELATIONS, CANARIES, *OF_NO_CASE, LATENCY)
"""Everything that `--probe` selects."""


@dataclass(frozen=True)
class Selection:
    """What a run asks: cases by the name they were given under, and which runtimes, probes and batch sizes."""

    cases: dict[str, Case]
    runtimes: tuple[str, ...]
    probes: tuple[str, ...]
    sizes: tuple[int, ...]
    default_sizes: bool = False

    @classmethod
    def of(
        cls,
        cases: Iterable[str],
        runtimes: tuple[str, ...],
        probes: tuple[str, ...],
        sizes: tuple[str, ...],
        ledger: Ledger,
    ) -> Selection:
        """The selection that options make; what is not given is everything.

        Raises:
            UsageError: a name or number is not one of those expected.
        """
        for kind, given, known in (("runtime", runtimes, RUNTIMES), ("probe", probes, ASKED)):
            for name in given:
                if name not in known:
                    raise UsageError(f"no {kind} {name!r}. Expected one of {', '.join(known)}.")
        chosen = tuple(dict.fromkeys(_size(size) for size in sizes)) or BATCH_SIZES
        with ledger.spend(IMPORTING):
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
            try:
                from parity.runtimes import jax
            except Exception as error:
                raise not_installed("jax", error) from error
            jax.configure_devices(VIRTUAL_CPUS)  # before a case can start JAX
            loaded = {name: load(name) for name in dict.fromkeys(cases)}
        if len({case.name for case in loaded.values()}) < len(loaded):
            raise UsageError("two of the cases have the same name. Rename one: ids and records go by it.")
        return cls(loaded, runtimes or RUNTIMES, probes or ASKED, chosen, default_sizes=not sizes)


def not_installed(framework: str, error: Exception) -> NotComparableError:
    """The error to raise when a framework, or what stands on it, cannot be imported."""
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
