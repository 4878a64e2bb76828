"""Known issues: failures that are understood, listed in `known_issues.toml` and matched strictly.

A listed failure that fails as listed is in order; one that fails otherwise is not, and one that passes is not either,
until the list is corrected. So the list can neither hide a new failure nor outlive an old one.
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

from msgspec.structs import asdict, replace
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from parity.core.errors import UsageError
from parity.core.failures import CLASSES, NUMERIC, UNKNOWN
from parity.records import CRASH, ERROR, FAIL, FIXED, KNOWN, NO_DEVICE, PASS, REMEDIED, TIMEOUT, Check, Run

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LIST = Path(__file__).with_name("known_issues.toml")
REQUIRED = ("id", "class", "text", "upstream", "remedy")
RANGES = ("jax", "tensorflow", "flax", "keras", "python")
PATTERNS = ("device", "case", "runtime", "probe", "leaf")
KEYS = (*REQUIRED, *RANGES, *PATTERNS, "evidence")
_FAILED = (FAIL, ERROR, CRASH, TIMEOUT)
_PASSED = (PASS, REMEDIED)
_OF_JAX_ALONE = ("jax", "jax_float64")


@dataclass(frozen=True)
class KnownIssue:
    """One entry of the list: where it applies, how it fails there, and what a user should know of it.

    `kind` is a class of `parity.core.failures`. `ranges` are PEP 440 ranges by package (or `python`), `patterns` are
    `fnmatch` patterns by field of a check; what is absent is any. `upstream` is a URL, or `none: ` and the reason.
    """

    id: str
    kind: str
    text: str
    upstream: str
    remedy: str
    ranges: Mapping[str, SpecifierSet]
    patterns: Mapping[str, str]
    evidence: re.Pattern[str] | None

    def applies_to(self, check: Check, environment: Mapping[str, Any]) -> bool:
        """Whether `check`, made in `environment` (as a run records it), is one that this entry says will fail.

        A check about JAX alone is meant only by an entry whose `runtime` is `jax` or `jax_float64`.
        """
        alone = check.tf_device == NO_DEVICE
        if alone and self.patterns.get("runtime") not in _OF_JAX_ALONE:
            return False
        found = {**asdict(check), "device": check.jax_device if alone else check.tf_device}
        if not all(fnmatchcase(found[name], pattern) for name, pattern in self.patterns.items()):
            return False
        python = environment.get("machine", {}).get("python")
        versions = {**environment.get("versions", {}), "python": python and python.rstrip("+")}  # a build from git
        return all(_within(versions.get(name), wanted) for name, wanted in self.ranges.items())

    def explains(self, check: Check) -> bool:
        """Whether `check` failed as this entry says."""
        if self.kind != _kind(check):
            return False
        said = (check.evidence or "", check.message or "")
        return self.evidence is None or any(self.evidence.search(text) for text in said)


def settle(check: Check, environment: Mapping[str, Any], issues: Iterable[KnownIssue]) -> Check:
    """`check` with the status that the list gives it.

    One that failed as an entry says is `known`; one that passed although an entry applies is `fixed`; one that failed
    otherwise, was not seen, or is settled already is returned as it is.

    Args:
        check: the verdict on a leaf.
        environment: `Run.environment` of the run that it belongs to: `versions`, and `machine` with its `python`.
        issues: the list, from `load`.
    """
    if check.status not in (*_FAILED, *_PASSED):
        return check
    listed = [issue for issue in issues if issue.applies_to(check, environment)]
    if not listed:
        return check
    names = " and ".join(issue.id for issue in listed)
    if check.status in _PASSED:
        said = f"listed in {LIST.name} as {names} and passes: remove or narrow the entry"
        return replace(check, status=FIXED, known_issue=listed[0].id, message=said)
    for issue in listed:
        if issue.explains(check):
            return replace(check, status=KNOWN, known_issue=issue.id, failure=issue.kind)
    return check


def find(name: str | None) -> KnownIssue | None:
    """The entry with that id; None where the list no longer has it."""
    return next((issue for issue in load() if issue.id == name), None)


def unsettled(check: Check) -> Check:
    """`check` as it was before `settle`, so that it can be held against another list."""
    if check.status == FIXED:
        passed = REMEDIED if check.failure else PASS
        return replace(check, status=passed, known_issue=None, message=None)
    if check.status == KNOWN:
        failed = {NUMERIC: FAIL, CRASH: CRASH, TIMEOUT: TIMEOUT}.get(check.failure or "", ERROR)
        return replace(check, status=failed, known_issue=None)
    return check


def settle_again(run: Run) -> bool:
    """Hold the checks of `run` against the list as it is now; whether that changed any."""
    before, issues = run.checks, load()
    run.checks = [settle(unsettled(check), run.environment, issues) for check in before]
    return run.checks != before


def unmatched(runs: Sequence[Run], issues: Iterable[KnownIssue]) -> list[KnownIssue]:
    """The entries that explain no failed check of `runs`: over a full matrix, they say nothing that is still true."""
    failed = [(c, run.environment) for run in runs for c in run.checks if c.status in (KNOWN, *_FAILED)]
    return [i for i in issues if not any(i.applies_to(check, where) and i.explains(check) for check, where in failed)]


@cache
def load(path: Path = LIST) -> tuple[KnownIssue, ...]:
    """The known issues listed in `path`.

    Raises:
        UsageError: it cannot be read, or an entry is not one; the message names the entry and what was expected.
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
        evidence=re.compile(entry["evidence"]) if "evidence" in entry else None,
    )


def _problems(entry: dict[str, Any]) -> Iterator[str]:
    """What is wrong with an entry, in the order in which it is best mended."""
    for key in sorted(entry.keys() - set(KEYS)):
        yield f"unknown key {key!r}. Expected some of {', '.join(KEYS)}."
    for key in REQUIRED:
        if key not in entry:
            yield f"{key!r} is missing. Every issue needs {', '.join(REQUIRED)}."
    for key, value in entry.items():
        if not isinstance(value, str) or not value.strip():
            yield f"{key!r} is {value!r}. Expected text; leave out what may be any."
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry["id"]):
        yield f"the id {entry['id']!r} is no slug. Expected lower-case words joined by hyphens."
    if entry["class"] not in CLASSES:
        yield f"unknown class {entry['class']!r}. Expected one of {', '.join(CLASSES)}."
    if not re.fullmatch(r"https?://\S+|none: +\S.*", entry["upstream"].strip(), re.DOTALL):
        yield f"upstream is {entry['upstream']!r}. Expected a URL, or 'none: ' and why there is none."
    for key in RANGES:
        try:
            SpecifierSet(entry.get(key, ""))
        except InvalidSpecifier:
            yield f"{key} = {entry[key]!r} is no range of versions. Expected PEP 440's, such as '>=0.7,<0.8'."
    try:
        re.compile(entry.get("evidence", ""))
    except re.error as error:
        yield f"evidence = {entry['evidence']!r} is no regular expression: {error}. Escape what is meant literally."


def _within(version: str | None, wanted: SpecifierSet) -> bool:
    """Whether `version` is in the range; what is not installed, or not a version, is in none."""
    try:
        return version is not None and wanted.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def _kind(check: Check) -> str:
    """The class of a failed check; where it has none, its status or its score tells."""
    if check.failure or check.status in (CRASH, TIMEOUT):
        return check.failure or check.status  # these two have classes of the same name
    return NUMERIC if check.score is not None else UNKNOWN
