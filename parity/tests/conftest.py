"""What all tests share: the order, and for those that need them the frameworks and trained cases."""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest

UNIT = Path(__file__).parent / "unit"


def pytest_collection_modifyitems(items):
    """Run the unit tests first, then the slow files, so that no core waits for one of them in the end."""
    items.sort(key=lambda item: (UNIT not in item.path.parents, item.get_closest_marker("slow") is None))


COMPILED = "JAX_COMPILATION_CACHE_DIR"


def pytest_configure(config):
    """Let xdist keep that order, and all processes of this session share what XLA compiles for JAX.

    Where Python is told to keep no compiled files, keep them in pytest's cache: TensorFlow has 4 s of them.
    """
    config.option.loadscopereorder = False
    if COMPILED not in os.environ:  # else the worker of a session that has one
        folder = tempfile.TemporaryDirectory(prefix="parity-tests-")
        config.add_cleanup(folder.cleanup)
        os.environ |= {COMPILED: folder.name, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    if sys.dont_write_bytecode and hasattr(config, "cache"):
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(config.cache.mkdir("bytecode"))
        sys.dont_write_bytecode = False


def pytest_report_header(config):
    """Say what `-m` leaves out, which xdist does not count."""
    if "not exhaustive" in config.option.markexpr:
        return "left out: further members of families of tests (exhaustive); tox run -e tests-all has them"
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give each file to one worker, and all of the hand-over, whose files share what is compiled, to the same."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return "handover" if "integration/handover/" in nodeid else super()._split_scope(nodeid)

    return ByFile(config, log) if config.option.dist == "loadfile" else None


@pytest.fixture(scope="session")
def frameworks():
    """Both frameworks, started as a run starts them."""
    from parity.cases import jax_devices
    from parity.export import artifact

    jax_devices.configure_devices(2)
    artifact.configure_devices(2)
    assert len(jax_devices.devices()) > 1, "a test module started JAX while it was imported"


@pytest.fixture(scope="session")
def tiny_subject(frameworks):
    """The tiny case, trained and exported once; whoever changes a part of it changes a copy."""
    from parity.core.ledger import TimeLedger
    from parity.runtimes.subject import Subject
    from parity.tests.support import tiny

    subject = Subject(tiny.tiny, TimeLedger())
    for size in (13, 20):
        subject.batch(size)
    yield subject
    subject.close()


@pytest.fixture(scope="session")
def trajectories(frameworks):
    """The trajectories of the tiny training, made once."""
    from parity.core.ledger import TimeLedger
    from parity.handover.trajectories import Trajectories
    from parity.runtimes.subject import Subject
    from parity.tests.support import planting, tiny_training

    subject = Subject(tiny_training.case(), TimeLedger())
    found = Trajectories(planting.PlantedSetup(subject), planting.STEPS)
    yield found
    found.close()
    subject.close()


@pytest.fixture(scope="session")
def begun(trajectories):
    """The same compared without a fault, in float32, and where they were begun."""
    from parity.handover import EXPORTED
    from parity.tests.support.planting import Begun

    return Begun(trajectories, EXPORTED)


@pytest.fixture
def subject_of(frameworks):
    """Makes subjects, and closes them."""
    from parity.core.ledger import TimeLedger
    from parity.runtimes.subject import Subject

    made = []

    def make(case, **parts):
        made.append(Subject(case, TimeLedger(), **parts))
        return made[-1]

    yield make
    for subject in made:
        subject.close()
