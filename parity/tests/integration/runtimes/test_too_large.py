"""A model larger than memory is refused before anything is computed."""

import jax.numpy as jnp
import pytest

from parity.core.errors import CaseError
from parity.runtimes import estimates
from parity.runtimes.registry import runtimes
from parity.tests.support import tiny

ALL = [runtime.capabilities for runtime in runtimes().values()]
LARGE = 10**10


def huge(rng):
    return {"kernel": jnp.zeros((LARGE, 4)), "bias": jnp.zeros(8, jnp.bfloat16)}, {}


def test_parameters_are_counted_without_making_them():
    assert estimates.parameter_bytes(tiny.case(init=huge)) == LARGE * 16 + 16


def test_a_model_larger_than_memory_is_refused_with_what_would_fit():
    case = tiny.case(init=huge)
    with pytest.raises(CaseError) as caught:
        estimates.require_memory(case, ALL, 3, available=estimates.needed_bytes(LARGE * 16 + 16, ALL, 2))
    assert "2 of the 3 batch sizes" in str(caught.value)
    with pytest.raises(CaseError):
        estimates.require_memory(case, ALL, 1, available=2**30)
    estimates.require_memory(case, ALL, 3, available=None)


def test_a_model_that_fits_is_not_refused():
    estimates.require_memory(tiny.tiny, ALL, 3, available=estimates.needed_bytes(300, ALL, 3) * 10)


def test_a_run_refuses_it_before_it_trains(subject_of, monkeypatch):
    subject = subject_of(tiny.case(init=huge))
    monkeypatch.setattr(estimates, "available_bytes", lambda: 2**30)
    with pytest.raises(CaseError, match="GiB"):
        _ = subject.trained


def broken(rng):
    raise ValueError("no weights")


def test_an_init_that_fails_is_left_to_training():
    assert estimates.parameter_bytes(tiny.case(init=broken)) == 0
