"""The class of a failure, and the operation or version that it names, from the text of an error or a log."""

from __future__ import annotations

import re
from dataclasses import dataclass

STABLEHLO_SKEW = "stablehlo_skew"
CALLING_CONVENTION = "calling_convention"
MISSING_FFI = "missing_ffi"
SHAPE_REFINEMENT = "shape_refinement"
IMPORT = "import"
RESOLVER = "resolver"
CRASH = "crash"
TIMEOUT = "timeout"
NUMERIC = "numeric"
UNKNOWN = "unknown"
CLASSES = (
    STABLEHLO_SKEW, CALLING_CONVENTION, MISSING_FFI, SHAPE_REFINEMENT, IMPORT, RESOLVER, CRASH, TIMEOUT, NUMERIC,
    UNKNOWN,
)  # fmt: skip
REMEDIABLE = (STABLEHLO_SKEW, CALLING_CONVENTION)
"""The classes that a remedy can help: exporting within the limits of the reader."""

LONGEST = 200
"""The largest number of characters of evidence."""


@dataclass(frozen=True)
class Failure:
    """A class of `CLASSES`, and the evidence for it: the exact operation or version, in one line."""

    kind: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.evidence}"


def classify(text: str) -> Failure:
    """Return the failure that an error text or a log is evidence of; `UNKNOWN` with its `headline` if of none."""
    for kind, pattern, evidence in _PATTERNS:
        if found := re.search(_BEGINS + pattern, text, re.MULTILINE):
            return Failure(kind, _one_line(evidence.format(**found.groupdict())))
    return Failure(UNKNOWN, headline(text))


def headline(text: str) -> str:
    """Return the line of an error text that says what went wrong, without what names places and not causes."""
    lines = [line for line in _PLACES.sub("", text).splitlines() if line.strip() and not line[0].isspace()]
    return _one_line(lines[0]) if lines else "no message"


# Where TensorFlow ran a graph, where Python was, and the node or function that failed.
_PLACES = re.compile(
    r"Graph execution error:\s*\n"
    r"|^Detected at node .*\n"
    r"|^Traceback \(most recent call last\):\n"
    r"|^<stack traces unavailable>\n"
    r"|\{\{function_node .*?\}\} "
    r"| \[Op:\w+\](?: name: ?.*)?$"
    r"|^[ \t]+.*\n"
    r"|^\n",
    re.MULTILINE,
)
_PATH = re.compile(r"(?<![\w:/.])/(?:[\w.+@-]+/)+(?=[\w.+@-])")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+|0x[0-9a-f]{6,}", re.IGNORECASE)


def _one_line(text: str) -> str:
    """Return `text` in one line of at most `LONGEST` characters, with files by their name and without addresses."""
    line = _ADDRESS.sub("", _PATH.sub("", " ".join(text.split())))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


# A message is at the start of a line, or after what reports it; a sentence that quotes one is not evidence.
_BEGINS = r"(?:^[\s×E]*|: |\}\} |\] )"  # noqa: RUF001 - uv's mark of an error; E is pytest's
_ACCEPTED = "calling convention {wrote}, accepted up to {reads}"
# In the order in which TensorFlow would meet them; the evidence takes the groups that the pattern names. TensorFlow up
# to 2.19 gives the reason in its log and not in its error, which is why the last pattern of a class names no operation.
_PATTERNS = (
    (
        CALLING_CONVENTION,
        r"XlaCallModule from your TensorFlow installation supports up to serialization version (?P<reads>\d+) but the "
        r"serialized module needs version (?P<wrote>\d+)",
        _ACCEPTED,
    ),
    (
        CALLING_CONVENTION,
        r"XlaCallModuleOp with version (?P<wrote>\d+) is not supported.*Must be <= (?P<reads>\d+)",
        _ACCEPTED,
    ),
    (
        STABLEHLO_SKEW,
        r"unregistered operation '(?P<op>\w+\.\w+)' found in dialect"
        r"(?:.*\n){1,20}?.*produced by: StableHLO_v(?P<wrote>[\d.]*\d)",
        "{op} in StableHLO {wrote}",
    ),
    (STABLEHLO_SKEW, r"unregistered operation '(?P<op>\w+\.\w+)' found in dialect", "{op}"),
    (STABLEHLO_SKEW, r"(?P<what>unknown (?:vhlo )?(?:type|attribute) code: \d+)", "{what}"),
    (
        STABLEHLO_SKEW,
        r"failed to deserialize portable artifact using StableHLO_v(?P<reads>[\d.]*\d)",
        "newer than StableHLO {reads}",
    ),
    (STABLEHLO_SKEW, r"(?P<what>Cannot deserialize computation)(?: \[Op:.*)?$", "{what}"),
    (MISSING_FFI, r"No FFI handler registered for (?P<op>\S+) on a platform", "{op}"),
    (MISSING_FFI, r"No registered implementation for (?:\w+ )?custom call to (?P<op>\S+) for ", "{op}"),
    (MISSING_FFI, r"Unable to resolve runtime symbol: `(?P<op>[^']+)'", "{op}"),
    (MISSING_FFI, r"Symbol XlaCallModule\.\d+ not found", "a custom call that TensorFlow does not name"),
    (
        SHAPE_REFINEMENT,
        r"Module has dynamic shapes: .*'(?P<op>\w+\.\w+)' op has dynamic shapes",
        "{op} has dynamic shapes",
    ),
    (SHAPE_REFINEMENT, r"Module shape refinement failed: .*error: (?:loc\(.*?\): )?(?P<what>.+)", "{what}"),
    (SHAPE_REFINEMENT, r"(?P<what>Module (?:has dynamic shapes|shape refinement failed))(?=[:.]|$)", "{what}"),
    (IMPORT, r"\w+ cannot be imported: (?P<what>.+?)(?:\. |$)", "{what}"),
    (IMPORT, r"(?:ModuleNotFound|Import)Error: (?P<what>.+?)(?: \(/.*)?$", "{what}"),
    (
        RESOLVER,
        r"No solution found when resolving dependencies:?\s+(?:cause:|╰─▶) Because (?P<why>(?s:.*?)), we\s+can\s",
        "{why}",
    ),
    (
        RESOLVER,
        r"ERROR: (?P<what>Cannot install .* because these package versions have conflicting dep.*)\.$",
        "{what}",
    ),
    (RESOLVER, r"ERROR: (?P<what>No matching distribution found for .+)", "{what}"),
)
