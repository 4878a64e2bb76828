"""Options that several commands share."""

from typing import Any

SEVERAL: dict[str, Any] = {"action": "append", "default": []}
"""For an option that may be given several times."""

KNOWN_ISSUES = "known issues of your project, beside the package's"

CASE = "a case by name, or path/to/file.py:name (default: reference)"

QUIET = "Log lines of the frameworks are hidden, unless TF_CPP_MIN_LOG_LEVEL is set; errors never are."
