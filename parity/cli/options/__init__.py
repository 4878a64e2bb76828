"""The commands of `parity`, one file each: `add` adds its options to the parser, `main` does it.

At their top they import the standard library alone; what a command needs is imported when it runs.
"""

from typing import Any

NAMES = (
    "run", "doctor", "export", "verify", "report", "show", "gate", "baseline", "upgrade", "bisect", "cell", "matrix",
    "atlas", "faults", "study", "false_alarms", "latency_honesty",
)  # fmt: skip
"""In the order of the help; a name of two words has a dash on the command line."""

SEVERAL: dict[str, Any] = {"action": "append", "default": []}
CASE = "a case by name, or path/to/file.py:name (default: reference)"
