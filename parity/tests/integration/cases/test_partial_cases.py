"""Cases that lack a part: a loss without a gradient, no training; and a table that is no weight."""

import jax
import numpy as np
import pytest

from parity.cases.case import Training
from parity.core.errors import CaseError
from parity.probes import artifact
from parity.records import FAIL, PASS
from parity.tests.support import tiny
from parity.tests.support.scores import statuses

TABLE = np.sin(np.arange(4 * 8192, dtype=np.float32)).reshape(4, 8192)
NAME = "float32[4, 8192]"


@jax.custom_vjp
def without_gradient(x):
    return x


def refuses(*_):
    raise NotImplementedError("no rule for this")


without_gradient.defvjp(refuses, refuses)


def loss(params, other_state, rng, data, labels, train):
    value, other = tiny.loss(params, other_state, rng, data, labels, train)
    return without_gradient(value), other


@pytest.mark.parametrize("changes", [{}, {"training": Training(epochs=0, batch_size=16)}])
def test_a_loss_without_a_gradient_is_refused_where_one_is_needed(subject_of, changes):
    with pytest.raises(CaseError, match=r"the loss has no gradient: .*no rule for this"):
        _ = subject_of(tiny.case(loss=loss, **changes)).trained


def test_a_loss_without_a_gradient_is_compared_where_none_is_asked_for(subject_of):
    probes = ("predict", "eval_loss", "train_loss", "rng")
    subject = subject_of(tiny.case(loss=loss, probes=probes, training=Training(epochs=0, batch_size=16)))
    for probe in probes:
        for runtime in ("jax", "jax_float64", "tf_graph", "saved_model"):
            assert statuses(subject, probe, runtime) == {PASS}


def with_table(state, data):
    return tiny.predict(state, data) + (data @ TABLE)[:, :3]


@pytest.mark.parametrize(
    ("constants", "expected"),
    [({}, {FAIL}), ({NAME: "a table of sines"}, {PASS}), ({NAME: "a table", "float32[7]": "none"}, {PASS, FAIL})],
)
def test_a_large_constant_is_allowed_by_name(subject_of, constants, expected):
    case = tiny.case(predict=with_table, accuracy=None, probes=("predict",), loss=None, constants=constants,
                     training=Training(epochs=0, batch_size=16))  # fmt: skip
    subject = subject_of(case)
    found = {r.leaf: r for r in artifact.results(subject) if "constants" in r.leaf}
    assert {result.status for result in found.values()} == expected
    if not constants:
        assert NAME in found["saved_model/constants"].message


@pytest.mark.parametrize("constants", [{NAME: " "}, [NAME]])
def test_a_constant_is_allowed_with_a_reason(constants):
    with pytest.raises(CaseError, match="constants="):
        tiny.case(constants=constants)
