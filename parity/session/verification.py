"""Judging this TensorFlow by a bundle, in a process in which JAX need not be installed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from packaging.version import Version

from parity import records, report
from parity.cases.specs import Answer
from parity.compat import deprecations, handshake, known_issues
from parity.compat.handshake import Reader, Writer
from parity.core import environment
from parity.core.errors import NotComparableError, ParityError, RecordError, UsageError
from parity.core.failures import NUMERIC, REMEDIABLE, Failure, classify
from parity.core.ledger import FRAMEWORKS, IMPORTING, Ledger
from parity.export import archives, bundles
from parity.export.bundles import Bundle
from parity.records import Check, PlanItem, Recorder, Remedy, Run
from parity.runtimes import EVALUATION_OF, EVALUATIONS, SAVED_MODEL, BaseRuntime, Model, failures, open_runtime
from parity.scoring import rules
from parity.scoring.rules import LeafResult

DEVICE = "cpu:0"
PROGRAM_FIRST = Version("2.19")
"""Before this release TensorFlow fails on a program's operations before it looks at its calling convention."""


def verify(path: Path, out: Path | None = None, cell: str | None = None, remedied: bool = False) -> Run:
    """Ask the bundle's SavedModel every probe at every batch size that is stored, and judge the answers.

    Where TensorFlow cannot run the default export and the bundle has one under a remedy that mends that, it is asked.

    Args:
        path: the bundle, a folder or one file.
        out: the folder for a record and a report; None for neither.
        cell: the name of the environment in the record.
        remedied: ask only the export under the remedy, as if it were the default.

    Raises:
        RecordError: the bundle is damaged, newer, has no answers, or is not what the archive that it is in lists.
        NotComparableError: TensorFlow is not installed.
        UsageError: `remedied`, and the bundle has no export under a remedy.
    """
    if path.is_file():
        archives.require_unaltered(path)
    with bundles.opening(path) as bundle:
        if not bundle.budgets:
            raise RecordError(f"{path} has no answers of JAX to compare with. Write it with parity export.")
        if remedied and bundle.readable_by is None:
            raise UsageError(f"{path} has no export under a remedy. Write it with parity export --readable-by.")
        mode = records.FLEET if remedied else records.ARCHIVE if path.is_file() else records.SPLIT
        return _verify(bundle, out, cell, mode)


def _verify(bundle: Bundle, out: Path | None, cell: str | None, mode: str) -> Run:
    remedied = mode == records.FLEET
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    ledger = Ledger()
    try:
        with ledger.spend(IMPORTING):
            from parity.compat import reader
            from parity.export import artifact
    except Exception as error:
        raise NotComparableError(f"tensorflow cannot be imported: {type(error).__name__}: {error}.") from error
    artifact.configure_devices(1)
    versions = environment.versions()
    prediction = _prediction(bundle, reader.describe().filled(versions["tensorflow"]), versions, remedied)
    facts = {
        "versions": {**versions, **_of_jax(bundle)},
        "installed": environment.installed(),
        "machine": environment.machine(),
        "devices": {"tensorflow": artifact.devices()},
        "writer": bundle.writer,
        "reader": vars(reader.describe()),
        "prediction": vars(prediction),
    }
    run = Run(cell=cell or f"verify-{bundle.signature.case}", started_at=records.now(), environment=facts)
    run.mode = mode
    recorder = Recorder(out, run) if out is not None else None
    add = recorder.add if recorder is not None else partial(records.append, run)
    state = records.INTERRUPTED
    try:
        heard: list[records.Deprecation] = []
        with deprecations.listening(heard.append):
            for event in _events(bundle, prediction, remedied, ledger):
                add(known_issues.settle(event, facts, known_issues.load()) if isinstance(event, Check) else event)
        for found in dict.fromkeys(heard):
            add(found)
        state = records.COMPLETE
    finally:
        run.state, run.ended_at, run.spent_s = state, records.now(), ledger.totals()
        if recorder is not None and out is not None:
            recorder.seal(state, run.spent_s)
            report.write_if_installed([run], out / "index.html")
    return run


def _prediction(
    bundle: Bundle, reader: Reader, versions: dict[str, str | None], remedied: bool
) -> handshake.Prediction:
    if remedied:
        return handshake.Prediction(None, "", "", f"It was exported to be readable by {bundle.readable_by}.")
    wrote = Writer(bundle.writer["stablehlo"], bundle.writer["calling_convention"])
    newer = bundle.writer.get("newer", {}).get(reader.stablehlo)
    if newer and Version(versions["tensorflow"] or "0") < PROGRAM_FIRST:
        wrote = dataclasses.replace(wrote, calling_convention=reader.calling_convention or wrote.calling_convention)
    return handshake.foresee(wrote, reader, newer)


def _events(bundle: Bundle, foretold: handshake.Prediction, remedied: bool, ledger: Ledger) -> Iterator[records.Event]:
    """The plan, the budgets, the remedy if one is needed, and then a check per leaf as it is found."""
    plan = [_planned(bundle, probe, size) for size in bundle.batch_sizes for probe in bundle.signature.probes]
    yield from plan
    yield from bundle.budgets
    mended, default = bundle.path / bundles.REMEDIED, bundle.path
    runtime = _open(bundle, mended if remedied else default)
    with ledger.spend(FRAMEWORKS):
        mendable = [] if remedied or bundle.readable_by is None else _mendable(bundle, runtime)
    remedy = None
    if mendable and bundle.readable_by is not None:
        failure = mendable[0]
        evidence = foretold.completed(failure.kind, failure.evidence)
        remedy = Remedy(bundle.signature.case, bundle.readable_by, failure.kind, evidence)
        yield remedy
        runtime = _open(bundle, mended)
    for size in bundle.batch_sizes:
        for evaluation in EVALUATIONS:
            asked = [q for q in plan if q.batch_size == size and EVALUATION_OF[q.probe] == evaluation]
            if asked:
                yield from (_under(remedy, check) for check in _checks(bundle, runtime, evaluation, asked, ledger))
    runtime.close()


def _open(bundle: Bundle, exported: Path) -> BaseRuntime:
    return open_runtime(SAVED_MODEL, Model(bundle.signature, None, None, exported))


def _mendable(bundle: Bundle, runtime: BaseRuntime) -> list[Failure]:
    """How TensorFlow fails on the default export in ways that a remedy mends, asked once for everything."""
    asked = {EVALUATION_OF[probe] for probe in bundle.signature.probes}
    found = failures(runtime, asked, bundle.batch(min(bundle.batch_sizes)), DEVICE)
    return [failure for failure in map(classify, map(str, found)) if failure.kind in REMEDIABLE]


def _under(remedy: Remedy | None, check: Check) -> Check:
    if remedy is None or check.status != records.PASS:
        return check
    return replace(check, status=records.REMEDIED, failure=remedy.failure, evidence=remedy.evidence)


def _checks(
    bundle: Bundle, runtime: BaseRuntime, evaluation: str, asked: list[PlanItem], ledger: Ledger
) -> Iterator[Check]:
    size = asked[0].batch_size
    try:
        with ledger.spend(FRAMEWORKS):
            answers = runtime.evaluate(evaluation, bundle.batch(size), DEVICE)
    except ParityError as error:
        failure = classify(str(error))
        why: dict[str, Any] = {"failure": failure.kind, "evidence": failure.evidence, "message": str(error)}
        yield from (question.check(leaf="*", status=records.ERROR, **why) for question in asked)
        return
    limit, reason = bundle.limit, bundle.signature.limit_reason
    for question in asked:
        for result in _judge(bundle, question.probe, size, answers.get(question.probe, {})):
            check = question.check(**vars(result), limit=limit, limit_reason=reason)
            failed = check.status == records.FAIL
            yield replace(check, failure=NUMERIC, evidence=check.message) if failed else check


def _of_jax(bundle: Bundle) -> dict[str, str | None]:
    """What wrote the bundle is the JAX under test, whatever is installed here."""
    return {name: bundle.versions.get(name) for name in ("jax", "jaxlib", "flax", "optax")}


def _planned(bundle: Bundle, probe: str, size: int) -> PlanItem:
    item = f"verify_{probe}[{bundle.signature.case}-{SAVED_MODEL}-b{size}]"
    return PlanItem(
        item=item, test=probe, case=bundle.signature.case, probe=probe, runtime=SAVED_MODEL, batch_size=size,
        jax_device=DEVICE, tf_device=DEVICE,
    )  # fmt: skip


def _judge(bundle: Bundle, probe: str, size: int, answer: Answer) -> list[LeafResult]:
    jax, oracle = bundle.answer("answers", probe, size), bundle.answer("oracle", probe, size)
    limit = bundle.limit
    if probe == rules.ACCURACY:
        scores, budgets = bundle.answer("oracle", "predict", size), bundle.budget("predict", size)
        ambiguous = max((rules.ambiguous_rows(scores[leaf], budgets[leaf], limit) for leaf in budgets), default=0)
        return [rules.judge_accuracy(answer, jax, oracle, size, ambiguous)]
    return rules.judge(answer, jax, oracle, bundle.budget(probe, size), limit)
