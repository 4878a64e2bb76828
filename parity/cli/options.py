"""Options that several commands share."""

from typing import Any

SEVERAL: dict[str, Any] = {"action": "append", "default": []}
"""For an option that may be given several times."""

KNOWN_ISSUES = "known issues of your project, beside the package's"

CASE = "a case by name, or path/to/file.py:name (default: reference)"

QUIET = "What the frameworks log is hidden, unless TF_CPP_MIN_LOG_LEVEL is 0 or 1; a crash shows its end."
