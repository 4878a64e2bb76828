"""Pairs of releases, as a user names them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from parity.core.errors import UsageError

JAX, TENSORFLOW = "jax", "tensorflow"
PACKAGES = (JAX, TENSORFLOW)
_ALIASES = {"tensorflow-cpu": TENSORFLOW}


@dataclass(frozen=True)
class Pair:
    """A release of jax and one of tensorflow."""

    jax: str
    tensorflow: str

    @classmethod
    def parse(cls, text: str) -> Pair:
        """Return the pair that `text` pins, such as `jax==0.9.2 tensorflow==2.20.0`.

        Raises:
            UsageError: `text` does not pin one release of each, or pins another package.
        """
        pins = [parse_pin(part) for part in text.replace(",", " ").split()]
        pinned = dict(pins)
        if len(pinned) < len(pins):
            raise UsageError(f"{text!r} pins a package twice. Expected one release of each.")
        if set(pinned) != set(PACKAGES):
            absent = " and ".join(name for name in PACKAGES if name not in pinned)
            raise UsageError(f"{text!r} pins no {absent}. Expected both, such as 'jax==0.9.2 tensorflow==2.20.0'.")
        return cls(**pinned)

    def order(self) -> tuple[Version, Version]:
        """Return the sort key from old to new: by jax, then by tensorflow."""
        return Version(self.jax), Version(self.tensorflow)

    def cell(self, python: str) -> str:
        """Return the name of the cell on a Python such as `3.12`."""
        return f"py{python.replace('.', '')}-jax{self.jax}-tf{self.tensorflow}"

    def in_range(self, old: Pair, new: Pair) -> bool:
        """Return whether both releases lie between those of `old` and `new`, ends included."""
        sides = zip(old.order(), self.order(), new.order(), strict=True)
        return all(min(one, two) <= at <= max(one, two) for one, at, two in sides)

    def __str__(self) -> str:
        return f"jax {self.jax} with tensorflow {self.tensorflow}"


def parse_pin(text: str) -> tuple[str, str]:
    """Return package and release of a pin such as `tensorflow==2.21.0`; `tensorflow-cpu` counts as tensorflow.

    Raises:
        UsageError: `text` is no pin, or pins another package than jax and tensorflow.
    """
    try:
        requirement = Requirement(text)
        name, [specifier] = str(canonicalize_name(requirement.name)), requirement.specifier
        version = Version(specifier.version)
        if specifier.operator != "==" or requirement.extras or requirement.marker or requirement.url:
            raise ValueError
    except (InvalidRequirement, InvalidVersion, ValueError):
        raise UsageError(f"{text!r} is no pin. Expected one release, such as 'jax==0.9.2'.") from None
    name = _ALIASES.get(name, name)
    if name not in PACKAGES:
        raise UsageError(
            f"{text!r}: cells are named by jax and tensorflow alone, and the resolver picks the rest. Leave it out; "
            "the verdict lists the other packages that moved."
        )
    return name, str(version)


def other_package(package: str) -> str:
    """Return the package of `PACKAGES` that is not `package`."""
    return TENSORFLOW if package == JAX else JAX


def corners(old: Pair, new: Pair) -> dict[str, Pair]:
    """Return the four corners by name: which jax, then which tensorflow.

    Raises:
        UsageError: the pairs are the same.
    """
    if old == new:
        raise UsageError(f"nothing to upgrade: both are {old}. Expected two different pairs.")
    sides = {"old": old, "new": new}
    return {f"{j}/{t}": Pair(sides[j].jax, sides[t].tensorflow) for t, j in product(sides, sides)}
