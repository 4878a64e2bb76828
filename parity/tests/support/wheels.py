"""Releases that are planted to misbehave: wheels of a few bytes in a folder, which uv installs as it does real ones."""

import json
import platform
import sys
import zipfile

from parity.matrix import installation
from parity.records.cells import Cell

TENSORFLOW = "tensorflow-cpu" if (sys.platform, platform.machine()) == ("linux", "x86_64") else "tensorflow"


def wheel(folder, name, version, requires=(), files=()):
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    texts = {
        **dict(files),
        f"{stem}.dist-info/METADATA": "\n".join(metadata + [f"Requires-Dist: {r}" for r in requires]),
    }
    texts[f"{stem}.dist-info/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: parity\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    texts[f"{stem}.dist-info/RECORD"] = "".join(f"{path},,\n" for path in [*texts, f"{stem}.dist-info/RECORD"])
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        for path, text in texts.items():
            archive.writestr(path, text + "\n")


def write(folder):
    """Write all wheels that there are; returns the folder."""
    for version in ("1.0", "1.1"):
        planted = {"jax/__init__.py": "import os\nexec(os.environ['PLANTED'])"}
        wheel(folder, "jax", version, ["ml-dtypes>=0.3"], planted)
    wheel(folder, "jax", "2.0")
    wheel(folder, "jax", "3.0", ["ml-dtypes>=0.5"])
    wheel(folder, TENSORFLOW, "1.0", ["ml-dtypes>=0.3,<0.5"])
    broken = "raise ImportError('libplanted.so.1: cannot open shared object file: No such file or directory')"
    wheel(folder, TENSORFLOW, "2.0", [], {"tensorflow/__init__.py": broken})
    for version in ("0.3.1", "0.5.1"):
        wheel(folder, "ml-dtypes", version)
    wheel(folder, "tf-keras", "1.0.5", ["tensorflow-of-another-name"])
    # Without files, so that those of the environment of the tests are found.
    for required in installation.all_requirements(Cell.parse("latest")):
        if required not in ("jax", TENSORFLOW):
            wheel(folder, required.partition(">")[0], "99.0")
    (folder / "uv.toml").write_text(f"no-index = true\nfind-links = [{json.dumps(str(folder))}]\n", encoding="utf-8")
    return folder
