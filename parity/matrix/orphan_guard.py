"""Run a command for as long as standard input stays open: `python -m parity.matrix.orphan_guard COMMAND…`.

The process at the other end of the pipe ends the command by closing the pipe, or by dying. The command gets an
interrupt, as from a terminal, and is killed if it has not ended `PATIENCE_S` later, so that no orphan goes on writing.
A command that is silent for too long is ended as well, with the exit code `SILENT`.
"""

from __future__ import annotations

import os
import select
import sys

from parity.core import silence
from parity.matrix.child_process import supervise
from parity.records import TIMEOUT

PATIENCE_S = 30.0
"""How long an interrupted command may take to seal its records; longer than tox gives its own children."""
SILENT = 124
"""As the exit code of timeout(1)."""


def main(command: list[str]) -> int:
    """Run `command` to its end and return its exit code, as a shell gives it."""
    limit_s = silence.limit_s(silence.TOX)
    code, stopped, _ = supervise(command, None, lambda: False, None, limit_s, _input_closed, PATIENCE_S)
    if stopped is not None and stopped.status == TIMEOUT:
        return SILENT
    return code if code >= 0 else 128 - code


def _input_closed() -> bool:
    ready, _, _ = select.select([0], [], [], 0)
    return bool(ready) and not os.read(0, 4096)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
