"""The first bad release of one package between a good and a bad one, the other package fixed."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from packaging.version import Version

from parity.core.errors import NotComparableError, UsageError
from parity.core.failures import RESOLVER
from parity.records import MISSING, PASS, REMEDIED
from parity.records.atlas import score
from parity.records.cells import Outcome
from parity.upgrade import releases
from parity.upgrade.between import installs
from parity.upgrade.bisection import BAD, GOOD, SKIP, Boundary, bisect, questions
from parity.upgrade.making import Bench, Recorded, on_one_python, uninstallable
from parity.upgrade.pins import PACKAGES, Pair

WIDTH = 80
Say = Callable[[str], object]


@dataclass
class Search:
    """A bisection on its way.

    Attributes:
        package: the one whose releases are tried.
        pair: any pair of them; the other package is that of every one.
        bench: where the records are, and how they are made.
        python: the Python of all of them.
        remedied_is_good: whether a release that works with a remedy is good.
        say: takes each step in words.
    """

    package: str
    pair: Pair
    bench: Bench
    python: str
    remedied_is_good: bool
    say: Say
    stepped_around: dict[str, str] = field(default_factory=dict)
    found: dict[str, Recorded] = field(default_factory=dict)

    def of(self, release: str) -> Pair:
        """The pair with that release."""
        return replace(self.pair, **{self.package: release})

    def ask(self, release: str) -> str:
        """Whether a release is good, from its record where there is one; SKIP where it cannot be asked."""
        pair = self.of(release)
        found = next((r for r in self.bench.find(pair) if r.current and r.cell.python == self.python), None)
        try:
            if found is None and (obstacle := uninstallable(pair, self.python)):
                return self._step_around(release, obstacle)
            found = found or self.bench.make([pair], self.python)[pair]
        except NotComparableError as error:
            return self._step_around(release, str(error))
        self.found[release] = found
        if found.outcome.failure == RESOLVER or found.outcome.status == MISSING:
            return self._step_around(release, found.outcome.evidence)
        good = (PASS, REMEDIED) if self.remedied_is_good else (PASS,)
        return GOOD if found.outcome.status in good else BAD

    def _step_around(self, release: str, why: str) -> str:
        self.stepped_around[release] = " ".join(why.split())
        return SKIP

    def end(self, release: str, expected: str) -> None:
        """Check one of the two ends.

        Raises:
            UsageError: it is not what the user says, or cannot be asked.
        """
        answer = self.ask(release)
        if answer == SKIP:
            raise UsageError(
                f"--{expected} {release} cannot be asked: {self.stepped_around[release]}. Expected a release that can "
                f"be installed with the other package on Python {self.python}."
            )
        if answer != expected:
            became = self.found[release].outcome
            counts = " A remedy needed counts as bad; --remedied-is-good counts it as good."
            raise UsageError(
                f"{self.package} {release} is not {expected}: {_said(became)}. Expected --{expected} to name a release "
                f"that is.{counts if became.status == REMEDIED else ''}"
            )
        self.tell(release, f"{expected}, as given")

    def tell(self, release: str, more: str) -> None:
        """Say what became of a release."""
        why = self.stepped_around.get(release)
        self.say(
            f"{self.package} {release}: {self._became(release) if why is None else f'stepped around, {why}'}; {more}"
        )

    def _became(self, release: str) -> str:
        made = self.found[release].cell.name in self.bench.made
        return f"{_said(self.found[release].outcome)} ({'run now' if made else 'recorded'})"

    def told(self, boundary: Boundary, most: int) -> Iterator[str]:
        """What was found."""
        name, first = self.package, boundary.first_bad
        if boundary.unknown:
            listed = ", ".join(boundary.unknown)
            yield (
                f"The first bad release is one of {name} {listed} or {first}: {listed} could not be asked, and {first} "
                f"is {_said(self.found[first].outcome)}."
            )
        else:
            yield f"The first bad release is {name} {first}: {_said(self.found[first].outcome)}."
        good = self.found[boundary.last_good]
        worst = f", worst score {score(good.worst_score)}" if good.worst_score is not None else ""
        yield f"The last good one is {name} {boundary.last_good}: {_said(good.outcome)}{worst}."
        for release, why in self.stepped_around.items():
            yield f"Stepped around {name} {release}: {why}."
        made = len(self.bench.made)
        yield (
            f"{made} environment{'s were' if made != 1 else ' was'} built, {len(self.found) - made} recorded before; "
            f"bisection needs at most {most} beside the two ends."
        )


def _said(became: Outcome) -> str:
    return ": ".join(filter(None, (", ".join(filter(None, (became.status, became.failure))), became.evidence)))


def search(
    package: str, good: str, bad: str, other: tuple[str, str], bench: Bench, only: str | None, remedied_is_good: bool,
    say: Say,
) -> Boundary:  # fmt: skip
    """Find the first bad release of `package`, saying every step.

    Args:
        package: jax or tensorflow.
        good: a release that is good.
        bad: one that is not; older ones may be searched from a good newer one.
        other: the other package and its release.
        bench: where the records are, and how they are made.
        only: the Python to use, such as `3.12`.
        remedied_is_good: whether what works with a remedy only is good.
        say: takes each step.

    Raises:
        UsageError: good is not good, bad not bad, or the index does not have them.
        NotComparableError: the index cannot be asked.
    """
    wrapped: Say = lambda text: say(textwrap.fill(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False))  # noqa: E731
    [fixed] = [name for name in PACKAGES if name != package]
    if other[0] != fixed:
        raise UsageError(f"--with {other[0]}=={other[1]}: expected the other package, such as {fixed}==RELEASE.")
    ends = [Pair(**{package: release, fixed: other[1]}) for release in (good, bad)]
    python, why = on_one_python(ends, {pair: [r for r in bench.find(pair) if r.current] for pair in ends}, only)
    listed = _range(package, good, bad, ends[0], python)
    names = [release.version for release in listed]
    obstacles = {release.version: release.obstacle for release in listed if release.obstacle}
    one = Search(package, ends[0], bench, python, remedied_is_good, wrapped)
    most = questions([names[0], *(name for name in names[1:-1] if name not in obstacles), names[-1]])
    wrapped(
        f"{len(names)} releases of {package} from {good} to {bad}, with {fixed} {other[1]} on Python {python}, {why}: "
        f"at most {most} environment{'s' * (most != 1)} beside the two ends."
    )
    one.end(names[0], GOOD)
    one.end(names[-1], BAD)
    one.stepped_around |= {name: why for name, why in obstacles.items() if name not in (names[0], names[-1])}
    boundary = bisect(
        names,
        lambda name: SKIP if name in obstacles else one.ask(name),
        lambda name, left: one.tell(name, f"{left} remain{'s' * (left == 1)}"),
    )
    say("")
    for sentence in one.told(boundary, most):
        wrapped(sentence)
    return boundary


def _range(package: str, good: str, bad: str, pair: Pair, python: str) -> list[releases.Release]:
    """The releases from good to bad, both included."""
    found = releases.listed(installs(package, pair, python), python)
    ends = [Version(good), Version(bad)]
    inside = [release for release in found if min(ends) <= Version(release.version) <= max(ends)]
    names = {Version(release.version) for release in inside}
    for end in ends:
        if end not in names:
            near = ", ".join(release.version for release in found[-5:])
            raise UsageError(f"the index has no {package} {end}. Expected a release that it has, such as {near}.")
    if ends[0] == ends[1]:
        raise UsageError(f"--good and --bad are both {good}. Expected two releases.")
    return inside if ends[0] < ends[1] else inside[::-1]
