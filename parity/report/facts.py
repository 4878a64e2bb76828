"""What a page, Markdown and a terminal say alike of a run: its worst checks, its matrix, and what unblocks it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from parity.compat import known_issues
from parity.core.failures import REMEDIABLE, RESOLVER
from parity.gate.text import one_line
from parity.records import COMPLETE, FIXED, IN_ORDER, KNOWN, MISSING, NO_DEVICE, Check, Run
from parity.report.numbers import listed, plural

SIGNS = {"pass": "✓", "known": "◇", "remedied": "⚒", "fixed": "!", "missing": "?"}
"""Of a status; what is not among them is out of order, and has a cross."""

_IN_ORDER = ("jax", "jax_float64", "tf_eager", "tf_graph", "tf_xla", "saved_model", "saved_model_fresh")
RUNTIMES = {name: place for place, name in enumerate(_IN_ORDER)}
POWER = "power: "

REMEDY = """\
import parity

with parity.readable_by("{requirement}"):
    ...  # convert and save here"""
APART = """\
parity export reports/bundle    # where jax is installed
parity verify reports/bundle    # where tensorflow is"""


@dataclass(frozen=True)
class Way:
    """One thing that unblocks a run, or that is to be known of it: what and why, and code to copy."""

    text: str
    code: str = ""
    check: Check | None = None


def plain(text: str, longest: int = 1000) -> str:
    """`gate.text.one_line` of a sentence of ours about what a record says; a colon at its end is ours."""
    return f"{one_line(text[:-1], longest)}:" if text.endswith(":") else one_line(text, longest)


def code(text: str) -> list[str]:
    """Code as lines that only show themselves and can be copied: `::` begins a command of a CI service, or is none."""
    lines = [(line, plain(line, 4000)) for line in text.splitlines()]
    return [shown if line.lstrip().startswith("::") else shown.replace(":\\x3a", "::") for line, shown in lines]


def sign(status: str) -> str:
    """One character for a status."""
    return SIGNS.get(status, "✗")


def severity(check: Check) -> tuple[bool, float]:
    """Sorts checks: what is not in order first, then the highest score; a score that is no number is the highest."""
    good = check.status in IN_ORDER
    score = check.score if check.score is not None else (0.0 if good else math.inf)
    return good, -math.inf if math.isnan(score) else -score


def worst_leaves(checks: Iterable[Check]) -> list[Check]:
    """Of every leaf of a probe the worst check: on each runtime where it is not in order, else the highest score."""
    worst: dict[tuple[str, str, str, str], Check] = {}
    for check in sorted(checks, key=severity):
        bad = check.status not in IN_ORDER
        if bad or check.score is not None:
            worst.setdefault((check.case, check.probe, check.leaf, check.runtime if bad else ""), check)
    return list(worst.values())


def question(check: Check) -> str:
    """The kind of question that a check belongs to; a probe, or for the power of one `power: ` and its name."""
    name = check.item.partition("[")[0].removeprefix("test_")
    return f"{POWER}{check.probe}" if name == "power" else name


@dataclass
class Row:
    """One probe of one case: its checks by runtime and batch size."""

    case: str
    probe: str
    cells: dict[tuple[str, int], list[Check]] = field(default_factory=dict)

    def runtimes(self) -> set[str]:
        """Those that were asked."""
        return {runtime for runtime, _ in self.cells}

    def at(self, runtime: str | None = None, size: int | None = None) -> list[Check]:
        """The checks at a runtime and a batch size; of any where they are None."""
        found = ((r, s, c) for (r, s), c in self.cells.items())
        return [c for r, s, cs in found if runtime in (None, r) and size in (None, s) for c in cs]


def of_several(checks: Iterable[Check]) -> set[str]:
    """The probes that several cases have."""
    cases: dict[str, set[str]] = {}
    for check in checks:
        for probe in (check.probe, question(check)):
            cases.setdefault(probe, set()).add(check.case)
    return {probe for probe, found in cases.items() if len(found) > 1}


def matrix(checks: Iterable[Check]) -> list[Row]:
    """A row for every case and probe: those asked on the most runtimes first, the powers of probes last."""
    rows: dict[tuple[str, str], Row] = {}
    for check in checks:
        row = rows.setdefault((check.case, question(check)), Row(check.case, question(check)))
        row.cells.setdefault((check.runtime, check.batch_size), []).append(check)
    return sorted(rows.values(), key=lambda row: (row.probe.startswith(POWER), -len(row.runtimes())))


def runtimes(checks: Iterable[Check]) -> list[str]:
    """The runtimes that were asked, JAX first."""
    return sorted(dict.fromkeys(check.runtime for check in checks), key=lambda name: RUNTIMES.get(name, len(RUNTIMES)))


def on_tensorflow(check: Check) -> bool:
    """Whether TensorFlow was asked, and not JAX alone."""
    return check.tf_device != NO_DEVICE


def size(size: int) -> str:
    """A batch size where it is said to be one; 0 stands for the whole test set."""
    return f"{size:,}" if size else "test set"


def size_words(size: int) -> str:
    """A batch size."""
    return f"batch {size:,}" if size else "test set"


def ways(run: Run) -> list[Way]:
    """What unblocks `run`, the first thing to do first; empty where nothing blocks it."""
    bad = sorted((check for check in run.all_checks() if check.status not in IN_ORDER), key=severity)
    return [*_remedied(run), *_stopped(run), *_remediable(run, bad), *_out_of_order(run, bad)]


def _remedied(run: Run) -> Iterator[Way]:
    alike: dict[tuple[str, str, str], list[str]] = {}
    for remedy in run.remedies:
        alike.setdefault((remedy.requirement, remedy.failure, remedy.evidence), []).append(remedy.case)
    for (requirement, failure, evidence), cases in alike.items():
        need, them = ("need", "them") if len(cases) > 1 else ("needs", "it")
        yield Way(
            f"{' and '.join(cases)} {need} a remedy: as exported by default TensorFlow cannot run {them} "
            f"({_why(failure, evidence)}). Every check here was made on an export written for what this TensorFlow can "
            "read. Put this around everything that converts and saves:",
            REMEDY.format(requirement=requirement),
        )


def _why(failure: str | None, evidence: str | None) -> str:
    return ", ".join(text for text in (failure, evidence) if text) or "without a reason"


def _stopped(run: Run) -> Iterator[Way]:
    if run.stopped is not None and run.stopped.failure == RESOLVER:
        yield Way(
            "These releases cannot be installed together, so no environment can have both. Export in one that has "
            "jax, and check in another that has TensorFlow:",
            APART,
        )
    elif run.stopped is not None or run.state != COMPLETE:
        yield Way("The run did not end by itself, so there is no verdict. Run it again to its end.")


def _remediable(run: Run, bad: list[Check]) -> Iterator[Way]:
    mended = {remedy.case for remedy in run.remedies}
    version = run.environment.get("versions", {}).get("tensorflow")
    found = {(c.case, c.failure): c for c in reversed(bad) if c.failure in REMEDIABLE and c.case not in mended}
    for check in reversed(found.values()):
        said = f"{check.case} fails as exported by default: {_why(check.failure, check.evidence)}. "
        if version:
            said += "An export written for what this TensorFlow can read may pass. Put this around everything that "
            yield Way(f"{said}converts and saves:", REMEDY.format(requirement=f"tensorflow=={version}"), check)
        else:
            yield Way(f"{said}Export under parity.readable_by with the version of that TensorFlow.", "", check)


def _out_of_order(run: Run, bad: list[Check]) -> Iterator[Way]:
    fixed = [check for check in bad if check.status == FIXED]
    missing = [check for check in bad if check.status == MISSING]
    failed = [c for c in bad if c.status not in (FIXED, MISSING) and c.failure not in REMEDIABLE]
    if failed:
        first = failed[0]
        why = f": {first.message or first.evidence}" if first.message or first.evidence else ""
        yield Way(
            f"No remedy is known for {plural(len(failed), 'check')} out of order. The worst is {first.leaf} of "
            f"{first.item}{why.rstrip('.')}. To see it again:",
            first.repeat or "",
            first,
        )
    if fixed:
        names = listed(sorted({check.known_issue or "an issue" for check in fixed}))
        yield Way(f"{names} is listed as known and passes: remove or narrow the entry in known_issues.toml.")
    if missing and run.state == COMPLETE:
        first = missing[0]
        yield Way(
            f"{plural(len(missing), 'planned question')} left no answer, such as {first.item}. Run again.", "", first
        )


def known(checks: Iterable[Check]) -> list[Way]:
    """Each known issue that `checks` are instances of, and what helps."""
    return list(_known(checks))


def _known(checks: Iterable[Check]) -> Iterator[Way]:
    found: dict[str, list[Check]] = {}
    for check in checks:
        if check.status == KNOWN:
            found.setdefault(check.known_issue or "", []).append(check)
    for name, mine in found.items():
        issue = known_issues.find(name)
        text = issue.text if issue else f"{_why(mine[0].failure, mine[0].evidence)}."
        helps = f" What helps: {issue.remedy}" if issue and issue.remedy != "none" else " Nothing is known to help."
        yield Way(
            f"Known issue {name}: {text}{helps} It does not count against this pair ({plural(len(mine), 'check')}).",
            "",
            mine[0],
        )
