"""Unit tests import no framework."""

import sys
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("unit", max_examples=50, deadline=None)  # no deadline, because machines may be busy
settings.load_profile("unit")

FRAMEWORKS = ("jax", "tensorflow")
HERE = Path(__file__).parent


def imported():
    return {name for name in FRAMEWORKS if name in sys.modules}


@pytest.fixture(scope="session")
def imported_by_others(request):
    """The frameworks that other tests, collected in this session, may have imported before the first unit test."""
    return set() if all(HERE in item.path.parents for item in request.session.items) else imported()


@pytest.fixture(autouse=True)
def no_framework(imported_by_others):
    """Fail a test after which a framework is imported: it belongs to the integration tests."""
    yield
    found = imported() - imported_by_others
    assert not found, f"{' and '.join(sorted(found))} imported by a unit test; move it to parity/tests/integration"
