"""Cases that compute in another dtype than float32: honest answers pass, and errors beyond their rounding do not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parity.core.errors import RuntimeFailureError
from parity.core.ledger import TimeLedger
from parity.probes import power
from parity.probes.evaluation import Place, evaluate
from parity.records import FAIL, PASS
from parity.runtimes.base import FIRST_CPU, FixedAnswers
from parity.runtimes.subject import Subject
from parity.scoring import rules
from parity.tests.support import tiny

SIZE = 13


def in_bfloat16(state, data):
    """The usual way: float32 parameters, bfloat16 compute, float32 results."""
    params = jax.tree_util.tree_map(lambda leaf: leaf.astype(jnp.bfloat16), state[0])
    return jax.nn.log_softmax(tiny.logits(params, data.astype(jnp.bfloat16)).astype(jnp.float32))


def mixed_loss(params, other_state, rng, data, labels, train):
    return -jnp.mean(jnp.sum(in_bfloat16((params, other_state), data) * labels, axis=-1)), other_state


@pytest.fixture(scope="module")
def mixed(frameworks):
    case = tiny.case(name="mixed", predict=in_bfloat16, loss=mixed_loss, accuracy=None, probes=PROBES)
    subject = Subject(case, TimeLedger())
    yield subject
    subject.close()


PROBES = ("predict", "eval_loss", "train_loss", "eval_gradient", "train_gradient", "rng")


def statuses(subject, runtime, evaluation="predict"):
    found = evaluate(subject, evaluation, Place(runtime), SIZE)
    return {result.status for results in found.values() for result in results}


@pytest.mark.parametrize("runtime", ["jax", "jax_float64", "tf_graph"])
@pytest.mark.parametrize("evaluation", ["predict", "evaluate", "train"])
def test_mixed_precision_is_in_order(mixed, runtime, evaluation):
    assert statuses(mixed, runtime, evaluation) == {PASS}
    assert mixed.dtypes == {"bfloat16", "float32"}
    assert {mixed.limit_of(probe) for probe in rules.LIMITS} == {rules.LIMIT_OF_OTHER_DTYPES}


@pytest.mark.parametrize(("error", "status"), [(2.0**-9, PASS), (0.5, FAIL)])
def test_what_is_off_by_more_than_rounding_fails(mixed, error, status):
    answers = mixed.compute("tf_graph", "predict", mixed.batch(SIZE), FIRST_CPU)
    wrong = {"predict": {leaf: (array * (1 + error)).astype(array.dtype) for leaf, array in answers["predict"].items()}}
    other = mixed.with_runtimes({"tf_graph": FixedAnswers(mixed.runtime("tf_graph"), wrong)})
    assert statuses(other, "tf_graph") == {status}


def test_power_is_measured_against_the_precision(mixed):
    powers = power.PowerStudy(mixed).of("predict", SIZE)
    smallest = min(one.smallest_relative_error for one in powers)
    assert rules.POWERLESS < smallest < power.threshold("predict", mixed.dtypes)
    assert power.result("predict", powers, mixed.dtypes).status == PASS
    assert power.result("predict", powers).status == FAIL


def test_a_case_in_float64_is_held_to_float64(subject_of):
    def wide(state, data):
        params = jax.tree_util.tree_map(lambda leaf: leaf.astype(jnp.float64), state[0])
        return jax.nn.log_softmax(tiny.logits(params, data.astype(jnp.float64)))

    jax.config.update("jax_enable_x64", True)
    try:
        subject = subject_of(tiny.case(name="wide", predict=wide))
        assert subject.kept("jax", "predict", SIZE)["predict"]["output"].dtype == np.float64
        assert [statuses(subject, name) for name in ("jax", "jax_float64", "tf_graph")] == 3 * [{PASS}]
        answers = subject.compute("tf_graph", "predict", subject.batch(SIZE), FIRST_CPU)
        wrong = {"predict": {"output": answers["predict"]["output"] * (1 + 1e-12)}}
        other = subject.with_runtimes({"tf_graph": FixedAnswers(subject.runtime("tf_graph"), wrong)})
        assert statuses(other, "tf_graph") == {FAIL}
    finally:
        jax.config.update("jax_enable_x64", False)


def test_where_the_oracle_fails_runtimes_are_held_to_jax(tiny_subject, monkeypatch):
    subject = tiny_subject.with_parts(keep_answers=False)
    oracle = subject.runtime("jax_float64")

    def fails(*_):
        raise RuntimeFailureError("no such operation in float64")

    broken = type(oracle).__new__(type(oracle))
    broken.__dict__.update(vars(oracle))
    broken.compute = fails
    other = subject.with_runtimes({"jax_float64": broken})
    with pytest.raises(RuntimeFailureError, match="held to JAX"):
        statuses(other, "jax_float64")
    assert statuses(other, "tf_graph") == {PASS}
    answers = subject.compute("tf_graph", "predict", subject.batch(SIZE), FIRST_CPU)
    wrong = {"predict": {"output": answers["predict"]["output"] * np.float32(1.01)}}
    wrongly = other.with_runtimes({"tf_graph": FixedAnswers(subject.runtime("tf_graph"), wrong)})
    assert statuses(wrongly, "tf_graph") == {FAIL}


def test_what_moves_values_or_chooses_among_them_in_bfloat16_is_in_order(subject_of):
    """A mask is not rounded, and an index may differ where two scores are within rounding."""

    def predict(state, data):
        scores = in_bfloat16(state, data)
        return {"scores": scores, "best": scores.argmax(-1), "mask": (data > 0).astype(jnp.bfloat16)}

    subject = subject_of(tiny.case(name="moves", predict=predict, loss=mixed_loss, accuracy=None, probes=PROBES))
    for runtime in ("jax", "jax_float64", "tf_graph"):
        assert statuses(subject, runtime) == {PASS}
    answers = subject.compute("tf_graph", "predict", subject.batch(SIZE), FIRST_CPU)["predict"]
    wrong = {"predict": {**answers, "best": (answers["best"] + 1) % 3}}
    other = subject.with_runtimes({"tf_graph": FixedAnswers(subject.runtime("tf_graph"), wrong)})
    assert FAIL in statuses(other, "tf_graph")
