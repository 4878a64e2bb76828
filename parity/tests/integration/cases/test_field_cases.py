"""Cases as users have written them: what was refused or judged wrongly before passes every probe."""

import jax
import jax.numpy as jnp
import pytest

from parity.cases.loading import load
from parity.core.errors import CaseError
from parity.probes import artifact
from parity.records import PASS
from parity.tests.support import field_cases, tiny
from parity.tests.support.families import further
from parity.tests.support.scores import results

NAMES = ("fft", "complex_output", "typed_key", "nnx_keys")
RUNTIMES = ("jax", "jax_float64", "tf_graph", "saved_model")


def statuses(subject):
    """The status of every leaf, by probe and runtime."""
    return {
        (probe, runtime, result.leaf): result.status
        for runtime in RUNTIMES
        for probe in subject.case.probes
        for result in results(subject, probe, runtime)
    }


# An NNX module passes in `test_adapters`, and a typed key in the state here.
@pytest.mark.parametrize("name", further(NAMES, {"fft", "typed_key"}))
def test_a_case_from_the_field_passes(subject_of, name):
    subject = subject_of(load(f"{field_cases.__file__}:{name}"))
    found = statuses(subject)
    found |= {("artifact", "", result.leaf): result.status for result in artifact.results(subject)}
    assert {key: status for key, status in found.items() if status != PASS} == {}
    assert len(found) > 30


def refusal(subject_of, leaf):
    def init(rng):
        return tiny.init(rng)[0], {"extra": leaf}

    with pytest.raises(CaseError) as caught:
        subject_of(tiny.case(init=init)).trained  # noqa: B018 - training is what is refused
    return str(caught.value)


def test_what_is_not_an_array_of_numbers_is_refused_by_name(subject_of):
    for leaf, advice in ((jax.random.key(3), "jax.random.key_data"), (jnp.tanh, "equinox.partition"), ("a", "outside")):
        text = refusal(subject_of, leaf)
        assert "'tiny'" in text
        assert "extra of the state" in text
        assert advice in text


def followed(data):
    return {"extra": jnp.zeros((1, 4))}, {"extra": data}


def promoted(data):
    return {"extra": jnp.zeros((), jnp.int32)}, {"extra": jnp.zeros(())}


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [(followed, "float32[1, 4]", "float32[2, 4]"), (promoted, "int32[]", "float32[]")],
)
def test_a_state_that_changes_its_shape_or_dtype_is_refused_by_name(subject_of, change, before, after):
    def loss(params, other, rng, data, labels, train):
        return tiny.loss(params, other, rng, data, labels, train)[0], change(data)[1]

    with pytest.raises(CaseError) as caught:
        subject_of(tiny.case(init=lambda rng: (tiny.init(rng)[0], change(None)[0]), loss=loss)).trained  # noqa: B018
    assert f"loss turns extra of other_state from {before} into {after}" in str(caught.value)
