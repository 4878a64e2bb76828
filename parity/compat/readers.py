"""What each TensorFlow release can read: the table `readers.toml`, measured by the matrix."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from parity.core import environment, processes
from parity.core.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TABLE = Path(__file__).with_name("readers.toml")


@dataclass(frozen=True)
class Limits:
    """The newest StableHLO version and calling convention that a TensorFlow reads."""

    stablehlo: str
    calling_convention: int


@cache
def table() -> dict[str, Limits]:
    """Return the limits by TensorFlow release."""
    return {release: Limits(**limits) for release, limits in tomllib.loads(TABLE.read_text(encoding="utf-8")).items()}


def dumps(limits: dict[str, Limits]) -> str:
    """Return the text of `readers.toml` with these limits, oldest release first, below the comment at its head."""
    head = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    rows = [
        f'"{release}" = {{ stablehlo = "{known.stablehlo}", calling_convention = {known.calling_convention} }}'
        for release, known in sorted(limits.items(), key=lambda item: Version(item[0]))
    ]
    return "\n".join([*head, *rows]) + "\n"


def limits_of(requirement: str) -> Limits:
    """Return what the TensorFlow that `requirement` names can read, such as `tensorflow==2.17.1`.

    A patch release reads what the others of its minor release read. A release that the table does not have must be
    installed here, and says so itself.

    Raises:
        UsageError: it does not name one release, or one that is neither in the table nor installed here.
    """
    version = _release(requirement)
    exact = table().get(str(version))
    line = [limits for release, limits in table().items() if Version(release).release[:2] == version.release[:2]]
    line = [exact] if exact else line or _installed(version)
    if not line:
        known = ", ".join(sorted(table(), key=Version))
        raise UsageError(
            f"{requirement!r}: what this release reads is not known. Expected one of {known}, another patch release "
            "of those lines, or the release that is installed here."
        )
    return line[0]


@cache
def _installed(version: Version) -> list[Limits]:
    """Return what the installed TensorFlow says in a process of its own; empty if it is another release."""
    if environment.versions()["tensorflow"] != str(version):
        return []
    command = [sys.executable, "-m", "parity.compat.reader"]
    done = processes.run(command)
    found = json.loads(done.stdout.strip().splitlines()[-1]) if done.returncode == 0 else {}
    return [Limits(**found)] if found.get("stablehlo") and found.get("calling_convention") else []


def oldest() -> str:
    """Return the requirement of the oldest TensorFlow of the table: what it can read, all can."""
    return f"tensorflow=={min(table(), key=Version)}"


def _release(requirement: str) -> Version:
    expected = f"{requirement!r}: expected one TensorFlow release, such as 'tensorflow==2.17.1'."
    try:
        parsed = Requirement(requirement)
        [pin] = parsed.specifier
        if canonicalize_name(parsed.name) not in ("tensorflow", "tensorflow-cpu") or pin.operator != "==":
            raise UsageError(expected)
        return Version(pin.version)
    except (InvalidRequirement, ValueError) as error:
        raise UsageError(expected) from error
