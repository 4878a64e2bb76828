"""The words of records: the schema, statuses, modes and states. On their own, because the gate starts with them."""

SCHEMA = 1

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
"""What a check is only if there was an answer to judge."""

JOINT = "joint"
SPLIT = "split"
FLEET = "fleet"
ARCHIVE = "archive"
EXPORT = "export"
MODES = (JOINT, SPLIT, FLEET, ARCHIVE, EXPORT)
"""Both frameworks in one environment; a bundle verified where JAX is not installed; the one bundle for all readers; a
bundle kept from a past release, verified likewise; the writing of bundles."""

NO_DEVICE = "none"
"""Stands for the TensorFlow device of a check that is about JAX alone."""

COMPLETE = "complete"
INTERRUPTED = "interrupted"
ABORTED = "aborted"
