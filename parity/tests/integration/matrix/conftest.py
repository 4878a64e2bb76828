"""What the tests of cells share."""

import pytest

from parity import records
from parity.matrix.child_process import watch
from parity.matrix.tasks import bundle
from parity.records import (
    EXPORT,
)
from parity.records.cells import Cell
from parity.tests.support import samples
from parity.tests.support.bundle_files import write as write_bundle


@pytest.fixture
def exported(tmp_path):
    """Leaves the record of an export, and its bundle."""

    def leave(name, bundled=True, **changes):
        records.seal(tmp_path / name, samples.run(cell=name, mode=EXPORT, **changes))
        path = bundle(tmp_path, Cell.parse(name))
        if bundled and not path.exists():
            path.parent.mkdir(exist_ok=True)
            write_bundle(path)

    return leave


@pytest.fixture
def watching():
    return lambda command, log: watch(command, log, 60.0, lambda text: None, lambda: False)
