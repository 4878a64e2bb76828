"""Check a case as a run does before it trains, and export it.

`python -m parity.cli.check_case CASE` does it for `parity doctor`, in a process that does not import TensorFlow.
"""

from __future__ import annotations

import sys

from parity.cases import training
from parity.cases.loading import load
from parity.core.errors import CaseError, UsageError
from parity.export.programs import exported


def check(name: str) -> None:
    """Load the case, make its state and its data, trace its functions, and export its programs.

    Raises:
        UsageError: the case cannot be found, read or used; the message is that of a run.
    """
    case = load(name)
    training.check(case, training.begin(case), training.examples(case))
    try:
        list(exported(case))
    except Exception as error:
        raise CaseError(f"case {case.name!r} cannot be exported: {type(error).__name__}: {error}") from error


if __name__ == "__main__":
    try:
        check(sys.argv[1])
    except UsageError as error:
        sys.exit(f"{type(error).__name__}: {error}")
