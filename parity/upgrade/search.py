"""Search the first bad release of one package between a good and a bad one, with the other package fixed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from packaging.version import Version

from parity.core.errors import NotComparableError, UsageError
from parity.core.failures import RESOLVER
from parity.records import MISSING, PASS, REMEDIED
from parity.upgrade import releases
from parity.upgrade.bisection import BAD, GOOD, SKIP, Boundary, bisect, most_tests
from parity.upgrade.pairs import Pair, other_package
from parity.upgrade.reasons import Finding
from parity.upgrade.releases import Release
from parity.upgrade.runner import (
    CellRecord,
    CellRunner,
    choose_python,
    installed_name,
    why_uninstallable,
)

Progress = Callable[[str, str, "int | None"], object]
"""Takes a tested release, its answer, and the number of releases left; None for the two ends."""


@dataclass
class Search:
    """A bisection of the releases of one package.

    Attributes:
        package: jax or tensorflow.
        pair: any pair of the search; the other package is the same in all.
        names: the releases from the good to the bad one, which may be older.
        runner: finds and makes the records.
        python: the Python of all records; `why` says why that one.
        remedied_is_good: whether a release that needs a remedy is good.
        skipped: why a release has no answer, by release.
        records: what was found, by release.
    """

    package: str
    pair: Pair
    names: list[str]
    runner: CellRunner
    python: str
    why: Finding
    remedied_is_good: bool
    skipped: dict[str, str] = field(default_factory=dict)
    records: dict[str, CellRecord] = field(default_factory=dict)

    @classmethod
    def plan(
        cls, package: str, good: str, bad: str, other: tuple[str, str], runner: CellRunner, only: str | None = None,
        remedied_is_good: bool = False,
    ) -> Search:  # fmt: skip
        """Return the search between two releases of `package`, with the other package and its release in `other`.

        Raises:
            UsageError: the index does not have the releases, they are the same, or `only` is no Python here.
            NotComparableError: the index cannot be read.
        """
        fixed = other_package(package)
        if other[0] != fixed:
            raise UsageError(f"--with {other[0]}=={other[1]}: expected the other package, such as {fixed}==RELEASE.")
        ends = [Pair(**{package: release, fixed: other[1]}) for release in (good, bad)]
        python, why = choose_python(
            ends, {pair: [r for r in runner.find(pair) if r.current] for pair in ends}, only, runner.required
        )
        listed = releases.list_releases(installed_name(package, ends[0], python), python)
        inside = _between(package, good, bad, listed)
        skipped = {release.version: release.obstacle for release in inside[1:-1] if release.obstacle}
        names = [release.version for release in inside]
        return cls(package, ends[0], names, runner, python, why, remedied_is_good, skipped)

    @property
    def most(self) -> int:
        """The most releases that are tested beside the two ends, if every one can be installed."""
        return most_tests([name for name in self.names if name not in self.skipped])

    def run(self, progress: Progress = lambda *step: None) -> Boundary:
        """Find the first bad release; the first of `names` must be good, the last one bad.

        Raises:
            UsageError: one of the ends is not as given, or has no answer.
        """
        for release, expected in ((self.names[0], GOOD), (self.names[-1], BAD)):
            self._test_end(release, expected)
            progress(release, expected, None)
        answers: dict[str, str] = {}

        def test(release: str) -> str:
            answers[release] = SKIP if release in self.skipped else self._test(release)
            return answers[release]

        return bisect(self.names, test, lambda release, left: progress(release, answers[release], left))

    def _test(self, release: str) -> str:
        """Return GOOD or BAD from the record of the release, which is made if absent; SKIP if it has no answer."""
        pair = replace(self.pair, **{self.package: release})
        found = next((r for r in self.runner.find(pair) if r.current and r.cell.python == self.python), None)
        try:
            if found is None and (obstacle := why_uninstallable(pair, self.python, self.runner.required)):
                return self._skip(release, obstacle)
            found = found or self.runner.run([pair], self.python)[pair]
        except NotComparableError as error:
            return self._skip(release, str(error))
        self.records[release] = found
        if found.outcome.failure == RESOLVER or found.outcome.status == MISSING:
            return self._skip(release, found.outcome.evidence)
        good = (PASS, REMEDIED) if self.remedied_is_good else (PASS,)
        return GOOD if found.outcome.status in good else BAD

    def _skip(self, release: str, why: str) -> str:
        self.skipped[release] = " ".join(why.split())
        return SKIP

    def _test_end(self, release: str, expected: str) -> None:
        answer = self._test(release)
        if answer == SKIP:
            raise UsageError(
                f"--{expected} {release} has no answer: {self.skipped[release]}. Expected a release that can be "
                f"installed with the other package on Python {self.python}."
            )
        if answer != expected:
            outcome = self.records[release].outcome
            hint = " --remedied-is-good counts a remedied release as good." if outcome.status == REMEDIED else ""
            raise UsageError(f"{self.package} {release} is not {expected}: {outcome}. Expected one that is.{hint}")


def _between(package: str, good: str, bad: str, listed: list[Release]) -> list[Release]:
    """Return the releases from good to bad, both included."""
    ends = [Version(good), Version(bad)]
    inside = [release for release in listed if min(ends) <= Version(release.version) <= max(ends)]
    versions = {Version(release.version) for release in inside}
    for end in ends:
        if end not in versions:
            near = ", ".join(release.version for release in listed[-5:])
            raise UsageError(f"the index has no {package} {end}. Expected a release that it has, such as {near}.")
    if ends[0] == ends[1]:
        raise UsageError(f"--good and --bad are both {good}. Expected two releases.")
    return inside if ends[0] < ends[1] else inside[::-1]
