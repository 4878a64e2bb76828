"""What the tests share: both frameworks with two virtual CPUs each, and trained cases."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest


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


@pytest.fixture(scope="session")
def trajectories(frameworks):
    """Those of the tiny training, made once."""
    from parity.harness import Harness
    from parity.ledger import Ledger
    from parity.tests import planting, tiny_training
    from parity.trajectories import Trajectories

    harness = Harness(tiny_training.case(), Ledger())
    found = Trajectories(harness, planting.STEPS)
    yield found
    found.close()
    harness.close()


@pytest.fixture(scope="session")
def begun(trajectories):
    """The same followed honestly in float32, and where it began."""
    from parity.handover import EXPORTED
    from parity.tests.planting import Begun

    return Begun(trajectories, EXPORTED)


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
