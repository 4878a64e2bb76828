"""The results of a subject's runtimes, by the names of a probe and a runtime."""

from parity.probes.evaluation import Place, score
from parity.runtimes.base import FIRST_CPU

SIZE = 13
"""Examples in a batch, where a test needs no other size."""


def results(subject, probe, runtime, size=SIZE, device=FIRST_CPU):
    """The result of every leaf of a runtime's answer; both sides are on `device`."""
    return score(subject, probe, Place(runtime, device, device), size)


def statuses(subject, probe, runtime, size=SIZE, device=FIRST_CPU):
    """Their statuses, without repetition."""
    return {result.status for result in results(subject, probe, runtime, size, device)}
