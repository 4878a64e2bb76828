"""`parity doctor`: say whether the installed pair works with a case: its functions are exported and called."""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from parity.cli.options import CASE
from parity.core.errors import NotComparableError, UsageError

if TYPE_CHECKING:
    from parity.cli.trial import Trial
    from parity.compat.handshake import Prediction


def add(commands: Any) -> None:
    """Add the command's options."""
    doctor = commands.add_parser(
        "doctor",
        help="say whether the installed jax and tensorflow work together",
        description="Print what is installed, export a case after one step of training, and call it in TensorFlow: by "
        "default, under a remedy and at fixed sizes, as far as that is needed. Numbers are not compared. The exit code "
        "is 0 if the pair works as exported by default.",
    )
    doctor.add_argument("--case", metavar="CASE", default="reference", help=f"what to export: {CASE}")


def main(arguments: Namespace, further: list[str]) -> int:
    """Print versions, machine, what JAX writes and TensorFlow reads, and what comes of the case.

    Raises:
        UsageError: the case is broken; the message is that of a run.
        NotComparableError: jax or tensorflow is not installed, or cannot be imported.
    """
    from parity.cli.trial import WORKS, Trial
    from parity.compat.handshake import Reader, Writer, predict
    from parity.core import environment

    versions, machine = environment.versions(), environment.machine()
    for name, version in versions.items():
        print(f"{name:<18}{version or 'not installed'}")
    cpu = f"{machine['cpu']}, {machine['cores']} cores, {' '.join(machine['instruction_sets'])}"
    print(f"{'python':<18}{machine['python']} on {machine['system']} {machine['architecture']}")
    print(f"{'processor':<18}{cpu}\n")
    installed = all(versions[package] for package in ("jax", "tensorflow"))
    answers, ended = _answers("parity.cli.trial", arguments.case) if installed else ([], "")
    wrote, read = answers[:2] if len(answers) > 1 else _formats_of_each(versions)
    print(f"JAX writes: {_formats(wrote)}")
    print(f"TensorFlow reads up to: {_formats(read)}\n")
    if answers[2:]:
        trial = Trial(**answers[2])
        print(_outlook(trial, predict(Writer(**wrote), Reader(**read), trial.newer)))
        return 0 if trial.verdict == WORKS else 1
    print(_wrapped(f"This pair fails: the process that tried the case ended: {ended}"))
    return 1


def _formats_of_each(versions: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """Return what JAX writes and TensorFlow reads, each asked in its own process.

    Raises:
        NotComparableError: one of them gives no answer.
    """
    from parity.compat.handshake import Reader

    found, absent = [], []
    for side, package, module in (("JAX", "jax", "writer"), ("TensorFlow", "tensorflow", "reader")):
        none: tuple[list[dict[str, Any]], str] = ([], f"{package} is not installed")
        answer, why = _answers(f"parity.compat.{module}") if versions[package] else none
        found += answer
        absent += [] if answer else [f"{side} gave no answer: {why}"]
    if absent:
        raise NotComparableError(
            f"{'; '.join(absent)}. Expected both in this environment; install the pair that you want to check, such "
            "as: pip install 'parity[jax,tensorflow]'"
        )
    return [found[0], vars(Reader(**found[1]).filled(versions["tensorflow"]))]


def _outlook(trial: Trial, prediction: Prediction) -> str:
    """Return what came of a trial as text, with the remedy as code."""
    from parity import records
    from parity.cli.trial import AT_FIXED_SIZES, FAILS, WITH_REMEDY, WORKS
    from parity.compat.handshake import remedy_code

    at_fixed_sizes = f"works with case {trial.case!r} only at fixed sizes"
    heads = {
        WORKS: f"This pair works with case {trial.case!r}.",
        WITH_REMEDY: f"This pair breaks as exported by default, and works with a remedy. {_why(trial, prediction)}",
        AT_FIXED_SIZES: f"This pair {at_fixed_sizes}{', and with a remedy' if trial.requirement else ''}:",
        FAILS: f"This pair fails with case {trial.case!r}:",
    }
    lines = [_wrapped(heads[trial.verdict])]
    if trial.verdict == WORKS and prediction.status == records.PASS:
        lines = [_wrapped(f"{heads[WORKS]} {prediction.reason}")]
    lines += [_wrapped(f"- {cause}") for cause in trial.causes]
    lines += [_wrapped(f"- at fixed sizes: {cause}") for cause in trial.at_fixed_sizes]
    if trial.requirement and trial.verdict != FAILS:
        lines += ["", "The remedy:", "", textwrap.indent(remedy_code(trial.requirement), "    ")]
    return "\n".join(lines)


def _why(trial: Trial, prediction: Prediction) -> str:
    """Return why the default export breaks: the versions, where they foretell this failure."""
    if prediction.failure == trial.failure:
        return prediction.reason
    return f"TensorFlow cannot run the default export: {trial.failure}, {trial.evidence}."


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 80, subsequent_indent="  " * text.startswith("- "), break_on_hyphens=False)


def _formats(found: dict[str, Any]) -> str:
    stablehlo, convention = (found[key] or "unknown" for key in ("stablehlo", "calling_convention"))
    return f"StableHLO {stablehlo}, calling convention {convention}"


def _answers(module: str, *arguments: str) -> tuple[list[dict[str, Any]], str]:
    """Run a module that prints lines of JSON in its own process, which may crash; return them, and how it ended.

    Raises:
        UsageError, NotComparableError: the module raised it.
    """
    from parity.core import processes, silence

    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    try:
        done = processes.run([sys.executable, "-m", module, *arguments], env=quiet)
    except processes.ProcessSilentError as error:
        return [], str(error)
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        if raised := re.search(_RAISED, done.stderr, re.MULTILINE | re.DOTALL):
            raise (NotComparableError if raised["error"] == "NotComparable" else UsageError)(raised["text"].strip())
        return answers, silence.last_words(done.stderr, 1) or f"its process ended with code {done.returncode}"
    return answers, ""


# A traceback ends with the name of the class and its module; `trial` prints the class alone.
_RAISED = r"^(?:parity\.core\.errors\.)?(?P<error>Usage|Case|Input|NotComparable)Error: (?P<text>.*)"
