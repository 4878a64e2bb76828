"""`parity doctor`: predict whether the installed pair works, from what JAX writes and TensorFlow reads."""

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
        help="predict whether the installed jax and tensorflow work together",
        description="Print what is installed, check the case, and predict whether the pair works, before anything is "
        "converted. The exit code is 0 if the pair works as exported by default.",
    )
    doctor.add_argument("--case", metavar="CASE", default="reference", help=f"whose operations to look at: {CASE}")


def main(arguments: Namespace, further: list[str]) -> int:
    """Print versions, machine, what JAX writes and TensorFlow reads, and the prediction that follows.

    Raises:
        UsageError: the case is broken; the message is that of a run.
        NotComparableError: jax or tensorflow is not installed, or cannot be imported.
    """
    from parity import records
    from parity.compat.handshake import Reader, Writer, predict
    from parity.core import environment

    versions, machine = environment.versions(), environment.machine()
    for name, version in versions.items():
        print(f"{name:<18}{version or 'not installed'}")
    cpu = f"{machine['cpu']}, {machine['cores']} cores, {' '.join(machine['instruction_sets'])}"
    print(f"{'python':<18}{machine['python']} on {machine['system']} {machine['architecture']}")
    print(f"{'processor':<18}{cpu}\n")
    # A TensorFlow that is not installed would count as one that does not say its limits.
    none = (None, "tensorflow is not installed")
    read, no_reader = _describe("parity.compat.reader") if versions["tensorflow"] else none
    reader = Reader(**read).filled(versions["tensorflow"]) if read else None
    limit = [reader.stablehlo] if reader and reader.stablehlo else []
    wrote, no_writer = _describe("parity.export.programs", arguments.case, *limit)
    print(f"JAX writes: {_formats(wrote) if wrote else f'no answer ({no_writer})'}")
    print(f"TensorFlow reads up to: {_formats(vars(reader)) if reader else f'no answer ({no_reader})'}")
    if wrote is None or reader is None:
        absent = " and ".join(side for side, found in (("JAX", wrote), ("TensorFlow", reader)) if not found)
        raise NotComparableError(
            f"{absent} gave no answer. Expected both in this environment; install the pair that you want to check, "
            "such as: pip install 'parity[jax,tensorflow]'"
        )
    newer = wrote.pop("newer")
    _, broken = _describe("parity.cli.check_case", arguments.case)
    if broken:
        raise NotComparableError(f"the case could not be checked: {broken}. Expected a case that a run can train.")
    prediction = predict(Writer(**wrote), reader, newer)
    print(f"\n{_outlook(prediction, versions['tensorflow'])}")
    return {records.PASS: 0, None: 3}.get(prediction.status, 1)


def _outlook(prediction: Prediction, tensorflow: str | None) -> str:
    """Return the prediction as text, with the remedy as code."""
    from parity import records
    from parity.compat.handshake import remedy_code

    heads = {
        records.PASS: "This pair works.",
        None: "There is no prediction for this pair.",
        records.REMEDIED: "This pair breaks as exported by default, and works with a remedy.",
    }
    text = textwrap.fill(f"{heads.get(prediction.status, 'This pair breaks.')} {prediction.reason}", 80)
    if prediction.status != records.REMEDIED:
        return text
    code = textwrap.indent(remedy_code(f"tensorflow=={tensorflow}"), "    ")
    return f"{text}\n\nThe remedy:\n\n{code}"


def _formats(found: dict[str, Any]) -> str:
    stablehlo, convention = (found[key] or "unknown" for key in ("stablehlo", "calling_convention"))
    return f"StableHLO {stablehlo}, calling convention {convention}"


def _describe(module: str, *arguments: str) -> tuple[dict[str, Any] | None, str]:
    """Run a module that prints JSON in its own process, which may crash; return its JSON or why there is none.

    Raises:
        UsageError: the module raised it.
    """
    from parity.core import processes, silence

    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    try:
        done = processes.run([sys.executable, "-m", module, *arguments], env=quiet)
    except processes.ProcessSilentError as error:
        return None, str(error)
    if done.returncode:
        if usage := re.search(_USAGE_ERROR, done.stderr, re.MULTILINE | re.DOTALL):
            raise UsageError(usage[1].strip())
        return None, silence.last_words(done.stderr, 1) or f"its process ended with code {done.returncode}"
    return json.loads((done.stdout.strip().splitlines() or ["null"])[-1]), ""


# A traceback ends with the name of the class and its module; `check_case` prints the class alone.
_USAGE_ERROR = r"^(?:parity\.core\.errors\.)?(?:Usage|Case|Input)Error: (.*)"
