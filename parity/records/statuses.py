"""The constants of records: schema, statuses of checks, modes and states of runs."""

from typing import TYPE_CHECKING, Literal

SCHEMA = 2
"""The version of the format of records and baselines; `parity.records.schema_1` upgrades what has an older one."""

PASS = "pass"
FAIL = "fail"
KNOWN = "known"
FIXED = "fixed"
REMEDIED = "remedied"
ERROR = "error"
CRASH = "crash"
TIMEOUT = "timeout"
MISSING = "missing"
STATUSES = (PASS, FAIL, KNOWN, FIXED, REMEDIED, ERROR, CRASH, TIMEOUT, MISSING)
IN_ORDER = (PASS, KNOWN, REMEDIED)
ANSWERED = (PASS, REMEDIED, FAIL, FIXED)
"""The statuses of a check whose runtime gave an answer."""

NOUNS = {
    FAIL: ("failure", "failures"),
    FIXED: ("fixed issue", "fixed issues"),
    ERROR: ("error", "errors"),
    CRASH: ("crash", "crashes"),
    TIMEOUT: ("timeout", "timeouts"),
    MISSING: ("missing answer", "missing answers"),
}
"""What one check and several of a status are called, of those that are not in order."""

WHOLE = "*"
WHOLE_AGAIN = "* (again)"
"""The leaf of a check that is about a whole plan item; and of a second one of the item, after one in order."""

JOINT = "joint"
SPLIT = "split"
FLEET = "fleet"
ARCHIVE = "archive"
EXPORT = "export"
MODES = (JOINT, SPLIT, FLEET, ARCHIVE, EXPORT)
"""Both frameworks in one environment; a bundle verified where JAX is not installed; the one bundle for all readers; a
bundle kept from a past release, verified likewise; the writing of bundles."""

NO_DEVICE = "none"
"""The TensorFlow device of a check that is about JAX alone."""

COMPLETE = "complete"
INTERRUPTED = "interrupted"
ABORTED = "aborted"
STATES = (COMPLETE, INTERRUPTED, ABORTED)

if TYPE_CHECKING:  # a type checker cannot make a Literal of a tuple
    Status = str
    Mode = str
    State = str
else:
    Status = Literal[STATUSES]
    Mode = Literal[MODES]
    State = Literal[STATES]
