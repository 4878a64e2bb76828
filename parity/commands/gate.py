"""`parity gate`: may the candidate's releases replace the baseline's?"""

from __future__ import annotations

import shutil
from argparse import Namespace
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the command's options."""
    gate = commands.add_parser(
        "gate",
        help="say whether to upgrade, from the records of the old and the new releases",
        description="Hold a candidate's record against a baseline. The exit code is 0 if you may upgrade, 1 if not, "
        "and 3 if the two cannot be compared.",
    )
    gate.add_argument("baseline", metavar="BASELINE", type=Path, help="a run.json, its folder, or an accepted baseline")
    gate.add_argument("candidate", metavar="CANDIDATE", type=Path, help="likewise, of the releases to go to")
    gate.add_argument("--policy", metavar="FILE", type=Path, help="what blocks and what warns (default: the package's)")
    gate.add_argument("--markdown", metavar="FILE", type=Path, help="write it for a CI summary, $GITHUB_STEP_SUMMARY")
    gate.add_argument("--junit", metavar="FILE", type=Path, help="write it as JUnit XML")
    gate.add_argument("--json", metavar="FILE", type=Path, help="write everything that was found")
    gate.add_argument("--github", action="store_true", help="print annotations for GitHub Actions as well")


def main(arguments: Namespace, further: list[str]) -> int:
    """Judge the candidate, and say it in the ways that are asked for."""
    import gc

    gc.disable()  # one pass over two records, kept to the end: nothing to collect
    import sys

    from parity import gate
    from parity.gate import outputs

    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that this terminal cannot show is no crash

    policy = gate.load_policy(arguments.policy)
    baseline, candidate = gate.read(arguments.baseline), gate.read(arguments.candidate)
    verdict = gate.judge(baseline, candidate, policy)
    _write(arguments.markdown, outputs.summary, verdict)
    _write(arguments.junit, outputs.junit, verdict)
    _write(arguments.json, outputs.as_json, verdict, baseline, candidate)
    print(outputs.terminal(verdict, min(shutil.get_terminal_size().columns, 120)))
    if arguments.github:
        print(outputs.github(verdict))
    return verdict.exit_code


def _write(path: Path | None, render: Any, *given: Any) -> None:
    from parity import storage

    if path is not None:
        storage.output_folder(path.parent)
        storage.write_atomically(path, render(*given))
