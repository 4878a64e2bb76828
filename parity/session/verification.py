"""`parity verify`: this TensorFlow against a bundle, in a process in which JAX need not be installed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.version import Version

from parity import records, report
from parity.cases.specs import Answer
from parity.compat import deprecations, handshake, known_issues
from parity.compat.handshake import Reader, Writer
from parity.core import environment
from parity.core.errors import NotComparableError, ParityError, RecordError, UsageError
from parity.core.failures import REMEDIABLE, Failure, of
from parity.core.ledger import FRAMEWORKS, IMPORTING, TimeLedger
from parity.core.progress import Report, silent
from parity.export import archives, bundles
from parity.export.bundles import Bundle
from parity.records import FAIL, PASS, PlanItem, Remedy, Run
from parity.runtimes import registry
from parity.runtimes.base import EVALUATION_OF, EVALUATIONS, FIRST_CPU, Model, Runtime, failures
from parity.scoring import accuracy, rules
from parity.scoring.rules import LeafResult
from parity.session.recording import RunRecord

PROGRAM_FIRST = Version("2.19")
"""Before this release TensorFlow fails on a program's operations before it looks at its calling convention."""

NO_MARGINS = (
    "accuracy cannot be verified: the bundle lacks the oracle's predictions, which say how many examples are too close "
    "to call. Export it again with this parity."
)


def verify(
    path: Path,
    out: Path | None = None,
    cell: str | None = None,
    remedied: bool = False,
    issues: Path | None = None,
    progress: Report = silent,
    say: Callable[[str], Any] = lambda line: None,
) -> Run:
    """Score the SavedModel of a bundle on every probe, at every stored batch size.

    Where TensorFlow cannot run the default export, and the bundle has one under a remedy that helps, this is scored.

    Args:
        path: the bundle, a folder or one file.
        out: the folder for a record and a report; None for neither.
        cell: the name of the environment in the record.
        remedied: score only the export under the remedy, as if it were the default.
        issues: the known issues of a project, beside the package's.
        progress: called before and after every evaluation.
        say: takes the line about the report.

    Raises:
        RecordError: the bundle is damaged, newer, has no answers, or is not what the archive that it is in lists.
        NotComparableError: TensorFlow is not installed.
        UsageError: `remedied`, and the bundle has no export under a remedy; `issues` cannot be read.
    """
    known_issues.load(issues)
    if path.is_file():
        archives.require_unaltered(path)
    with bundles.opening(path) as bundle:
        if not bundle.has_answers:
            raise RecordError(f"{path} has no answers of JAX to compare with. Write it with parity export.")
        if remedied and bundle.readable_by is None:
            raise UsageError(f"{path} has no export under a remedy. Write it with parity export --readable-by.")
        mode = records.FLEET if remedied else records.ARCHIVE if path.is_file() else records.SPLIT
        return _verify(bundle, out, cell, mode, issues, progress, say)


def _verify(
    bundle: Bundle, out: Path | None, cell: str | None, mode: str, issues: Path | None, progress: Report,
    say: Callable[[str], Any],
) -> Run:  # fmt: skip
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    ledger = TimeLedger()
    plan = [_item(bundle, probe, size) for size in bundle.batch_sizes for probe in bundle.signature.probes]
    progress("importing tensorflow", 0, len(plan))
    try:
        with ledger.spend(IMPORTING):
            from parity.compat import reader
            from parity.export import artifact
    except Exception as error:
        raise NotComparableError(f"tensorflow cannot be imported: {type(error).__name__}: {error}.") from error
    artifact.configure_devices(1)
    versions, reads = environment.versions(), reader.describe()
    prediction = _prediction(bundle, reads.filled(versions["tensorflow"]), versions, mode == records.FLEET)
    facts = {
        "versions": {**versions, **{name: bundle.versions.get(name) for name in ("jax", "jaxlib", "flax", "optax")}},
        "installed": environment.installed(),
        "machine": environment.machine(),
        "devices": {"tensorflow": artifact.devices()},
        "writer": bundle.writer,
        "reader": vars(reads),
        "prediction": vars(prediction),
    }
    run = Run(cell=cell or f"verify-{bundle.signature.case}", started_at=records.now(), environment=facts, mode=mode)
    if issues is not None:
        run.environment["known_issues"] = str(issues)
    record = RunRecord(run, known_issues.load(issues))
    record.predictions[bundle.signature.case] = prediction
    state = records.ABORTED
    record.begin(out, plan)
    try:
        with deprecations.collecting(record.deprecated):
            for budget in bundle.budgets:
                record.add(budget)
            _check(bundle, record, plan, mode == records.FLEET, ledger, progress)
        state = records.COMPLETE
    except KeyboardInterrupt:
        state = records.INTERRUPTED
        raise
    finally:
        record.seal(state, ledger.totals())
        if out is not None:
            say(report.write_if_installed([run], out / "index.html"))
    return run


def _prediction(
    bundle: Bundle, reader: Reader, versions: dict[str, str | None], remedied: bool
) -> handshake.Prediction:  # fmt: skip
    if remedied:
        return handshake.Prediction(None, "", "", f"It was exported to be readable by {bundle.readable_by}.")
    writes = Writer(bundle.writer["stablehlo"], bundle.writer["calling_convention"])
    newer = bundle.writer.get("newer", {}).get(reader.stablehlo)
    if newer and Version(versions["tensorflow"] or "0") < PROGRAM_FIRST:
        writes = replace(writes, calling_convention=reader.calling_convention or writes.calling_convention)
    return handshake.predict(writes, reader, newer)


def _check(
    bundle: Bundle, record: RunRecord, plan: list[PlanItem], remedied: bool, ledger: TimeLedger, progress: Report
) -> None:  # fmt: skip
    """Record the checks of the default export, or of the one under a remedy where that is needed."""
    progress(f"loading {bundle.signature.case}", 0, len(plan))
    runtime = _open(bundle, bundle.path / bundles.REMEDIED if remedied else bundle.path)
    remedy, done = None, 0
    if not remedied and bundle.readable_by is not None:
        with ledger.spend(FRAMEWORKS):
            remediable = _remediable(bundle, runtime)
        if remediable:
            failure = remediable[0]
            remedy = Remedy(bundle.signature.case, bundle.readable_by, failure.kind, failure.evidence)
            runtime = _open(bundle, bundle.path / bundles.REMEDIED)
    for size in bundle.batch_sizes:
        for evaluation in EVALUATIONS:
            items = [i for i in plan if i.batch_size == size and EVALUATION_OF[i.probe] == evaluation]
            if items:
                progress(f"{evaluation} on {runtime.name}, batch {size}", done, len(plan))
                _check_evaluation(bundle, record, runtime, items, remedy, ledger)
                done += len(items)
    progress("writing the record", len(plan), len(plan))
    runtime.close()


def _open(bundle: Bundle, exported: Path) -> Runtime:
    return registry.reader()(Model(bundle.signature, None, None, exported))


def _remediable(bundle: Bundle, runtime: Runtime) -> list[Failure]:
    """Return how TensorFlow fails on the default export in ways that a remedy mends, each evaluation tried once."""
    evaluations = {EVALUATION_OF[probe] for probe in bundle.signature.probes}
    failed = failures(runtime, evaluations, bundle.batch(min(bundle.batch_sizes)), FIRST_CPU)
    return [failure for failure in map(of, failed) if failure.kind in REMEDIABLE]


def _check_evaluation(
    bundle: Bundle,
    record: RunRecord,
    runtime: Runtime,
    items: list[PlanItem],
    remedy: Remedy | None,
    ledger: TimeLedger,
) -> None:
    size, evaluation = items[0].batch_size, EVALUATION_OF[items[0].probe]
    try:
        with ledger.spend(FRAMEWORKS):
            answers = runtime.evaluate(evaluation, bundle.batch(size))
    except ParityError as error:
        for item in items:
            record.error(item, error, None, "", remedy)
        return
    for item in items:
        results = _score(bundle, item.probe, size, answers.get(item.probe, {}))
        record.checks(item, results, size, "", remedy, bundle.limit_of(item.probe), bundle.signature.limit_reason)


def _item(bundle: Bundle, probe: str, size: int) -> PlanItem:
    case, runtime = bundle.signature.case, registry.reader().name
    return PlanItem(
        item=f"verify_{probe}[{case}-{runtime}-b{size}]", test=probe, case=case, probe=probe, variant="",
        runtime=runtime, batch_size=size, jax_device=FIRST_CPU, tf_device=FIRST_CPU,
    )  # fmt: skip


def _score(bundle: Bundle, probe: str, size: int, answer: Answer) -> list[LeafResult]:
    jax, oracle = bundle.answer("answers", probe, size), bundle.answer("oracle", probe, size)
    limit = bundle.limit_of(probe)
    if probe == rules.ACCURACY:
        if not bundle.has_answer("oracle", "predict", size):
            return [LeafResult(probe, records.ERROR, message=NO_MARGINS)]
        scores, budgets = bundle.answer("oracle", "predict", size), bundle.budget("predict", size)
        leaves, most = [x for x in budgets if scores[x].shape[:1] == (size,)], bundle.limit_of("predict")
        # A table has no examples.
        ambiguous = max((accuracy.ambiguous_rows(scores[leaf], budgets[leaf], most) for leaf in leaves), default=0)
        return [accuracy.judge(answer, jax, oracle, size, ambiguous)]
    results = rules.judge(answer, jax, oracle, bundle.budget(probe, size), limit)
    return [_with_jax(result, limit) for result in results]


def _with_jax(result: LeafResult, limit: float) -> LeafResult:
    """Fail a leaf of which JAX's own answer, in the bundle, is off: here nothing else judges it."""
    if result.status != PASS or result.jax_score is None or result.jax_score <= limit:
        return result
    moved = rules.attribution(result.score or 0.0, result.jax_score, limit)
    message = f"JAX's answer in the bundle scores {result.jax_score:.3g}, over the limit {limit:g}; {moved}"
    return replace(result, status=FAIL, message=message)
