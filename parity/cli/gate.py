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
    gate.add_argument(
        "--repeat",
        metavar="RUN",
        type=Path,
        action="append",
        default=[],
        help="the candidate measured again; a step that takes longer blocks only if every repeat says so too "
        "(parity upgrade makes none, so there it only warns)",
    )
    gate.add_argument(
        "--policy", metavar="FILE", type=Path, help="what blocks and what warns, in place of the package's"
    )
    gate.add_argument(
        "--allow-downgrade", action="store_true", help="only warn where the candidate's releases are older"
    )
    gate.add_argument("--markdown", metavar="FILE", type=Path, help="append it for a CI summary, $GITHUB_STEP_SUMMARY")
    gate.add_argument("--junit", metavar="FILE", type=Path, help="write it as JUnit XML")
    gate.add_argument("--json", metavar="FILE", type=Path, help="write everything that was found")
    gate.add_argument("--github", action="store_true", help="print annotations for GitHub Actions as well")


def main(arguments: Namespace, further: list[str]) -> int:
    """Judge the candidate, and say it in the ways that are asked for."""
    import gc

    gc.disable()  # one pass over two records, kept to the end: nothing to collect
    import sys

    from parity import gate
    from parity.core.errors import NotComparableError
    from parity.gate import outputs

    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that this terminal cannot show is no crash

    policy = gate.load_policy(arguments.policy)
    if arguments.allow_downgrade:
        policy = policy.with_downgrade()
    baseline, candidate = gate.read(arguments.baseline), gate.read(arguments.candidate)
    if arguments.baseline.resolve() == arguments.candidate.resolve():
        raise NotComparableError(f"{baseline.source} is given twice. Expected an old and a new record.")
    verdict = gate.judge(baseline, candidate, policy, [gate.read(path) for path in arguments.repeat])
    _write("--markdown", arguments.markdown, outputs.summary(verdict) if arguments.markdown else "", append=True)
    _write("--junit", arguments.junit, outputs.junit(verdict) if arguments.junit else "")
    _write("--json", arguments.json, outputs.as_json(verdict, baseline, candidate) if arguments.json else "")
    print(outputs.terminal(verdict, min(shutil.get_terminal_size().columns, 120)))
    if arguments.github:
        print(outputs.github(verdict))
    return verdict.exit_code


def _write(option: str, path: Path | None, text: str, append: bool = False) -> None:
    """Write `text` to `path`: at its end, or in its place; in place as well where it is a link, a pipe or a device."""
    from parity.core import storage
    from parity.core.errors import StorageError, UsageError

    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"{path} is a folder. Name a file with {option}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if append or path.is_symlink() or (path.exists() and not path.is_file()):
            with path.open("ab" if append else "wb") as file:
                file.write(text.encode("utf-8", storage.ESCAPED))
        else:
            storage.write_atomically(path, text)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{path.parent} is a file. Name another with {option}, or remove it.") from error
    except (OSError, StorageError) as error:
        cause = error.__cause__ if isinstance(error, StorageError) else error
        raise StorageError(
            f"cannot write {path}: {getattr(cause, 'strerror', None) or cause}. Expected a file in a writable folder "
            f"with free space; free some, or name another with {option}."
        ) from error
