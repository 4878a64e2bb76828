"""Run a command for as long as standard input stays open: `python -I leash.py COMMAND…`.

Who holds the other end of the pipe ends the command by closing it, or by dying, however suddenly: it gets an interrupt,
as from a terminal, and if it has not ended after a while it is killed. So nothing is left that writes for nobody.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

PATIENCE_S = 30.0
"""How long an interrupted command may take to seal its records; longer than tox gives its own children."""


def main(command: list[str]) -> int:
    """Run `command` to its end; its exit code, as a shell gives it."""
    # What a shell starts in the background ignores interrupts, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # A group of its own, so that it can be killed as a whole.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_end, args=(child,), daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _end(child: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 4096):  # not through sys.stdin, whose lock this thread would hold at the end
        pass
    child.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        child.wait(PATIENCE_S)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
