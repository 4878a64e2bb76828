"""What the tests share: both frameworks with two virtual CPUs each, and trained cases."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest


def pytest_configure(config):
    """Where Python is told to keep no compiled files, keep them in pytest's cache: TensorFlow has 4 s of them."""
    if sys.dont_write_bytecode and hasattr(config, "cache"):
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(config.cache.mkdir("bytecode"))
        sys.dont_write_bytecode = False


@pytest.fixture(scope="session")
def frameworks():
    """Both frameworks, started as a run starts them."""
    from parity import artifact
    from parity.runtimes import jax

    jax.configure_devices(2)
    artifact.configure_devices(2)


@pytest.fixture(scope="session")
def reference(frameworks):
    """The reference case, trained and exported once."""
    from parity.case import load
    from parity.harness import Harness
    from parity.ledger import Ledger

    harness = Harness(load("reference"), Ledger())
    harness.batch(13)
    yield harness
    harness.close()


@pytest.fixture(scope="session")
def tiny_harness(frameworks):
    """The tiny case, trained and exported once; whoever plants something in it puts it back."""
    from parity.harness import Harness
    from parity.ledger import Ledger
    from parity.tests import tiny

    harness = Harness(tiny.tiny, Ledger())
    harness.batch(13)
    yield harness
    harness.close()


@pytest.fixture
def harness_of(frameworks):
    """Makes harnesses, and closes them."""
    from parity.harness import Harness
    from parity.ledger import Ledger

    made = []

    def make(case):
        made.append(Harness(case, Ledger()))
        return made[-1]

    yield make
    for harness in made:
        harness.close()
