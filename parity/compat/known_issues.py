"""Known issues: understood failures, listed in `known_issues.toml` and in a project's own file, matched strictly.

A check that fails as listed is in order. A check that fails otherwise is not, and one that passes is not in order until
the entry is removed. So a list can neither hide a new failure nor outlive an old one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from parity.core.errors import UsageError
from parity.core.failures import CLASSES, NUMERIC, UNKNOWN, Failure
from parity.records import CRASH, ERROR, FAIL, FIXED, KNOWN, NO_DEVICE, PASS, REMEDIED, TIMEOUT, Check, Run

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LIST = Path(__file__).with_name("known_issues.toml")
REQUIRED = ("id", "class", "text", "upstream", "remedy")
RANGES = ("jax", "tensorflow", "flax", "keras", "python")
PATTERNS = ("device", "case", "test", "probe", "runtime", "variant", "leaf")
EXPRESSIONS = ("evidence", "operation")
KEYS = (*REQUIRED, *RANGES, *PATTERNS, *EXPRESSIONS)
_FAILED = (FAIL, ERROR, CRASH, TIMEOUT)
_PASSED = (PASS, REMEDIED)
_JAX_RUNTIMES = ("jax", "jax_float64")


@dataclass(frozen=True)
class KnownIssue:
    """One entry of a list: where it applies, how checks fail there, and what a user should know of it.

    Attributes:
        id: lower-case words joined by hyphens.
        kind: the class of failure, of `parity.core.failures`.
        text: the cause.
        upstream: a URL, or `none: ` and why there is none.
        remedy: what helps, or `none`.
        ranges: PEP 440 ranges by package, or `python`; a package that is absent may have any version.
        patterns: `fnmatch` patterns by field of a check; a field that is absent may have any value.
        evidence: what the evidence or the message of the failure must match, if anything.
        operation: what the operation or the evidence of a failure matches, in any case, that this entry can cure; see
            `concerns`. It has no part in `explains`.
        path: the file that lists it.
    """

    id: str
    kind: str
    text: str
    upstream: str
    remedy: str
    ranges: Mapping[str, SpecifierSet]
    patterns: Mapping[str, str]
    evidence: re.Pattern[str] | None
    operation: re.Pattern[str] | None
    path: Path

    def applies_to(self, check: Check, environment: Mapping[str, Any]) -> bool:
        """Return whether this entry says that `check` fails in `environment`, which is that of a run's record.

        An entry applies to checks of JAX alone only if its `runtime` is `jax` or `jax_float64`.
        """
        alone = check.tf_device == NO_DEVICE
        if alone and self.patterns.get("runtime") not in _JAX_RUNTIMES:
            return False
        for name, pattern in self.patterns.items():
            field = name if name != "device" else "jax_device" if alone else "tf_device"
            if not fnmatchcase(getattr(check, field), pattern):
                return False
        python = environment.get("machine", {}).get("python")
        versions = {**environment.get("versions", {}), "python": python and python.rstrip("+")}  # a build from git
        return all(_within(versions.get(name), allowed) for name, allowed in self.ranges.items())

    def explains(self, check: Check) -> bool:
        """Return whether `check` failed as this entry says."""
        if self.kind != _kind(check):
            return False
        texts = (check.evidence or "", check.message or "")
        return self.evidence is None or any(self.evidence.search(text) for text in texts)

    def concerns(self, failure: Failure, versions: Mapping[str, str | None]) -> bool:
        """Return whether a failure, of whatever case, is about the operation of this entry in its range of versions."""
        if self.operation is None or self.kind != failure.kind:
            return False
        named = (failure.operation, failure.evidence)
        ranges = ((versions.get(name), allowed) for name, allowed in self.ranges.items())
        return any(map(self.operation.fullmatch, named)) and all(v is None or _within(v, r) for v, r in ranges)


def apply(check: Check, environment: Mapping[str, Any], issues: Iterable[KnownIssue]) -> Check:
    """Return `check` with the status that the known issues give it.

    It becomes `known` if it failed as an entry says, and `fixed` if it passed although an entry applies. A check that
    failed otherwise, is missing, or has one of these statuses already is unchanged.

    Args:
        check: the verdict on a leaf.
        environment: `Run.environment` of its run: `versions`, and `machine` with its `python`.
        issues: from `load`.
    """
    if check.status not in (*_FAILED, *_PASSED):
        return check
    listed = [issue for issue in issues if issue.applies_to(check, environment)]
    if not listed:
        return check
    names = " and ".join(issue.id for issue in listed)
    if check.status in _PASSED:
        message = f"listed in {listed[0].path.name} as {names} and passes: remove or narrow the entry"
        return replace(check, status=FIXED, known_issue=listed[0].id, message=message)
    for issue in listed:
        if issue.explains(check):
            return replace(check, status=KNOWN, known_issue=issue.id, failure=issue.kind)
    return check


def find(name: str | None, issues: Iterable[KnownIssue] | None = None) -> KnownIssue | None:
    """Return the entry with that id; None where `issues`, by default the package's, do not have it."""
    return next((issue for issue in (load() if issues is None else issues) if issue.id == name), None)


def revert(check: Check) -> Check:
    """Return `check` as it was before `apply`, so that other known issues can be applied."""
    if check.status == FIXED:
        passed = REMEDIED if check.failure else PASS
        return replace(check, status=passed, known_issue=None, message=None)
    if check.status == KNOWN:
        failed = {NUMERIC: FAIL, CRASH: CRASH, TIMEOUT: TIMEOUT}.get(check.failure or "", ERROR)
        return replace(check, status=failed, known_issue=None)
    return check


def of_run(run: Run) -> tuple[KnownIssue, ...]:
    """Return the known issues of the package and those of the project that a recorded run was about.

    The list of a project is left out where it cannot be read from here.
    """
    own = run.environment.get("known_issues")
    try:
        return load(Path(own)) if own else load()
    except UsageError:
        return load()


def reapply(run: Run, issues: Iterable[KnownIssue] | None = None) -> bool:
    """Apply `issues`, by default those of `of_run`, to the checks of a recorded run; return whether any changed.

    A check that an issue of the project explains stays as it is where the project's list cannot be read from here.
    """
    before, issues = run.checks, of_run(run) if issues is None else tuple(issues)
    unread = run.environment.get("known_issues") and all(issue.path == LIST for issue in issues)
    ids = {issue.id for issue in issues}
    run.checks = [
        check if unread and check.known_issue and check.known_issue not in ids
        else apply(revert(check), run.environment, issues)
        for check in before
    ]  # fmt: skip
    return run.checks != before


def unmatched(runs: Sequence[Run], issues: Iterable[KnownIssue]) -> list[KnownIssue]:
    """Return the entries that explain no failed check of `runs`; over a full matrix, these are out of date."""
    failed = [(c, run.environment) for run in runs for c in run.checks if c.status in (KNOWN, *_FAILED)]
    return [i for i in issues if not any(i.applies_to(check, where) and i.explains(check) for check, where in failed)]


@cache
def load(extra: Path | None = None) -> tuple[KnownIssue, ...]:
    """Return the known issues of the package, and after them those of a project.

    Args:
        extra: the project's own file, of the same form as the package's `known_issues.toml`.

    Raises:
        UsageError: a file cannot be read, an entry is not valid, or an id is used twice; the message names the file,
            the entry and what was expected.
    """
    known, own = read(LIST), read(extra) if extra is not None else ()
    if twice := sorted({issue.id for issue in known} & {issue.id for issue in own}):
        raise UsageError(
            f"{extra}: the id {', '.join(twice)} is that of an issue of the package. Give every issue an id of its "
            "own, and leave out what the package lists."
        )
    return (*known, *own)


def read(path: Path) -> tuple[KnownIssue, ...]:
    """Return the known issues listed in one file.

    Raises:
        UsageError: as `load`.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # both what is not UTF-8 and what is not TOML are ValueErrors
        raise UsageError(f"cannot read the known issues {path}: {error}. Expected UTF-8 TOML.") from None
    entries = content.pop("issue", [])
    if content or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        found = ", ".join(content) or "an issue that is not a table"
        raise UsageError(f"{path}: expected nothing but [[issue]] tables, found {found}.")
    issues = tuple(_issue(entry, f"{path}: issue {i}", path) for i, entry in enumerate(entries, 1))
    ids = [issue.id for issue in issues]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise UsageError(f"{path}: the id {', '.join(twice)} is there twice. Give every issue an id of its own.")
    return issues


def _issue(entry: dict[str, Any], where: str, path: Path) -> KnownIssue:
    name = entry.get("id")
    if isinstance(name, str) and name:
        where = f"{path}: issue {name!r}"
    for problem in _problems(entry):
        raise UsageError(f"{where}: {problem}")
    return KnownIssue(
        id=entry["id"],
        kind=entry["class"],
        **{name: entry[name].strip() for name in ("text", "upstream", "remedy")},
        ranges={name: SpecifierSet(entry[name]) for name in RANGES if name in entry},
        patterns={name: entry[name] for name in PATTERNS if name in entry},
        evidence=_expression(entry, "evidence"),
        operation=_expression(entry, "operation"),
        path=path,
    )


def _expression(entry: dict[str, Any], name: str) -> re.Pattern[str] | None:
    return re.compile(entry[name]) if name in entry else None


def _problems(entry: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with an entry, in the order in which it is best corrected."""
    for key in sorted(entry.keys() - set(KEYS)):
        yield f"unknown key {key!r}. Expected some of {', '.join(KEYS)}."
    for key in REQUIRED:
        if key not in entry:
            yield f"{key!r} is missing. Every issue needs {', '.join(REQUIRED)}."
    for key, value in entry.items():
        if not isinstance(value, str) or not value.strip():
            yield f"{key!r} is {value!r}. Expected text; leave out what may be any."
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry["id"]):
        yield f"the id {entry['id']!r} is not valid. Expected lower-case words joined by hyphens."
    if entry["class"] not in CLASSES:
        yield f"unknown class {entry['class']!r}. Expected one of {', '.join(CLASSES)}."
    if not re.fullmatch(r"https?://\S+|none: +\S.*", entry["upstream"].strip(), re.DOTALL):
        yield f"upstream is {entry['upstream']!r}. Expected a URL, or 'none: ' and why there is none."
    for key in RANGES:
        try:
            SpecifierSet(entry.get(key, ""))
        except InvalidSpecifier:
            yield f"{key} = {entry[key]!r} is no range of versions. Expected PEP 440's, such as '>=0.7,<0.8'."
    for key in EXPRESSIONS:
        try:
            re.compile(entry.get(key, ""))
        except re.error as error:
            yield f"{key} = {entry[key]!r} is no regular expression: {error}. Escape what is meant literally."


def _within(version: str | None, allowed: SpecifierSet) -> bool:
    """Return whether `version` is in the range; what is not installed, or not a version, is in none."""
    try:
        return version is not None and allowed.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def _kind(check: Check) -> str:
    """Return the class of a failed check; where it has none, its status or its score tells."""
    if check.failure or check.status in (CRASH, TIMEOUT):
        return check.failure or check.status  # these two have classes of the same name
    return NUMERIC if check.score is not None else UNKNOWN
