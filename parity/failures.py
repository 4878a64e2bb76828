"""Why something failed, read from the evidence: the class of a failure, and the operation or version that it names."""

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
"""What writing for the reader's limits mends."""


@dataclass(frozen=True)
class Failure:
    """A class of `CLASSES`, and the evidence for it: the exact operation or version."""

    kind: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.evidence}"


def classify(text: str) -> Failure:
    """The failure that a framework's error text is evidence of; `UNKNOWN` with its first line if of none."""
    for kind, pattern, evidence in _PATTERNS:
        if found := re.search(pattern, text):
            return Failure(kind, evidence.format(**{k: v or "?" for k, v in found.groupdict().items()}))
    return Failure(UNKNOWN, text.strip().partition("\n")[0])


# In the order in which TensorFlow would meet them; the evidence takes the groups that the pattern names.
_PATTERNS = (
    (
        CALLING_CONVENTION,
        r"(?s)supports up to serialization version (?P<reads>\d+).*?version (?P<wrote>\d+)",
        "calling convention {wrote}, accepted up to {reads}",
    ),
    (
        STABLEHLO_SKEW,
        r"unregistered operation '(?P<op>vhlo\.\w+)'(?s:.*?StableHLO_v(?P<version>[\d.]*\d))?",
        "{op} in StableHLO {version}",
    ),
    (STABLEHLO_SKEW, r"deserialize portable artifact using StableHLO_v(?P<version>[\d.]*\d)", "StableHLO {version}"),
    (MISSING_FFI, r"(?:implementation|handler)[^\n]*?(?:custom call to|for) '?(?P<op>\w+_ffi|\w+)'?", "{op}"),
    (SHAPE_REFINEMENT, r"(?P<what>Module has dynamic shapes|[Ss]hape refinement)", "{what}"),
    (IMPORT, r"(?P<what>[\w.]+ cannot be imported: [^\n]+|(?:ModuleNotFound|Import)Error: [^\n]+)", "{what}"),
    (RESOLVER, r"(?s)No solution found when resolving dependencies:(?P<why>.*)", "{why}"),
)
