"""The handshake between JAX's writer and TensorFlow's reader, and what it foretells before anything is converted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from packaging.version import Version

from parity.compat.readers import limits_of
from parity.core.errors import UsageError
from parity.core.failures import CALLING_CONVENTION, STABLEHLO_SKEW
from parity.records import ERROR, PASS, REMEDIED

UNNAMED = Version("0.0.0")
"""Stands for the StableHLO version of a program that names none."""
OLDEST_CONVENTION = 9
"""What every jax since 0.4.30 can still write, of the calling conventions of jax's `export` documentation."""


@dataclass(frozen=True)
class Writer:
    """What JAX writes: the StableHLO version of a serialised program, and the calling convention."""

    stablehlo: str
    calling_convention: int


@dataclass(frozen=True)
class Reader:
    """What TensorFlow reads: the newest StableHLO version and calling convention; None where it does not say."""

    stablehlo: str | None
    calling_convention: int | None

    def filled(self, release: str | None) -> Reader:
        """With what the table of readers has for `release` where it does not say."""
        try:
            known = limits_of(f"tensorflow=={release}")
        except UsageError:
            return self
        return replace(
            self,
            stablehlo=self.stablehlo or known.stablehlo,
            calling_convention=self.calling_convention or known.calling_convention,
        )


@dataclass(frozen=True)
class Prediction:
    """What the handshake foretells of a cell: status, class of failure and evidence as in its record, and why.

    The status is None where it foretells nothing.
    """

    status: str | None
    failure: str
    evidence: str
    reason: str

    def completed(self, failure: str, evidence: str) -> str:
        """The evidence of a failure as foretold, with the operations that TensorFlow itself may not have named."""
        if failure != self.failure or "vhlo." in evidence or self.evidence in evidence:
            return evidence
        return f"{evidence}: {self.evidence}"


def remedy_code(requirement: str) -> str:
    """The remedy as code to paste, such that TensorFlow as `requirement` names it can read what is exported."""
    return f"""\
import parity

with parity.readable_by("{requirement}"):
    ...  # everything that converts and saves"""


def skewed(writer: Writer, reader: Reader) -> bool:
    """Whether the writer's StableHLO is newer than the reader's, so that operations decide."""
    return reader.stablehlo is not None and Version(writer.stablehlo) > Version(reader.stablehlo)


def foresee(writer: Writer, reader: Reader, newer: Sequence[str] | None) -> Prediction:
    """What follows from the handshake.

    Args:
        writer: what JAX writes.
        reader: what TensorFlow reads.
        newer: the operations of the case's programs that the reader's StableHLO does not have in the form in which
            they are written; None where nobody looked.
    """
    if reader.calling_convention is not None and writer.calling_convention > reader.calling_convention:
        evidence = f"calling convention {writer.calling_convention}, accepted up to {reader.calling_convention}"
        mended = reader.calling_convention >= OLDEST_CONVENTION
        said = f"JAX writes {evidence} by TensorFlow: every call of an exported model fails"
        return Prediction(REMEDIED if mended else ERROR, CALLING_CONVENTION, evidence, f"{said}.")
    if reader.stablehlo is None or reader.calling_convention is None or Version(writer.stablehlo) == UNNAMED:
        silent = "JAX does not say what it writes" if reader.stablehlo else "TensorFlow does not say what it reads"
        return Prediction(None, "", "", f"This {silent}; only a call decides.")
    versions = f"JAX writes StableHLO {writer.stablehlo}, TensorFlow reads up to {reader.stablehlo}"
    if not skewed(writer, reader):
        return Prediction(PASS, "", "", f"{versions}; calling convention {writer.calling_convention} is accepted.")
    if newer is None:
        return Prediction(None, "", "", f"{versions}; whether a program uses what is newer, only a call decides.")
    if newer:
        listed = ", ".join(newer)
        reason = f"{versions}, and the exported programs have newer operations: {listed}."
        return Prediction(REMEDIED, STABLEHLO_SKEW, listed, reason)
    return Prediction(PASS, "", "", f"{versions}; no operation of the exported programs is newer.")
