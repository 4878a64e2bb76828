"""What a run costs does not grow with the number of weight tensors: evaluations, compilations, and what is kept."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parity.cases.case import Training
from parity.core.ledger import TimeLedger
from parity.probes.evaluation import Place, score
from parity.probes.power import PowerStudy
from parity.probes.relations import relations
from parity.probes.seeded_defects import defects, result
from parity.runtimes import recent
from parity.runtimes.base import Runtime
from parity.runtimes.jax import Jax
from parity.runtimes.jax_float64 import JaxFloat64
from parity.runtimes.registry import runtimes
from parity.runtimes.subject import Subject
from parity.scoring import kinks, rules
from parity.tests.support import tiny

pytestmark = pytest.mark.slow

SIZE = 13
ROUNDED = "rounded"
PROBES = ("predict", "eval_loss", "train_loss", "eval_gradient", "train_gradient")


def deep(tensors):
    """A case with that many weight tensors, of one smooth layer: they are added up, so that all compile as soon."""

    def init(rng):
        keys = jax.random.split(rng, tensors)
        first = {"layer_0": jax.random.normal(keys[0], (4, 3))}
        return first | {f"layer_{i}": 0.1 * jax.random.normal(keys[i], (3,)) for i in range(1, tensors)}, {}

    def predict(state, data):
        hidden = data @ state[0]["layer_0"]
        others = jnp.stack([state[0][f"layer_{i}"] for i in range(1, tensors)])
        return jax.nn.log_softmax(hidden + others.sum(0) * jnp.tanh(hidden))

    def loss(params, other, rng, data, labels, train):
        return -jnp.mean(jnp.sum(predict((params, other), data) * labels, axis=-1)), other

    training = Training(epochs=1, epochs_after=1, batch_size=40, learning_rate=1e-2)
    return tiny.case(init=init, predict=predict, loss=loss, accuracy=None, probes=PROBES, training=training)


@pytest.fixture(scope="module")
def counted():
    """The evaluations that each runtime makes, by name and evaluation."""
    found, patch = Counter(), pytest.MonkeyPatch()

    def count(owner, method, name):
        inner = getattr(owner, method)

        def counting(self, *arguments, **named):
            evaluation = next(a for a in arguments if a in ("predict", "evaluate", "train"))
            found[name(self), evaluation] += 1
            return inner(self, *arguments, **named)

        patch.setattr(owner, method, counting)

    count(Jax, "_compute", lambda self: "jax")
    count(Jax, "compute_with_rounding", lambda self: ROUNDED)
    count(JaxFloat64, "_compute", lambda self: "jax_float64")
    for runtime in runtimes().values():
        if runtime not in (Jax, JaxFloat64) and runtime.capabilities.any_state:
            count(runtime, "compute", lambda self: self.name)
            count(runtime, "compute_at", lambda self: self.name)
    yield found
    patch.undo()


def ask(subject):
    """Ask what a run at one batch size asks of runtimes in this process."""
    asked = [name for name, runtime in runtimes().items() if not runtime.capabilities.own_process]
    for probe in PROBES:
        for name in asked:
            score(subject, probe, Place(name), SIZE)
        subject.shared(PowerStudy).of(probe, SIZE)
    for name, runtime in (("modes_agree", "tf_xla"), ("two_loads", "saved_model"), ("permuted_rows", "tf_graph")):
        list(relations()[name].results(subject, Place(runtime), SIZE))
    for name, runtime in (("held_out_member", "jax"), ("false_oracle", "jax_float64")):
        result(defects()[name], subject, Place(runtime), SIZE)
    for name in ("moved_weight", "reversed_rows", "last_element", "nan"):
        result(defects()[name], subject, Place("saved_model"), SIZE)


def programs():
    """The number of programs that JAX has compiled in this process, while the context is open."""
    found = Counter()

    def listen(event, seconds, **about):
        found["compiled"] += event.endswith("backend_compile_duration")

    jax.monitoring.register_event_duration_secs_listener(listen)
    return found


@pytest.fixture(scope="module")
def asked(frameworks, counted):
    """By the number of weight tensors: the subject that was asked, its evaluations, and what was compiled for them."""
    found, compiled = {}, programs()
    for tensors in (3, 14):  # power moves 12 of them, and the rest together
        subject = Subject(deep(tensors), TimeLedger())
        subject.trained, subject.bundle, subject.batch(SIZE)
        counted.clear()
        compiled.clear()
        ask(subject)
        found[tensors] = subject, dict(counted), compiled["compiled"]
    yield found
    for subject, *_ in found.values():
        subject.close()


def test_evaluations_and_compilations_do_not_grow_with_the_number_of_weight_tensors(asked):
    moved = 13 - 3  # of the larger model 12 tensors and the rest together, of the smaller all 3
    (_, few, at_first), (_, many, later) = asked[3], asked[14]
    many = dict(many)
    for evaluation in ("predict", "evaluate", "train"):
        many["jax_float64", evaluation] -= moved
    assert many == few
    assert later <= at_first  # the first may compile what every later model shares


def test_how_many_evaluations_a_run_makes(subject_of, counted, monkeypatch):
    monkeypatch.setattr(recent, "SMALL", 8)  # losses are kept, gradients are not
    subject = subject_of(deep(3))
    subject.trained, subject.bundle, subject.batch(SIZE)
    counted.clear()
    ask(subject)
    members, power, far, once = rules.MEMBERS, 3, rules.MEMBERS * len(kinks.RAYS), 1
    assert counted["jax", "train"] == once
    assert counted[ROUNDED, "train"] == members + 1  # held out
    assert counted["jax_float64", "train"] == once + power
    assert counted["jax", "evaluate"] == once + 1  # from the moved weight
    assert counted[ROUNDED, "evaluate"] == members + 1
    assert counted["jax_float64", "evaluate"] == once + power + far + 1
    assert counted["tf_xla", "train"] == 2  # the modes are compared with one answer of the last
    assert {counted[mode, "train"] for mode in ("tf_eager", "tf_graph")} <= {1, 2}  # once more where bits differ


def arrays_kept(root, least):
    """The arrays of at least `least` bytes that are reachable from the answers of a subject, each once."""
    seen, found, stack = set(), {}, [root]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, np.ndarray):
            if value.nbytes >= least:
                found[id(value)] = value
        elif isinstance(value, dict):
            stack += value.values()
        elif isinstance(value, (list, tuple, set)):
            stack += value
        elif type(value).__module__.startswith("parity.") and not isinstance(value, Runtime):
            stack += vars(value).values() if hasattr(value, "__dict__") else []
    return list(found.values())


def test_no_array_is_kept_for_a_member_or_a_moved_tensor(asked):
    subject = asked[14][0]
    reference, study = subject.reference, subject.shared(PowerStudy)
    assert arrays_kept(reference._answers, 1)
    assert not arrays_kept((reference._budgets, reference._beyond_kinks, study._smallest, subject._recent._digests), 1)
