"""`parity doctor`: what JAX writes, what TensorFlow reads, and what follows."""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from parity.cli.options import CASE
from parity.core.errors import NotComparableError, UsageError

if TYPE_CHECKING:
    from parity.compat.handshake import Prediction


def add(commands: Any) -> None:
    """Add the command's options."""
    doctor = commands.add_parser(
        "doctor",
        help="say what JAX writes, what TensorFlow reads, and what follows",
        description="Say what is installed and whether the pair will work, before anything is converted. The exit code "
        "is 0 if it works as exported by default.",
    )
    doctor.add_argument("--case", metavar="CASE", default="reference", help=f"whose operations to look at: {CASE}")


def main(arguments: Namespace, further: list[str]) -> int:
    """Print versions, machine, handshake and outlook."""
    from parity import records
    from parity.compat.handshake import Reader, Writer, predict
    from parity.core import environment

    versions, machine = environment.versions(), environment.machine()
    for name, version in versions.items():
        print(f"{name:<18}{version or 'not installed'}")
    cpu = f"{machine['cpu']}, {machine['cores']} cores, {' '.join(machine['instruction_sets'])}"
    print(f"{'python':<18}{machine['python']} on {machine['system']} {machine['architecture']}")
    print(f"{'processor':<18}{cpu}")
    print()
    said = _describe("parity.compat.reader")
    reader = said if isinstance(said, str) else Reader(**said).filled(versions["tensorflow"])
    asked = [reader.stablehlo] if isinstance(reader, Reader) and reader.stablehlo else []
    wrote = _describe("parity.export.programs", arguments.case, *asked)
    print(f"JAX writes: {wrote if isinstance(wrote, str) else _said(wrote)}")
    print(f"TensorFlow reads up to: {reader if isinstance(reader, str) else _said(vars(reader))}")
    absent = [side for side, found in (("JAX", wrote), ("TensorFlow", reader)) if isinstance(found, str)]
    if isinstance(wrote, str) or isinstance(reader, str):
        raise NotComparableError(
            f"{' and '.join(absent)} cannot be asked. Expected both in this environment; install the pair that you "
            "want to check, such as: pip install 'parity[jax,tensorflow]'"
        )
    newer = wrote.pop("newer")
    prediction = predict(Writer(**wrote), reader, newer)
    print()
    print(_outlook(prediction, versions["tensorflow"]))
    return {records.PASS: 0, None: 3}.get(prediction.status, 1)


def _outlook(prediction: Prediction, tensorflow: str | None) -> str:
    """The prediction in words, with the remedy as code."""
    from parity import records
    from parity.compat.handshake import remedy_code

    begins = {
        records.PASS: "This pair works.",
        None: "Nothing can be foretold of this pair.",
        records.REMEDIED: "This pair breaks as exported by default, and works with a remedy.",
    }
    said = textwrap.fill(f"{begins.get(prediction.status, 'This pair breaks.')} {prediction.reason}", 80)
    if prediction.status != records.REMEDIED:
        return said
    code = textwrap.indent(remedy_code(f"tensorflow=={tensorflow}"), "    ")
    return f"{said}\n\nThe remedy:\n\n{code}"


def _said(found: dict[str, Any]) -> str:
    stablehlo, convention = found["stablehlo"] or "it does not say", found["calling_convention"] or "it does not say"
    return f"StableHLO {stablehlo}, calling convention {convention}"


def _describe(module: str, *arguments: str) -> dict[str, Any] | str:
    """What a framework says of itself, asked in a process of its own, so that a crash of it is an answer as well."""
    import subprocess

    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, env=quiet, check=False
    )
    if done.returncode:
        found = re.search(r"^parity\.errors\.(?:Usage|Case)Error: (.*)", done.stderr, re.MULTILINE | re.DOTALL)
        if found:
            raise UsageError(found[1].strip())
        last = done.stderr.strip().splitlines()[-1:] or [f"its process ended with code {done.returncode}"]
        return f"no answer ({last[0]})"
    described: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return described
