"""Run a command for as long as standard input stays open: `python -m parity.matrix.orphan_guard COMMAND…`.

The process at the other end of the pipe ends the command by closing the pipe, or by dying. The command gets an
interrupt, as from a terminal, and is killed if it has not ended `PATIENCE_S` later, so that no orphan goes on writing.
"""

from __future__ import annotations

import os
import select
import sys

from parity.matrix.child_process import supervise

PATIENCE_S = 30.0
"""How long an interrupted command may take to seal its records; longer than tox gives its own children."""


def main(command: list[str]) -> int:
    """Run `command` to its end and return its exit code, as a shell gives it."""
    code, _, _ = supervise(command, None, lambda: None, None, _input_closed, PATIENCE_S)
    return code if code >= 0 else 128 - code


def _input_closed() -> bool:
    ready, _, _ = select.select([0], [], [], 0)
    return bool(ready) and not os.read(0, 4096)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
