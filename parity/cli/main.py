"""The `parity` command. Only the standard library is imported here; commands import what they need."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from parity import __version__
from parity.cli.options import NAMES
from parity.core.errors import ParityError

EPILOG = """\
exit codes: 0 in order; 1 a check failed or the gate blocks; 2 usage; 3 not
comparable (nothing installed, nothing run or nothing in common); 4 unreadable
or too new a record or bundle; 70 internal error; 130 interrupted (what was
seen until then is recorded)

start with:  parity doctor
then:        parity run --out reports/first
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="parity",
        description="Does a model trained in JAX behave the same in TensorFlow?\nChecks the installed releases.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"parity {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in NAMES:
        _module(name).add(commands)
    return top


def _module(name: str) -> Any:
    return importlib.import_module(f"parity.cli.{name}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    arguments, further = parser().parse_known_args(argv)
    if further and arguments.command not in ("run", "cell", "matrix", "upgrade", "bisect"):
        parser().error(f"unknown arguments for {arguments.command}: {' '.join(further)}")
    try:
        code: int = _module(arguments.command.replace("-", "_")).main(arguments, further)
        sys.stdout.flush()
        return code
    except ParityError as error:
        print(f"parity: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("parity: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output has gone, as in `| head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at its end
        return 141  # as a shell has it of a process that SIGPIPE ended
    except Exception:
        import traceback

        traceback.print_exc()
        return 70
