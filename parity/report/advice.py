"""What to do about a run, or about the newest pair of an atlas: a sentence, and code to copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from parity.compat import known_issues
from parity.core.failures import REMEDIABLE, RESOLVER
from parity.core.text import few, plural
from parity.records import COMPLETE, FIXED, IN_ORDER, JOINT, KNOWN, MISSING, SPLIT, Check, Remedy, Run
from parity.records import atlas as atlases
from parity.records.atlas import AGREES, WITH_REMEDY, Atlas, Row
from parity.report.atlas_text import outcome
from parity.report.facts import leaf, severity, whole
from parity.report.numbers import listed

EXPORT_FOR = """\
import parity

with parity.readable_by("{requirement}"):
    ...  # convert and save here"""
SEPARATELY = """\
parity export reports/bundle    # where jax is installed
parity verify reports/bundle    # where tensorflow is"""
PINS = 'pip install "jax=={}" "tensorflow=={}"'


@dataclass(frozen=True)
class Advice:
    """One thing to do, or to know: the text, code to copy, and the check that it is about."""

    text: str
    code: str = ""
    check: Check | None = None


def blocking(run: Run) -> list[Advice]:
    """Return what unblocks `run`, the first thing to do first; empty where nothing blocks it."""
    bad = sorted((check for check in run.all_checks() if check.status not in IN_ORDER), key=severity)
    return [
        *_remedied(run), *_stopped(run), *_remediable(run, bad), *_of_other_weights(run, bad), *_not_in_order(run, bad),
    ]  # fmt: skip


def remedy(found: Remedy) -> str:
    """Return that a case of a run needs a remedy, and which, in one line."""
    reason = _reason(found.failure, found.evidence)
    return f'{found.case} needs a remedy ({reason}): export under parity.readable_by("{found.requirement}").'


def _remedied(run: Run) -> Iterator[Advice]:
    alike: dict[tuple[str, str, str], list[str]] = {}
    for remedy in run.remedies:
        alike.setdefault((remedy.requirement, remedy.failure, remedy.evidence), []).append(remedy.case)
    for (requirement, failure, evidence), cases in alike.items():
        need, them = ("need", "them") if len(cases) > 1 else ("needs", "it")
        yield Advice(
            f"{listed(cases)} {need} a remedy: as exported by default TensorFlow cannot run {them} "
            f"({_reason(failure, evidence)}). Every check here was made on an export written for what this TensorFlow "
            "can read. Put this around everything that converts and saves:",
            EXPORT_FOR.format(requirement=requirement),
        )


def _reason(failure: str | None, evidence: str | None) -> str:
    return ", ".join(text for text in (failure, evidence) if text) or "without a reason"


def _stopped(run: Run) -> Iterator[Advice]:
    if run.stopped is not None and run.stopped.failure == RESOLVER:
        yield Advice(
            "These releases cannot be installed together, so no environment can have both. Export in one that has "
            "jax, and check in another that has TensorFlow:",
            SEPARATELY,
        )
    elif run.stopped is not None or run.state != COMPLETE:
        yield Advice("The run did not reach its end, so there is no verdict. Run it again.")


def _remediable(run: Run, bad: list[Check]) -> Iterator[Advice]:
    remedied = {remedy.case for remedy in run.remedies}
    version = run.environment.get("versions", {}).get("tensorflow")
    worst: dict[tuple[str, str | None], Check] = {}
    for check in bad:
        if check.failure in REMEDIABLE and check.case not in remedied:
            worst.setdefault((check.case, check.failure), check)
    for check in worst.values():
        fails = f"{check.case} fails as exported by default: {_reason(check.failure, check.evidence)}."
        if version:
            text = "An export written for what this TensorFlow can read may pass. Put this around everything that "
            code = EXPORT_FOR.format(requirement=f"tensorflow=={version}")
            yield Advice(f"{fails} {text}converts and saves:", code, check)
        else:
            yield Advice(f"{fails} Export under parity.readable_by with the version of that TensorFlow.", "", check)


def _of_other_weights(run: Run, bad: list[Check]) -> Iterator[Advice]:
    """Yield which weights an artifact of a user's own does not have: other failures may follow from that."""
    for case in run.environment.get("artifacts", {}):
        found = [check for check in bad if (check.case, check.probe) == (case, "state") and not whole(check)]
        if found:
            leaves = few(list(dict.fromkeys(check.leaf for check in found)))
            yield Advice(
                f"The artifact of {case} does not have these weights of the case: {leaves}. What else fails of it may "
                "follow from that, and not from JAX or TensorFlow. Give the case the weights of the artifact, by "
                "weights=... or init, or export the artifact again from those of the case.",
                "",
                found[0],
            )


def _not_in_order(run: Run, bad: list[Check]) -> Iterator[Advice]:
    fixed = [check for check in bad if check.status == FIXED]
    missing = [check for check in bad if check.status == MISSING]
    failed = [c for c in bad if c.status not in (FIXED, MISSING) and c.failure not in REMEDIABLE]
    if failed:
        first = failed[0]
        reason = f": {first.message or first.evidence}" if first.message or first.evidence else ""
        repeats = " This command repeats it:" if first.repeat else ""
        yield Advice(
            f"{plural(len(failed), 'check')} not in order. The worst is {leaf(first)}"
            f"{' ' if whole(first) else ' of '}{first.item}{reason.rstrip('.')}.{repeats}",
            first.repeat or "",
            first,
        )
    if fixed:
        names = listed(sorted({check.known_issue or "an issue" for check in fixed}))
        yield Advice(f"{names} is listed as a known issue and passes: remove or narrow the entry in the list.")
    if missing and run.state == COMPLETE:
        known = {id(check) for check in run.checks}
        said = [check for check in missing if id(check) in known]
        first = (said or missing)[0]
        such = f"{plural(len(missing), 'planned item')} gave no answer, such as {first.item}"
        why = f": {(first.message or 'no reason is known').rstrip('.')}." if said else ". Run again."
        yield Advice(f"{such}{why}", "", first)


def known(run: Run, checks: Iterable[Check]) -> list[Advice]:
    """Return each known issue that `checks` of a run are instances of, and what helps."""
    issues = known_issues.of_run(run)
    found: dict[str, list[Check]] = {}
    for check in checks:
        if check.status == KNOWN:
            found.setdefault(check.known_issue or "", []).append(check)
    return [_known(name, instances, issues) for name, instances in found.items()]


def _known(name: str, checks: list[Check], issues: Iterable[known_issues.KnownIssue]) -> Advice:
    issue = known_issues.find(name, issues)
    text = issue.text if issue else f"{_reason(checks[0].failure, checks[0].evidence)}."
    helps = f" What helps: {issue.remedy}" if issue and issue.remedy != "none" else " Nothing is known to help."
    count = plural(len(checks), "check")
    return Advice(f"Known issue {name}: {text}{helps} It does not count against this pair ({count}).", "", checks[0])


def for_newest_pair(atlas: Atlas) -> Advice | None:
    """Return what unblocks the newest pair, without code where it needs nothing; None without a pair.

    The newest pair is the newest jax with the newest tensorflow that it was run with, in one environment if possible.
    Where it does not agree, the newest pair that does is named.
    """
    pairs = [row for row in atlas.cells if row["jax"] and row["tensorflow"]]
    rows = [row for row in pairs if row["mode"] == JOINT] or [row for row in pairs if row["mode"] == SPLIT]
    if not rows:
        return None
    newest = rows[-1]
    kind, pair = atlases.kind(newest), _pair(newest)
    if kind == AGREES:
        return Advice(f"Nothing has to: the newest pair, {pair}, agrees as exported by default.")
    if kind == WITH_REMEDY:
        fails = f"fails as exported by default ({newest['class']}), and agrees with this around the export"
        return Advice(f"The newest pair, {pair}, {fails}:", EXPORT_FOR.format(requirement=newest["remedy"]))
    fails = f"The newest pair, {pair}: {outcome(newest)}."
    good = [row for row in rows if atlases.kind(row) in (AGREES, WITH_REMEDY)]
    if not good:
        return Advice(f"{fails} No other pair agrees.")
    best, code = good[-1], PINS.format(good[-1]["jax"], good[-1]["tensorflow"])
    if best["remedy"]:
        code += f"\n\n{EXPORT_FOR.format(requirement=best['remedy'])}"
    agrees = "agrees with a remedy" if best["remedy"] else "agrees"
    return Advice(f"{fails} The newest pair that {agrees} is {_pair(best)}:", code)


def _pair(row: Row) -> str:
    return f"jax {row['jax']} with tensorflow {row['tensorflow']}"
