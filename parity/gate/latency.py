"""What a runtime costs: steps that take longer, memory and artifacts that grew.

A step is slower by the ratio of the medians of two runs. The interval of that goes from the low end of the candidate's
interval over the high end of the baseline's to the reverse, and is widened by what two processes of one program may
differ: it holds the true factor whenever both of those hold their medians and the processes are no further apart, and
is wider than it need be. A slowdown blocks where it lies above the policy's factor and every repeat,
another run of the candidate's releases on the same machine, says so too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

from parity.core.errors import NotComparableError
from parity.core.text import one_line
from parity.gate import machines, verdict
from parity.gate.checks import Difference, digits
from parity.gate.policy import Drift, Policy
from parity.gate.side import PACKAGES, Side
from parity.gate.verdict import BLOCK, NOTE, WARN, Finding
from parity.records import Timing
from parity.records.measures import BATCH_SIZES, BETWEEN_PROCESSES

REPEAT = "REPEAT"
"""Stands for the folder of a repeat that is yet to be made."""


class Slowdown(msgspec.Struct, frozen=True, gc=False):
    """By which factor a step became longer, and the interval of that."""

    factor: float
    low: float
    high: float

    @classmethod
    def between(cls, was: Timing, became: Timing) -> Slowdown:
        """Return the slowdown from one timing to another."""
        pairs = (became.median_ns, was.median_ns), (became.low_ns, was.high_ns), (became.high_ns, was.low_ns)
        factor, low, high = (_ratio(float(a), float(b)) for a, b in pairs)
        return cls(factor, low * (1 - BETWEEN_PROCESSES), high * (1 + BETWEEN_PROCESSES))

    def __str__(self) -> str:
        return f"{digits(self.factor)} ({digits(self.low)} to {digits(self.high)})"


def _ratio(became: float, was: float) -> float:
    return became / was if was else math.inf


def require_repeats(baseline: Side, candidate: Side, repeats: Sequence[Side]) -> None:
    """Refuse what is no repeat of `candidate`.

    Raises:
        NotComparableError: it is a run that was given already, did not end, or has other releases or another machine.
    """
    seen = [baseline, candidate]
    for repeat in repeats:
        why = _no_repeat(candidate, repeat)
        if any((repeat.cell, repeat.started_at) == (run.cell, run.started_at) for run in seen):
            why = "it is a run that is given already"
        if why:
            raise NotComparableError(
                f"{repeat.source} is no repeat of {candidate.source}: {why}. Expected another run of the same releases "
                "on the same machine; make it with parity run -m latency and the same options."
            )
        seen.append(repeat)


def _no_repeat(candidate: Side, repeat: Side) -> str:
    if repeat.started_at is None:
        return "it is a baseline, which keeps no times"
    if not repeat.complete():
        return "it did not run to its end"
    for name in PACKAGES:
        if repeat.versions.get(name) != candidate.versions.get(name):
            return f"{name} is another"
    return machines.difference(candidate.machine, repeat.machine)


def compare_timings(baseline: Side, candidate: Side, policy: Policy, repeats: Sequence[Side]) -> Iterator[Finding]:
    """Yield steps that take longer, where both were measured on one kind of machine under the same conditions."""
    if not baseline.timings:
        if repeats or (baseline.started_at is None and candidate.timings):
            yield Finding(NOTE, verdict.LATENCY, "", _no_latencies(baseline))
        return
    why = machines.difference(baseline.machine, candidate.machine)
    if why:
        yield Finding(NOTE, verdict.LATENCY, "", "latencies are not compared", detail=why)
        return
    if not candidate.timings:
        yield Finding(WARN, verdict.LATENCY, "", "latencies were measured in the baseline only")
        return
    unconfirmed = False
    for name, was in baseline.timings.items():
        became = candidate.timings.get(name)
        found = _slower(was, became, [run.timings.get(name) for run in repeats], policy.drift.latency)
        if found is None:
            continue
        level, kind, what, detail, worst = found
        unconfirmed = unconfirmed or what.endswith(_UNCONFIRMED)
        excuse = policy.excuse(was.case, verdict.LATENCY, was.runtime) if level == BLOCK else ""
        yield Finding(
            WARN if excuse else level, kind, "step", what, _step(was),
            case=was.case, probe=verdict.LATENCY, runtime=was.runtime, detail=detail, worst=worst, excuse=excuse,
        )  # fmt: skip
    if unconfirmed:
        yield Finding(
            NOTE, verdict.LATENCY, "", "a step that takes longer blocks once a repeat confirms it: measure the "
            f"candidate's releases again with the same options, parity run -m latency{_options(candidate)} --out "
            f"{REPEAT}, and give that to the gate, parity gate {baseline.source} {candidate.source} --repeat {REPEAT}",
        )  # fmt: skip


def _no_latencies(baseline: Side) -> str:
    if baseline.started_at is None:
        return "the baseline keeps no latencies; give the record to compare them"
    return "the baseline has no latencies; measure them with parity run --latency to compare them"


def _options(run: Side) -> str:
    """Return the cases and batch sizes of its latencies, where they are not those that are measured by default."""
    cases = sorted({timing.case for timing in run.timings.values()})
    sizes = sorted({timing.batch_size for timing in run.timings.values()})
    given = [f"--case {one_line(case)}" for case in cases if cases != ["reference"]]
    given += [f"--batch-size {size}" for size in sizes if sizes != list(BATCH_SIZES)]
    return "".join(f" {option}" for option in given)


_UNCONFIRMED = "and no repeat was given to confirm it"


def _slower(was: Timing, became: Timing | None, repeated: Sequence[Timing | None], limit: float) -> Difference | None:
    """Return how a step became slower; None where it did not."""
    if became is None:
        return Difference(WARN, verdict.LATENCY, "was measured in the baseline only")
    found, again = Slowdown.between(was, became), [Slowdown.between(was, one) for one in repeated if one is not None]
    if found.factor <= limit:
        return None
    level, more = _confirmed(found, again, len(repeated), limit)
    detail = (
        f"{_ms(was)} to {_ms(became)}, a factor {found}, in {len(was.times_ns)} and {len(became.times_ns)} rounds"
        + "".join(f"; repeated {one}" for one in again)
    )
    worst = math.inf if math.isnan(found.factor) else found.factor
    return Difference(level, verdict.LATENCY, f"takes longer by more than a factor {limit:g}, {more}", detail, worst)


def _confirmed(found: Slowdown, again: Sequence[Slowdown], repeats: int, limit: float) -> tuple[str, str]:
    """Return the level of a slowdown, and why; `again` is what the repeats say that measured it."""
    if not found.low > limit:
        return WARN, "though its interval does not exclude less"
    if not all(one.low > limit for one in again):
        return NOTE, "which a repeat did not confirm"
    if not repeats:
        return WARN, _UNCONFIRMED
    return (BLOCK, "confirmed by a repeat") if len(again) == repeats else (WARN, "and a repeat did not measure it")


def compare_footprints(baseline: Side, candidate: Side, drift: Drift) -> Iterator[Finding]:
    """Yield memory and artifacts that grew; memory where both ran on one kind of machine."""
    alike = machines.same_kind(baseline.machine, candidate.machine)
    for key, was in baseline.footprints.items():
        became = candidate.footprints.get(key)
        if became is None:
            continue
        comparable = alike and was.batch_size == became.batch_size
        memory = (was.peak_memory_bytes, became.peak_memory_bytes) if comparable else (None, None)
        pairs = (
            ("memory peak", drift.memory, *memory),
            ("artifact", drift.artifact, was.artifact_bytes, became.artifact_bytes),
        )
        for noun, factor, before, after in pairs:
            if before is not None and after is not None and after > factor * before:
                yield Finding(
                    WARN, verdict.FOOTPRINT, noun, f"grew by more than a factor {factor:g}", case=was.case,
                    runtime=was.runtime, detail=f"{_mb(before)} to {_mb(after)}", worst=_ratio(after, before),
                )  # fmt: skip


def _step(timing: Timing) -> str:
    return f"{timing.step} at batch size {timing.batch_size} ({timing.device})"


def _ms(timing: Timing) -> str:
    return f"{digits(float(timing.median_ns) / 1e6)} ms"


def _mb(size: int) -> str:
    return f"{size / 1e6:,.4g} MB"
