"""`parity export`: a case, trained and scored in JAX, as a bundle."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.cases.loading import require_one
from parity.compat import readers
from parity.core.errors import UsageError
from parity.export import bundles
from parity.runtimes.base import CALLS

if TYPE_CHECKING:
    from parity.records import BudgetRecord
    from parity.runtimes.subject import Subject

DEFAULT_SIZES = (1, 13, 256)


def export_case(
    name: str, sizes: tuple[str, ...], path: Path, readable_by: str | None = None, training: bool = False
) -> None:
    """Train the case `name` and write a bundle of it.

    Args:
        name: of the case, as options give it.
        sizes: the batch sizes to store, as options give them; empty for those of `DEFAULT_SIZES` that fit.
        path: the new folder or file.
        readable_by: the requirement of a remedy under which the case is exported a second time; None for no remedy.
        training: whether the bundle's folder `handover` has what training needs to go on in TensorFlow; see
            `handover.files.Handover`.

    Raises:
        ParityError: the case, a batch size or the path cannot be used.
    """
    bundles.require_new(path)
    if readable_by is not None:
        readers.limits_of(readable_by)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from parity.core.ledger import TimeLedger
    from parity.core.progress import Bar
    from parity.session.selection import not_installed, select

    require_one(name)
    ledger = TimeLedger()
    selection = select([name], (), (), sizes, ledger)
    try:
        from parity.export import conversion
        from parity.handover import exported, train_state
        from parity.runtimes.subject import Subject
    except ImportError as error:
        raise not_installed("tensorflow", error) from error
    if selection.cases[name].has_own_artifact:
        raise UsageError(
            f"case {name!r} has an artifact of its own, and a bundle has parity's export. Check the artifact with "
            "parity run, in each environment."
        )
    subject = Subject(selection.cases[name], ledger, Bar())
    try:
        chosen = selection.sizes if sizes else _fitting(subject.dataset.test.size)
        batches = {batch.size: batch for batch in map(subject.batch, chosen)}
        state = subject.trained.state
        least = least_bytes(subject, list(batches), readable_by is not None, training)
        print(f"Writing {path}, {least / 1e6:,.1f} MB or more before compression.", flush=True)

        def fill(folder: Path) -> None:
            save_reference_answers(subject, folder, batches)
            if training:
                exported.hand_over(
                    subject.case, train_state.TrainState.of(subject.trained), subject.pipeline, folder / "handover",
                    folder / "saved_model", readable_by,
                )  # fmt: skip

        conversion.write_bundle(path, subject.case, state, batches, fill, also_readable_by=readable_by)
    finally:
        subject.close()


def least_bytes(subject: Subject, sizes: list[int], remedied: bool, training: bool) -> int:
    """Return the bytes of the arrays of a bundle; programs and inputs come on top.

    Args:
        subject: a trained case.
        sizes: the batch sizes to store.
        remedied: whether the case is exported a second time.
        training: whether the optimizer's state is stored as well.
    """
    import jax

    def size(tree: Any) -> int:
        return sum(np.asarray(leaf).nbytes for leaf in jax.tree_util.tree_leaves(tree))

    state, probes = subject.trained.state, subject.case.probes
    kept = 2 * (1 + remedied) * size((state.params, state.other))  # saved_model and inference
    gradients = ("eval_gradient" in probes) + len(CALLS) * ("train_gradient" in probes)
    answers = 3 * gradients * len(sizes) * size(state.params)  # JAX's, and the oracle's in float64
    return kept + answers + (size((state.params, subject.trained.moments)) if training else 0)


def _fitting(examples: int) -> list[int]:
    """Return the default batch sizes that a test set of so many examples can fill; print the others."""
    too_large = ", ".join(str(size) for size in DEFAULT_SIZES if size > examples)
    if too_large:
        print(f"Batch size {too_large} left out: the test set has {examples} examples.")
    return [size for size in DEFAULT_SIZES if size <= examples]


def save_reference_answers(subject: Subject, folder: Path, sizes: Iterable[int]) -> None:
    """Add JAX's answers, the oracle's and the budgets to the bundle that is being written into `folder`."""
    from parity.runtimes.base import EVALUATION_OF
    from parity.scoring import rules

    reference = subject.reference
    rows: list[BudgetRecord] = []
    for size in sizes:
        for probe in subject.case.probes:
            evaluation = EVALUATION_OF[probe]
            reference.require_oracle(evaluation, size)
            if probe != rules.ACCURACY:
                rows += reference.records(probe, size)
            for side, runtime in (("answers", reference.jax), ("oracle", reference.oracle)):
                bundles.save_answer(folder, side, probe, size, reference.answers(runtime, evaluation, size)[probe])
        if rules.ACCURACY in subject.case.probes and "predict" not in subject.case.probes:
            rows += reference.records("predict", size)  # which examples are too close to call
            predicted = reference.answers(reference.oracle, "predict", size)["predict"]
            bundles.save_answer(folder, "oracle", "predict", size, predicted)
    bundles.save_budgets(folder, rows)
