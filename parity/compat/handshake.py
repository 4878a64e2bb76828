"""The handshake between JAX's writer and TensorFlow's reader, which predicts whether a pair works before converting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from packaging.version import Version

from parity.compat.readers import limits_of
from parity.core.errors import UsageError
from parity.core.failures import CALLING_CONVENTION, STABLEHLO_SKEW
from parity.records import ERROR, PASS, REMEDIED

UNNAMED = Version("0.0.0")
"""The StableHLO version of a program that names none."""
OLDEST_CONVENTION = 9
"""The oldest calling convention that every jax since 0.4.30 can write; see the documentation of `jax.export`."""


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
        """Return the reader with what it does not say taken from the table of readers for `release`."""
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
    """What the handshake predicts of a cell.

    Attributes:
        status: pass, remedied or error, as in a record; None where only a call decides.
        failure: the class of failure, of `parity.core.failures`; empty where there is none.
        evidence: what the failure will name.
        reason: why, in a sentence.
    """

    status: str | None
    failure: str
    evidence: str
    reason: str

    def with_operations(self, failure: str, evidence: str) -> str:
        """Return the evidence of a failure, with the predicted operations where TensorFlow does not name any."""
        if failure != self.failure or "vhlo." in evidence or self.evidence in evidence:
            return evidence
        return f"{evidence}: {self.evidence}"


def remedy_code(requirement: str) -> str:
    """Return the remedy as code to paste, for the TensorFlow that `requirement` names."""
    return f"""\
import parity

with parity.readable_by("{requirement}"):
    ...  # everything that converts and saves"""


def skewed(writer: Writer, reader: Reader) -> bool:
    """Return whether the writer's StableHLO is newer than the reader's, so that operations decide."""
    return reader.stablehlo is not None and Version(writer.stablehlo) > Version(reader.stablehlo)


def predict(writer: Writer, reader: Reader, newer: Sequence[str] | None) -> Prediction:
    """Predict whether the pair works.

    Args:
        writer: what JAX writes.
        reader: what TensorFlow reads.
        newer: the operations of the case's programs that the reader's StableHLO does not have in the form in which
            they are written; None where this is not known.
    """
    if reader.calling_convention is not None and writer.calling_convention > reader.calling_convention:
        evidence = f"calling convention {writer.calling_convention}, accepted up to {reader.calling_convention}"
        status = REMEDIED if reader.calling_convention >= OLDEST_CONVENTION else ERROR
        reason = f"JAX writes {evidence} by TensorFlow: every call of an exported model fails."
        return Prediction(status, CALLING_CONVENTION, evidence, reason)
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
