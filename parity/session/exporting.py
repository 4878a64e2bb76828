"""`parity export`: a case, trained and judged in JAX, as a bundle."""

from __future__ import annotations

import os
from pathlib import Path

from parity.compat import readers
from parity.export.bundles import require_new

DEFAULT_SIZES = (1, 13, 256)


def export_case(
    name: str, sizes: tuple[str, ...], path: Path, readable_by: str | None = None, training: bool = False
) -> None:
    """Train the case `name` and write a bundle of it to `path`; given `readable_by`, with exports under that remedy.

    With `training`, the bundle's folder `handover` has what training needs to go on in TensorFlow; see
    `handover.files.Handover`.

    Raises:
        ParityError: the case, a batch size or the path cannot be used.
    """
    require_new(path)
    if readable_by is not None:
        readers.limits_of(readable_by)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from parity.core.ledger import Ledger
    from parity.core.progress import Bar
    from parity.session.selection import Selection, not_installed

    ledger = Ledger()
    selection = Selection.of([name], (), (), sizes, ledger)
    try:
        from parity.export import conversion as export
        from parity.handover import exported, train_state
        from parity.runtimes.subject import Subject
    except ImportError as error:
        raise not_installed("tensorflow", error) from error
    subject = Subject(selection.cases[name], ledger, Bar())
    try:
        chosen = selection.sizes if sizes else _that_fit(subject.dataset.test.size)
        batches = {batch.size: batch for batch in map(subject.batch, chosen)}
        state = subject.trained.state

        def fill(folder: Path) -> None:
            subject.fill_bundle(folder, batches)
            if training:
                step = train_state.stepping(subject.case, subject.pipeline.steps_per_epoch)
                exported.hand_over(
                    subject.case, train_state.TrainState.of(subject.trained), step, folder / "handover",
                    folder / "saved_model", subject.dataset.train, subject.pipeline, readable_by,
                )  # fmt: skip

        export.write_bundle(path, subject.case, state, batches, fill, also_readable_by=readable_by)
    finally:
        subject.close()


def _that_fit(most: int) -> list[int]:
    """The default batch sizes that a test set of `most` examples can fill; the others are named."""
    left_out = ", ".join(str(size) for size in DEFAULT_SIZES if size > most)
    if left_out:
        print(f"Batch size {left_out} left out: the test set has {most} examples.")
    return [size for size in DEFAULT_SIZES if size <= most]
