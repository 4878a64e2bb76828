"""What all tests with real frameworks share."""

import sys

import pytest


@pytest.fixture(scope="module", autouse=True)
def started(request):
    """Both frameworks, started as a run starts them before any test can start JAX with one device."""
    if "jax" in sys.modules:
        request.getfixturevalue("frameworks")
