"""Judging this TensorFlow by a bundle, in a process in which JAX need not be installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from parity import bundles, environment, judging, records, report
from parity.bundles import Bundle
from parity.errors import NotComparableError, ParityError, RecordError
from parity.judging import Judgement
from parity.records import Check, Planned, Recorder, Run
from parity.runtimes import EVALUATION_OF, EVALUATIONS, BaseRuntime, Subject, open_runtime
from parity.specs import Answer

DEVICE = "cpu:0"
RUNTIME = "saved_model"


def verify(path: Path, out: Path | None = None) -> Run:
    """Ask the bundle's SavedModel every probe at every batch size that is stored, and judge the answers.

    Raises:
        RecordError: the bundle is damaged, newer, or has no answers.
        NotComparableError: TensorFlow is not installed.
    """
    bundle = bundles.open_bundle(path)
    if not bundle.budgets:
        raise RecordError(f"{path} has no answers of JAX to compare with. Write it with parity export.")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        from parity import artifact, reader
    except ImportError as error:
        raise NotComparableError(f"TensorFlow cannot be imported: {error}. Install the release to check.") from error
    artifact.configure_devices(1)
    facts = {
        "versions": {**environment.versions(), **_of_jax(bundle)},
        "machine": environment.machine(),
        "devices": {"tensorflow": artifact.devices()},
        "writer": bundle.writer,
        "reader": vars(reader.describe()),
    }
    run = Run(cell=f"verify-{bundle.signature.case}", started_at=records.now(), environment=facts)
    recorder = Recorder(out, run) if out is not None else None
    state = records.INTERRUPTED
    try:
        for event in _events(bundle):
            if recorder is not None:
                recorder.add(event)
            else:
                records.append(run, event)
        state = records.COMPLETE
    finally:
        run.state, run.ended_at = state, records.now()
        if recorder is not None and out is not None:
            recorder.seal(state, {})
            report.write([run], out / "index.html")
    return run


def _events(bundle: Bundle) -> Iterator[records.Event]:
    """The plan, the budgets, and then a check per leaf as it is found."""
    plan = [_planned(bundle, probe, size) for size in bundle.batch_sizes for probe in bundle.signature.probes]
    yield from plan
    yield from bundle.budgets
    runtime = open_runtime(RUNTIME, Subject(bundle.signature, None, None, bundle.path))
    for size in bundle.batch_sizes:
        for evaluation in EVALUATIONS:
            asked = [q for q in plan if q.batch_size == size and EVALUATION_OF[q.probe] == evaluation]
            if asked:
                yield from _checks(bundle, runtime, evaluation, asked)
    runtime.close()


def _checks(bundle: Bundle, runtime: BaseRuntime, evaluation: str, asked: list[Planned]) -> Iterator[Check]:
    size = asked[0].batch_size
    try:
        answers = runtime.evaluate(evaluation, bundle.batch(size), DEVICE)
    except ParityError as error:
        yield from (Check(**vars(question), leaf="*", status=records.ERROR, message=str(error)) for question in asked)
        return
    limit, reason = bundle.signature.limit, bundle.signature.limit_reason
    for question in asked:
        for judgement in _judge(bundle, question.probe, size, answers.get(question.probe, {})):
            yield Check(**vars(question), **vars(judgement), limit=limit, limit_reason=reason)


def _of_jax(bundle: Bundle) -> dict[str, str | None]:
    """What wrote the bundle is the JAX under test, whatever is installed here."""
    return {name: bundle.versions.get(name) for name in ("jax", "jaxlib", "flax", "optax")}


def _planned(bundle: Bundle, probe: str, size: int) -> Planned:
    item = f"verify_{probe}[{bundle.signature.case}-{RUNTIME}-b{size}]"
    return Planned(item, bundle.signature.case, probe, RUNTIME, size, DEVICE, DEVICE)


def _judge(bundle: Bundle, probe: str, size: int, answer: Answer) -> list[Judgement]:
    jax, oracle = bundle.answer("answers", probe, size), bundle.answer("oracle", probe, size)
    limit = bundle.signature.limit
    if probe == judging.ACCURACY:
        scores, budgets = bundle.answer("oracle", "predict", size), bundle.budget("predict", size)
        ambiguous = max((judging.ambiguous_rows(scores[leaf], budgets[leaf], limit) for leaf in budgets), default=0)
        return [judging.judge_accuracy(answer, jax, oracle, size, ambiguous)]
    return judging.judge(answer, jax, oracle, bundle.budget(probe, size), limit)
