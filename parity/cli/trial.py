"""Try whether a case can be exported and called: what a run would find, but for the numbers.

`python -m parity.cli.trial CASE` runs for `parity doctor`, in a process that may crash, and prints a line of JSON each:
what JAX writes, what TensorFlow reads, and the `Trial`. A case that cannot be loaded is refused before TensorFlow is
imported.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.compat.handshake import Reader
from parity.core.errors import CaseError, NotComparableError, ParityError, RuntimeFailureError, UsageError
from parity.core.failures import OF_SYMBOLIC_SIZES, REMEDIABLE, UNKNOWN, of
from parity.runtimes.base import EVALUATION_OF, FIRST_CPU, VIRTUAL_CPUS, failures

if TYPE_CHECKING:
    from parity.cases.case import Case
    from parity.cases.specs import Batch
    from parity.runtimes.subject import Subject

WORKS, WITH_REMEDY, AT_FIXED_SIZES, FAILS = "works", "works_with_remedy", "works_at_fixed_sizes", "fails"
SIZE = 13
"""Examples of a call, as of a quick run; fewer where the test set has fewer."""


@dataclass(frozen=True)
class Trial:
    """What came of a case.

    Attributes:
        case: its name.
        verdict: `WORKS`, `WITH_REMEDY`, `AT_FIXED_SIZES` or `FAILS`.
        requirement: of the remedy, such as `tensorflow==2.21.0`, that its export was made with; None for none. At fixed
            sizes, of that export.
        failure, evidence: of what the remedy mends; empty where there is none.
        causes: what fails with symbolic sizes, under the remedy if it needs one; a line each, with what helps.
        at_fixed_sizes: what else fails at fixed sizes; empty where nothing does, or that was not tried.
        newer: the operations of its programs that are newer than what TensorFlow reads; None where this is not known.
    """

    case: str
    verdict: str
    requirement: str | None = None
    failure: str = ""
    evidence: str = ""
    causes: tuple[str, ...] = ()
    at_fixed_sizes: tuple[str, ...] = ()
    newer: list[str] | None = None


def attempt(case: Case, stablehlo: str | None = None) -> Trial:
    """Take one step of training of a case, export it, and call what it exports in TensorFlow.

    Args:
        case: as it was loaded.
        stablehlo: the newest version that TensorFlow reads; None where it is not known.

    Raises:
        UsageError: the case cannot be used or trained; the message is that of a run.
    """
    from parity.compat import writer
    from parity.export.programs import CasePrograms

    subject = _prepared(case)
    try:
        newer = CasePrograms(subject.case).newer_operations(writer.describe(), Reader(stablehlo, None))
        return replace(_tried(subject), newer=newer)
    finally:
        subject.close()


def _prepared(case: Case) -> Subject:
    """Return the subject after one step of training at most, with the evaluations of a run announced."""
    from parity.cases import symbols, training
    from parity.cases.case import Dataset
    from parity.cases.pipeline import Pipeline
    from parity.core.ledger import TimeLedger
    from parity.core.tracebacks import raised
    from parity.export import artifact
    from parity.records import PlanItem
    from parity.runtimes import registry
    from parity.runtimes.subject import Subject

    artifact.configure_devices(VIRTUAL_CPUS)
    dataset = training.examples(case)
    try:
        allowed = list(symbols.batch_sizes(case.constraints, dataset.test.sizes, min(SIZE, dataset.test.size)))
        size = max(allowed, default=dataset.test.size)
        few = Dataset(_first(dataset.train, case.training.batch_size), _first(dataset.test, size))
        brief = replace(case, training=replace(case.training, epochs=min(1, case.training.epochs)))
        trained = training.train(brief, few, Pipeline(few.train, case.training))
    except ParityError:
        raise
    except Exception as error:
        raise CaseError(f"case {case.name!r}: training {raised(error)}.") from error
    subject = Subject(case, TimeLedger(), dataset=few, trained=trained)
    reader, size = registry.reader().name, few.test.size
    subject.announce(
        PlanItem(
            item=probe, test=probe, case=case.name, probe=probe, variant="", runtime=reader, batch_size=size,
            jax_device=FIRST_CPU, tf_device=FIRST_CPU,
        )
        for probe in case.probes if probe in EVALUATION_OF
    )  # fmt: skip
    subject.batch(size)
    return subject


def _first(examples: Batch, count: int) -> Batch:
    return examples.take(min(count, examples.size))


def _tried(subject: Subject) -> Trial:
    failed = _with_symbolic_sizes(subject)
    if failed:
        _require_in_jax(subject)
    remedy, name = subject.remedy, subject.case.name
    found = Trial(name, FAILS, causes=_lines(failed))
    if remedy is not None:
        found = replace(found, requirement=remedy.requirement, failure=remedy.failure, evidence=remedy.evidence)
    if not failed:
        return replace(found, verdict=WITH_REMEDY if remedy else WORKS)
    if subject.case.has_own_artifact:
        return found  # its sizes are the user's to choose
    if not any(of(error).kind in (*OF_SYMBOLIC_SIZES, UNKNOWN) for error in failed):
        return found
    fixed, requirement = _with_fixed_sizes(subject, None), None
    if any(of(error).kind in REMEDIABLE for error in fixed):
        requirement = f"tensorflow=={_tensorflow()}"
        fixed = _with_fixed_sizes(subject, requirement)
    if fixed:
        return replace(found, at_fixed_sizes=tuple(line for line in _lines(fixed) if line not in found.causes))
    return replace(found, verdict=AT_FIXED_SIZES, requirement=requirement)


def _require_in_jax(subject: Subject) -> None:
    """Refuse a case that JAX itself cannot run: what TensorFlow says of that is nothing about the pair."""
    from parity.core.tracebacks import raised
    from parity.runtimes.jax import Jax

    runtime, [(_, batch)] = subject.runtime(Jax.name), subject.batches()
    for evaluation in _evaluations(subject):
        try:
            runtime.evaluate(evaluation, batch, FIRST_CPU)
        except RuntimeFailureError as error:
            what = f"case {subject.case.name!r}: {evaluation} in JAX {raised(error.__cause__ or error)}"
            raise CaseError(f"{what}. Correct the functions of the case.") from error


def _with_symbolic_sizes(subject: Subject) -> list[RuntimeFailureError]:
    """Return how the export fails, under a remedy where it needs one, in what a run asks of the reader."""
    from parity.runtimes import registry

    try:
        runtime, [(_, batch)] = subject.runtime(registry.reader().name), subject.batches()
    except RuntimeFailureError as error:
        return [error]
    return [*failures(runtime, _evaluations(subject), batch, FIRST_CPU), *_of_artifact(subject)]


def _of_artifact(subject: Subject) -> list[RuntimeFailureError]:
    """Return what the probe `artifact` finds."""
    from parity.probes import artifact
    from parity.records import PASS

    try:
        bad = [result for result in artifact.results(subject) if result.status != PASS]
    except RuntimeFailureError as error:
        return [error]
    return [RuntimeFailureError(result.message or f"{result.leaf}: {result.status}") for result in bad]


def _with_fixed_sizes(subject: Subject, readable_by: str | None) -> list[RuntimeFailureError]:
    """Return how an export for one batch size fails, each evaluation tried once."""
    from parity.export import artifact, conversion
    from parity.runtimes._module import ModuleOnDevice

    case, state, [(_, batch)] = subject.case, subject.trained.state, subject.batches()
    failed = []
    with tempfile.TemporaryDirectory(prefix="parity-") as folder:
        try:
            conversion.save(case, state, Path(folder), readable_by, batch.sizes)
            model = subject.model(Path(folder), readable_by)
            module = ModuleOnDevice(artifact.load(Path(folder) / "saved_model"), model, artifact.eager)
        except RuntimeFailureError as error:
            return [error]
        for evaluation in _evaluations(subject):
            try:
                module.answers(evaluation, batch, FIRST_CPU)
            except RuntimeFailureError as error:
                failed.append(error)
        return [*failed, *_of_artifact(subject.with_parts(bundle=Path(folder)))]


def _evaluations(subject: Subject) -> Collection[str]:
    from parity.runtimes import registry

    answered = subject.capabilities(registry.reader().name).evaluations
    return sorted({EVALUATION_OF[probe] for probe in subject.case.probes if EVALUATION_OF.get(probe) in answered})


def _tensorflow() -> str | None:
    from parity.core.environment import versions

    return versions()["tensorflow"]


def _lines(failed: Collection[RuntimeFailureError]) -> tuple[str, ...]:
    """Return the messages of errors, one for each cause."""
    from parity.session.failing import Causes

    causes = Causes()
    for nth, error in enumerate(failed):
        causes.add(error, str(nth), "", False)
    return tuple(cause.text for cause in causes)


def answers(name: str) -> Iterator[dict[str, Any]]:
    """Yield what JAX writes, what TensorFlow reads, and what comes of the case of that name.

    Raises:
        UsageError: the case cannot be found, read, used or trained.
    """
    from parity.cases.loading import load

    case = load(name)
    from parity.compat import reader, writer

    yield asdict(writer.describe())
    limits = reader.describe().filled(_tensorflow())
    yield asdict(limits)
    try:
        yield asdict(attempt(case, limits.stablehlo))
    except UsageError:
        raise
    except Exception as error:
        from parity.session.failing import message

        raise NotComparableError(f"the case could not be tried: {message(error)}") from error


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from parity.core.processes import replies

    written = replies()
    try:
        for answer in answers(sys.argv[1]):
            print(json.dumps(answer), file=written, flush=True)
    except (UsageError, NotComparableError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
