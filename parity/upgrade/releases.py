"""List the releases that the package index has, and say which of them a Python on this machine can install."""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags, platform_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from parity.core.errors import NotComparableError, UsageError
from parity.records.cells import is_version

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage

TIMEOUT_S = 20.0
_SYSTEM = ("/etc/xdg/pip/pip.conf", "/etc/pip.conf")
_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")


@dataclass(frozen=True)
class Release:
    """A release of a package; `obstacle` says why it is skipped, and is empty if it is not."""

    version: str
    obstacle: str = ""


def list_releases(package: str, python: str) -> list[Release]:
    """Return the releases of `package` on the index for that Python, oldest first, without pre-releases.

    Raises:
        UsageError: pypi-simple is not installed, or the index does not have the package.
        NotComparableError: the index cannot be read.
    """
    try:
        from pypi_simple import PYPI_SIMPLE_ENDPOINT, NoSuchProjectError, PyPISimple
    except ImportError:
        raise UsageError("listing releases needs pypi-simple. Install it: pip install 'parity[upgrade]'") from None
    try:
        with PyPISimple(index() or PYPI_SIMPLE_ENDPOINT) as client:
            files = client.get_project_page(package, timeout=TIMEOUT_S).packages
    except NoSuchProjectError:
        raise UsageError(f"the package index has no {package}. Expected one that it has.") from None
    except (OSError, ValueError) as error:  # what requests raises; it may name an address that holds a password
        raise NotComparableError(
            f"the package index cannot be read for {package}: {type(error).__name__}. Expected the one that uv and "
            f"pip use here ({', '.join(_VARIABLES)} or pip's configuration)."
        ) from None
    return select(files, python)


def index() -> str | None:
    """Return the index that uv and pip are configured to use; None if there is no configuration."""
    given = [os.environ.get(name) for name in _VARIABLES]
    return next(filter(None, given), None) or _pip_index()


def _pip_index() -> str | None:
    """Return the `index-url` of pip; the more specific of its configuration files wins."""
    home = Path.home()
    places: list[str | Path] = [
        *_SYSTEM, home / ".pip/pip.conf",
        Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf",
        Path(sys.prefix) / "pip.conf", os.environ.get("PIP_CONFIG_FILE") or os.devnull,
    ]  # fmt: skip
    settings = configparser.RawConfigParser(strict=False)
    try:
        settings.read(places, encoding="utf-8")
    except configparser.Error as error:
        raise UsageError(f"pip's configuration cannot be read: {error.message}. Correct it.") from None
    found = [settings.get(part, "index-url", fallback=None) for part in ("install", "global")]
    return next(filter(None, found), None)


def select(files: Iterable[DistributionPackage], python: str) -> list[Release]:
    """Return the releases that `files` of an index make up, oldest first, without pre-releases."""
    releases: dict[Version, list[DistributionPackage]] = {}
    for file in files:
        if file.version and is_version(file.version) and not Version(file.version).is_prerelease:
            releases.setdefault(Version(file.version), []).append(file)
    tags = _tags(python)
    return [Release(str(version), _obstacle(releases[version], python, tags)) for version in sorted(releases)]


def _obstacle(files: list[DistributionPackage], python: str, tags: set[Tag]) -> str:
    if all(file.is_yanked for file in files):
        reason = next(filter(None, (file.yanked_reason for file in files)), "")
        return f"yanked{': ' * bool(reason)}{' '.join(reason.split())}"
    offered = [file for file in files if not file.is_yanked]
    allowed = [file for file in offered if _allows(file.requires_python, python)]
    if not allowed:
        return f"needs Python {offered[0].requires_python}"
    return "" if any(tags & found for found in map(_wheel, allowed)) else f"no wheel for Python {python} here"


def _allows(requires_python: str | None, python: str) -> bool:
    try:
        # The resolver decides about a release that needs a later patch of this Python.
        return SpecifierSet(requires_python or "").contains(f"{python}.999")
    except InvalidSpecifier:
        return True


def _wheel(file: DistributionPackage) -> frozenset[Tag]:
    try:
        return parse_wheel_filename(file.filename)[3]
    except InvalidWheelFilename:
        return frozenset()


def _tags(python: str) -> set[Tag]:
    version, platforms = tuple(map(int, python.split("."))), list(platform_tags())
    interpreter = f"cp{version[0]}{version[1]}"
    return {*cpython_tags(version, platforms=platforms), *compatible_tags(version, interpreter, platforms)}
