"""`parity export`: a case, trained and judged in JAX, as a bundle."""

from __future__ import annotations

import os
from pathlib import Path

from parity.bundles import require_new


def export_case(name: str, sizes: tuple[str, ...], path: Path) -> None:
    """Train the case `name` and write a bundle of it to `path`.

    Raises:
        ParityError: the case, a batch size or the path cannot be used.
    """
    require_new(path)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from parity.examination import Selection, not_installed
    from parity.ledger import Ledger
    from parity.progress import Bar

    ledger = Ledger()
    selection = Selection.of([name], (), (), sizes, ledger)
    try:
        from parity import export
        from parity.harness import Harness
    except ImportError as error:
        raise not_installed("tensorflow", error) from error
    harness = Harness(selection.cases[name], ledger, Bar())
    try:
        batches = {batch.size: batch for batch in map(harness.batch, selection.sizes)}
        state = harness.trained.state
        export.write_bundle(path, harness.case, state, batches, lambda folder: harness.fill_bundle(folder, batches))
    finally:
        harness.close()
