"""This parity as something to install elsewhere: its source folder, or a wheel made of the files that are installed."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import parity
from parity.core import storage
from parity.core.errors import UsageError

EXTRAS = "report,test,cell"
_KEPT = ("METADATA", "WHEEL", "entry_points.txt")
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)


def portable(folder: Path) -> tuple[str, Path | None]:
    """Return the requirement that installs this parity on any machine, and the wheel that it needs beside it, if any.

    A parity from an index is required by its release, one from an address by that, any other comes as a wheel, which is
    written to `folder`.

    Raises:
        UsageError: as `wheel`; or this parity is a source folder, of which `uv build --wheel` makes a wheel.
    """
    installed = metadata.distribution("parity")
    came_from = json.loads(installed.read_text("direct_url.json") or "{}")
    address = str(came_from.get("url", ""))
    if not came_from:
        return f"parity[{EXTRAS}]=={installed.version}", None
    if "vcs_info" in came_from:
        vcs = came_from["vcs_info"]
        return f"parity[{EXTRAS}] @ {vcs['vcs']}+{address}@{vcs['commit_id']}", None
    if not address.startswith("file:"):
        return f"parity[{EXTRAS}] @ {address}", None
    return "", wheel(installed, folder)


def requirement(folder: Path) -> str:
    """Return the requirement that installs this parity with what a cell needs; a wheel for it is written to `folder`.

    Raises:
        UsageError: as `wheel`.
    """
    source = Path(parity.__file__).resolve().parents[1]
    path = source if (source / "pyproject.toml").is_file() else wheel(metadata.distribution("parity"), folder)
    return f"parity[{EXTRAS}] @ {path.resolve().as_uri()}"


def wheel(installed: metadata.Distribution, folder: Path) -> Path:
    """Write a wheel of an installed distribution below `folder`, and return its path, which names its content.

    Raises:
        UsageError: the distribution has no list of its files, or one of them is gone.
    """
    contents = dict(_contents(installed))
    listed = next((name for name in contents if name.endswith(".dist-info/WHEEL")), None)
    name, version = installed.metadata["Name"], installed.version
    if listed is None:
        raise UsageError(f"the files of the installed {name} {version} are not listed. Install it again from a wheel.")
    tags = [line.partition(": ")[2] for line in contents[listed].decode().splitlines() if line.startswith("Tag: ")]
    digest = hashlib.sha256("".join(map(_line, contents, contents.values())).encode()).hexdigest()
    path = folder / digest[:16] / f"{name.replace('-', '_')}-{version}-{tags[0]}.whl"
    if path.is_file():
        return path
    storage.output_folder(path.parent)
    record = f"{listed.rpartition('/')[0]}/RECORD"
    contents[record] = "".join([*map(_line, contents, contents.values()), f"{record},,\n"]).encode()
    with storage.replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in contents.items():
            archive.writestr(zipfile.ZipInfo(entry, _FIXED_TIME), content, zipfile.ZIP_DEFLATED)
    return path


def _contents(installed: metadata.Distribution) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of what a wheel of the distribution has, without what its installer has added."""
    for file in sorted(installed.files or ()):
        folder = file.parts[0]
        added = folder.endswith(".dist-info") and file.name not in _KEPT and "licenses" not in file.parts
        if ".." in file.parts or "__pycache__" in file.parts or added:
            continue
        try:
            yield file.as_posix(), Path(str(file.locate())).read_bytes()
        except OSError as error:
            name = installed.metadata["Name"]
            raise UsageError(
                f"{file} of the installed {name} cannot be read: {error.strerror}. Install it again."
            ) from None


def _line(name: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}\n"
