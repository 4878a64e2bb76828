"""The export of a subject: by default, and under a remedy where TensorFlow cannot run that."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parity.core.environment import versions
from parity.core.errors import ParityError, RuntimeFailureError
from parity.core.failures import REMEDIABLE, of
from parity.core.ledger import FRAMEWORKS
from parity.records import Remedy
from parity.runtimes import estimates, registry
from parity.runtimes.base import EVALUATION_OF, FIRST_CPU, Request, Runtime, failures

if TYPE_CHECKING:
    from parity.cases.specs import Batch
    from parity.runtimes.subject import Subject


@dataclass
class Export:
    """What became of an export.

    Attributes:
        found: the folder of the bundle, or why there is none.
        remedy: under which it was exported; None for the default.
        no_remedy: why a remedy did not help, where one was tried.
        reader: the runtime that read the default export, where it answered everything.
        slow: what to tell the user where its first evaluations took long.
    """

    found: Path | RuntimeFailureError
    remedy: Remedy | None = None
    no_remedy: str | None = None
    reader: Runtime | None = None
    slow: str | None = None


def export(
    subject: Subject, requests: Sequence[Request], batches: Mapping[int, Batch], further: Sequence[Batch]
) -> Export:  # fmt: skip
    """Export a subject, and once more under a remedy where TensorFlow fails for a reason that the remedy mends.

    What else of the default export fails is recorded by the checks.

    Args:
        subject: the trained case.
        requests: what runtimes will be asked; each evaluation is tried once.
        batches: the examples to store, by batch size.
        further: those of other sizes.
    """

    def written(readable_by: str | None) -> Path:
        from parity.export import conversion

        path = subject.workdir / (f"{subject.case.name}-remedied" if readable_by else subject.case.name)
        trained, exported = subject.trained, None
        if subject.case.has_own_artifact:
            folder = subject.exported if readable_by is None else exported_by_user(subject, readable_by)
            found = subject.interface if readable_by is None else subject.interface_of(folder)
            exported = (folder, found) if found is not None else None
        with subject.ledger.spend(FRAMEWORKS):
            conversion.write_bundle(
                path, subject.case, trained.state, dict(batches), lambda folder: None, readable_by, further=further,
                exported=exported,
            )  # fmt: skip
        return path

    try:
        made = Export(written(None))
        failed = _try(subject, made, requests, batches)
    except RuntimeFailureError as error:
        made, failed = Export(error), [error]
    remediable = [failure for failure in map(of, failed) if failure.kind in REMEDIABLE]
    if remediable:
        requirement = f"tensorflow=={versions()['tensorflow']}"
        try:
            made.found = written(requirement)
        except ParityError as error:
            made.no_remedy = f"no remedy: {error}"  # the failure of the default export says more, and stays
        else:
            made.remedy = Remedy(subject.case.name, requirement, remediable[0].kind, remediable[0].evidence)
    return made


def _try(
    subject: Subject, made: Export, requests: Sequence[Request], batches: Mapping[int, Batch]
) -> list[RuntimeFailureError]:
    """Return how TensorFlow fails on an export, each evaluation tried once at the smallest batch size."""
    from parity.scoring import rules

    assert isinstance(made.found, Path)
    answered = subject.capabilities(registry.reader().name).evaluations
    evaluations = {r.evaluation for r in requests if r.evaluation in answered} or {EVALUATION_OF["predict"]}
    runtime, started = registry.reader()(subject.model(made.found, None)), time.monotonic()
    with subject.ledger.spend(FRAMEWORKS):
        failed = failures(runtime, evaluations, batches[min(batches)], FIRST_CPU)
    each, asked = (time.monotonic() - started) / len(evaluations), len(subject.announced_runtimes)
    made.slow = estimates.slow(subject.case.name, each, rules.MEMBERS, asked, len(batches))
    if not failed:
        made.reader = runtime
    return failed


def exported_by_user(subject: Subject, readable_by: str | None = None) -> Path:
    """Return the folder of the SavedModel that the user of a case has made, or that their exporter writes now.

    Raises:
        ParityError: there is none, or the exporter failed.
    """
    from parity.export import user_artifact

    folder = subject.workdir / f"{subject.case.name}-exported{'-remedied' if readable_by else ''}"
    state = subject.trained.state if subject.case.export else None
    with subject.ledger.spend(FRAMEWORKS):
        return user_artifact.export(subject.case, state, folder, readable_by)
