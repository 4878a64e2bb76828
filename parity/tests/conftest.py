"""What the tests share: both frameworks with two virtual CPUs each, and trained cases."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest

LONGEST = ("test_run", "test_browser", "test_latency", "test_remedied_runs", "test_faults", "test_runtimes",
           "test_cases", "test_cell_command", "test_relations", "test_trainable", "test_resuming", "test_trajectory",
           "test_followed", "test_optimizers", "test_fusion", "test_cluster", "test_archives", "test_deprecations",
           "test_canaries")  # fmt: skip
"""Files that take ten seconds and more, the longest first."""


def pytest_collection_modifyitems(items):
    """Begin with what takes longest, or one core waits for it at the end."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


def pytest_configure(config):
    """Let xdist keep that order, too.

    Where Python is told to keep no compiled files, keep them in pytest's cache: TensorFlow has 4 s of them.
    """
    config.option.loadscopereorder = False
    if sys.dont_write_bytecode and hasattr(config, "cache"):
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(config.cache.mkdir("bytecode"))
        sys.dont_write_bytecode = False


@pytest.fixture(scope="session")
def frameworks():
    """Both frameworks, started as a run starts them."""
    from parity.export import artifact
    from parity.runtimes import jax

    jax.configure_devices(2)
    artifact.configure_devices(2)


@pytest.fixture(scope="session")
def reference(frameworks):
    """The reference case, trained and exported once."""
    from parity.cases.case import load
    from parity.core.ledger import Ledger
    from parity.runtimes.subject import Subject

    subject = Subject(load("reference"), Ledger())
    subject.batch(13)
    yield subject
    subject.close()


@pytest.fixture(scope="session")
def tiny_subject(frameworks):
    """The tiny case, trained and exported once; whoever plants something in it puts it back."""
    from parity.core.ledger import Ledger
    from parity.runtimes.subject import Subject
    from parity.tests.support import tiny

    subject = Subject(tiny.tiny, Ledger())
    subject.batch(13), subject.batch(20)
    yield subject
    subject.close()


@pytest.fixture(scope="session")
def trajectories(frameworks):
    """Those of the tiny training, made once."""
    from parity.core.ledger import Ledger
    from parity.handover.trajectories import Trajectories
    from parity.runtimes.subject import Subject
    from parity.tests.support import planting, tiny_training

    subject = Subject(tiny_training.case(), Ledger())
    found = Trajectories(subject, planting.STEPS)
    yield found
    found.close()
    subject.close()


@pytest.fixture(scope="session")
def begun(trajectories):
    """The same followed honestly in float32, and where it began."""
    from parity.handover import EXPORTED
    from parity.tests.support.planting import Begun

    return Begun(trajectories, EXPORTED)


@pytest.fixture
def subject_of(frameworks):
    """Makes harnesses, and closes them."""
    from parity.core.ledger import Ledger
    from parity.runtimes.subject import Subject

    made = []

    def make(case):
        made.append(Subject(case, Ledger()))
        return made[-1]

    yield make
    for subject in made:
        subject.close()
