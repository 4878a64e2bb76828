"""The `parity` command. Only the standard library is imported here; commands import what they need."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from parity import __version__
from parity.core.errors import ParityError

COMMANDS = {
    "begin": ("init",),
    "check this environment": ("doctor", "run", "export", "verify"),
    "read a record": ("show", "report"),
    "decide about an upgrade": ("gate", "baseline", "upgrade", "bisect"),
    "check many pairs of releases": ("cell", "matrix", "atlas"),
    "measure the suite itself": ("study",),
}
"""The commands, each a module of this package, in the order in which a user meets them."""

ACCEPTS_FURTHER = ("run", "cell", "matrix", "upgrade", "bisect", "study")
"""Commands that pass arguments on, to pytest in the end."""

EPILOG = """\
exit codes:
  0    everything is in order
  1    a check failed, or the gate blocks
  2    the command was used wrongly
  3    not comparable: nothing is installed, was run, or is in common
  4    a record or bundle is unreadable, or of a newer parity
  70   internal error
  130  interrupted; what was measured until then is recorded

start with:  parity doctor
then:        parity run --out reports/first
"""


class _Registry:
    """The parsers of the commands, and the line of help of each, which argparse cannot group."""

    def __init__(self, parsers: Any) -> None:
        self._parsers = parsers
        self.summaries: dict[str, str] = {}

    def add_parser(self, name: str, *, help: str, **options: Any) -> argparse.ArgumentParser:  # noqa: A002
        """Return a new parser for the command `name`; `help` is its line in `parity --help`."""
        self.summaries[name] = help
        parser: argparse.ArgumentParser = self._parsers.add_parser(name, **options)
        return parser


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the command line, with the parser of every command, or of `only` one, which starts sooner.

    Of a name that is no command it has them all.
    """
    commands = [name for names in COMMANDS.values() for name in names]
    top = argparse.ArgumentParser(
        prog="parity",
        usage="parity [-h] [--version] COMMAND ...",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"parity {__version__}")
    registry = _Registry(
        top.add_subparsers(dest="command", prog="parity", required=True, metavar="COMMAND", help=argparse.SUPPRESS)
    )
    for name in [only] if only in commands else commands:
        _module(name).add(registry)
    top.description = _description(registry.summaries)
    return top


def _description(summaries: dict[str, str]) -> str:
    lines = [
        "Does a model that was trained in JAX behave the same in TensorFlow?",
        "`parity COMMAND --help` describes a command.",
    ]
    for title, names in COMMANDS.items():
        lines += ["", f"{title}:"]
        for name in (name for name in names if name in summaries):
            lines.append(textwrap.fill(f"  {name:<10}{summaries[name]}", 79, subsequent_indent=" " * 12))
    return "\n".join(lines)


def _module(name: str) -> Any:
    return importlib.import_module(f"parity.cli.{name}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    top = parser(given[0] if given else None)
    arguments, further = top.parse_known_args(given)
    if further and arguments.command not in ACCEPTS_FURTHER:
        top.error(f"unknown arguments for {arguments.command}: {' '.join(further)}")
    try:
        code: int = _module(arguments.command).main(arguments, further)
        sys.stdout.flush()
        return code
    except ParityError as error:
        print(f"parity: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("parity: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader closed the pipe, as in `| head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes standard output when it ends
        return 141  # what a shell reports for a process that SIGPIPE ended
    except Exception:
        import traceback

        traceback.print_exc()
        return 70
