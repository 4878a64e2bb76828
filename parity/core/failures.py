"""The class of a failure, and the operation or version that it names, from an error, its text or a log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from parity.core import mlir

STABLEHLO_SKEW = "stablehlo_skew"
CALLING_CONVENTION = "calling_convention"
MISSING_FFI = "missing_ffi"
SYMBOLIC_SHAPE = "symbolic_shape"
SHAPE_REFINEMENT = "shape_refinement"
IMPORT = "import"
RESOLVER = "resolver"
CRASH = "crash"
TIMEOUT = "timeout"
NUMERIC = "numeric"
UNKNOWN = "unknown"
CLASSES = (
    STABLEHLO_SKEW, CALLING_CONVENTION, MISSING_FFI, SYMBOLIC_SHAPE, SHAPE_REFINEMENT, IMPORT, RESOLVER, CRASH,
    TIMEOUT, NUMERIC, UNKNOWN,
)  # fmt: skip
REMEDIABLE = (STABLEHLO_SKEW, CALLING_CONVENTION)
"""The classes that a remedy can help: exporting within the limits of the reader."""
OF_SYMBOLIC_SIZES = (SYMBOLIC_SHAPE, SHAPE_REFINEMENT)
"""The classes that exporting for fixed sizes can help."""

TRACEBACKS_OF_JAX = ("JaxStackTraceBeforeTransformation", "UnfilteredStackTrace", "SimplifiedTraceback")
"""Exceptions that JAX adds as the cause of another: tracebacks, and no causes."""

LONGEST = 200
"""The largest number of characters of evidence."""


@dataclass(frozen=True)
class Failure:
    """A class of `CLASSES`, and the evidence for it: the exact operation or version, in one line.

    Attributes:
        kind: of `CLASSES`.
        evidence: what a record keeps.
        cause: what went wrong, in one line for a message; not compared.
        operation: of JAX, as the text names the place of the failure, such as `top_k`; empty where it does not.
    """

    kind: str
    evidence: str
    cause: str = field(default="", compare=False)
    operation: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.kind}: {self.evidence}"


def of(error: BaseException) -> Failure:
    """Return the failure that an exception stands for.

    An exception can wrap others: the outermost that is evidence of a class decides. If none is, it is `UNKNOWN`, with
    the cause of the outermost that is more than a wrapper.
    """
    known = getattr(error, "failure", None)
    if isinstance(known, Failure):
        return known
    texts = [_text(one) for one in _chain(error)]
    found = [classify(text) for text in texts]
    said = [failure for failure, text in zip(found, texts, strict=True) if not _WRAPPER.match(text)]
    return next((failure for failure in found if failure.kind != UNKNOWN), (said or found)[0])


def classify(text: str) -> Failure:
    """Return the failure that an error text or a log is evidence of; `UNKNOWN` with its `headline` if of none."""
    for kind, pattern, evidence in _PATTERNS:
        if found := re.search(_BEGINS + pattern, text, re.MULTILINE):
            named, place = _one_line(evidence.format(**found.groupdict())), _PLACE.search(text)
            operation = place["operation"] if place else ""
            at = f" of {operation}" if operation and kind == SHAPE_REFINEMENT else ""
            error = found.groupdict().get("error", "")
            return Failure(kind, named, _CAUSES.get(kind, "{}").format(named, at=at, error=error), operation)
    line = headline(text)
    return Failure(UNKNOWN, line, line)


def headline(text: str) -> str:
    """Return the line of an error text that says what went wrong, without what names places and not causes."""
    if staged := _STAGED.search(text):  # below the frames is the error, indented as they are
        text = text[: staged.start()] + re.sub(r"^[ \t]+", "", text[staged.end() :], flags=re.MULTILINE)
    lines = [line for line in _PLACES.sub("", text).splitlines() if line.strip() and not line[0].isspace()]
    if not lines:
        return "no message"
    below = text.partition(lines[0])[2].split("\n") if lines[0].rstrip().endswith(":") else []
    return _one_line(" ".join([lines[0], *[line for line in below if line.strip()][:1]]))


def _text(error: BaseException) -> str:
    """Return the message of an exception, with its type where the message alone may not say what it is."""
    return str(error) if hasattr(error, "exit_code") else f"{type(error).__name__}: {error}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes, without the tracebacks that JAX adds as causes."""
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        if type(found).__name__ not in TRACEBACKS_OF_JAX:
            yield found
        found = found.__cause__


_WRAPPER = re.compile(r"\w+: Error when tracing gradients for SavedModel")
# Where the traced code was, as TensorFlow writes it into the message: frames of two lines, and a blank line.
_STAGED = re.compile(r'(?:\w+: )?in user code:\s*\n(?:[ \t]+File ".*\n(?:[ \t]+\S.*\n)*|[ \t]*\n)+')
# The name of an operation of JAX in a location of MLIR, `loc("jit(predict)/top_k")`.
_PLACE = re.compile(r'loc\("(?:[^"\n]*/)?(?P<operation>[A-Za-z]\w*)"')
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
    """Return `text` in one line of at most `LONGEST` characters: files by name, types as specs, without addresses."""
    line = _ADDRESS.sub("", _PATH.sub("", mlir.with_specs(" ".join(text.split()))))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


# A message is at the start of a line, or after what reports it; a sentence that quotes one is not evidence.
_BEGINS = r"(?:^[\s×E]*|: |\}\} |\] )"  # noqa: RUF001 - uv's mark of an error; E is pytest's
_ACCEPTED = "calling convention {wrote}, accepted up to {reads}"
_CAUSES = {
    STABLEHLO_SKEW: "TensorFlow cannot read the exported program: {}",
    CALLING_CONVENTION: "JAX writes {} by TensorFlow",
    MISSING_FFI: "TensorFlow has no implementation of a native call: {}",
    SYMBOLIC_SHAPE: "JAX cannot export with symbolic sizes: {error}: {}",
    SHAPE_REFINEMENT: "TensorFlow cannot fix the symbolic sizes{at}: {}",
}
"""The cause in words, by class, of evidence."""
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
        SYMBOLIC_SHAPE,
        r"(?P<error>InconclusiveDimensionOperation): (?:Symbolic dimension )?comparison '(?P<left>[^'\n]+)' "
        r"(?P<sign>[<>=!]+) '(?P<right>[^'\n]+)' is inconclusive",
        "comparison {left} {sign} {right} is inconclusive",
    ),
    (SYMBOLIC_SHAPE, r"(?P<error>InconclusiveDimensionOperation): (?P<what>.+)", "{what}"),
    # The rules of JAX that take no symbolic size say so in these words; `_DimExpr` is its class of such a size.
    (
        SYMBOLIC_SHAPE,
        r"(?P<error>NotImplementedError|ValueError|TypeError): (?P<what>.*\b(?:_DimExpr|[Ss]ymbolic dimension|"
        r"non-constant|non-static|[Ss]hape polymorphism|polymorphic shapes)\b.*)",
        "{what}",
    ),
    (
        SHAPE_REFINEMENT,
        r"Module has dynamic shapes: .*'(?P<op>\w+\.\w+)' op has dynamic shapes",
        "{op} has dynamic shapes",
    ),
    (
        SHAPE_REFINEMENT,
        r"Module shape refinement failed: .*operand at index \d+ has type .*, but decomposition has type",
        "the decomposition of a composite has dynamic shapes",
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
