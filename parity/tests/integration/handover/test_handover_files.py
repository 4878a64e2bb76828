"""A hand-over on disk: what TensorFlow is told, and what it refuses before the first step."""

import contextlib
import itertools
import json
import shutil
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.cases.optimizers import Optimizer, Schedule
from parity.cases.pipeline import Pipeline
from parity.cases.specs import Batch
from parity.core.errors import RecordError, UsageError
from parity.handover import CARRIED, EXPORTED
from parity.handover.counterparts import keras_optimizer, keras_schedule
from parity.handover.files import MANIFEST, read, write
from parity.handover.setup import COMPARED, methods, why_not_carried
from parity.probes import trajectory
from parity.runtimes import registry
from parity.session.planning import Planner
from parity.session.selection import Selection
from parity.tests.support import tiny_training

MAKE = Optimizer(make=lambda rate: optax.chain(optax.scale_by_adam(), optax.scale_by_learning_rate(rate)))


@pytest.fixture(scope="module")
def handover(trajectories):
    return trajectories.setup.handover


def rewritten(handover, path, **changes):
    """The manifest of a hand-over that has these changes, read again."""
    path.mkdir()
    other = replace(handover, path=path, **changes)
    write(other, handover.state(), handover.examples())
    return other, read(path)


def test_what_was_written_is_read(handover, trajectories):
    assert read(handover.path) == handover
    state, examples = handover.state(), handover.examples()
    assert tuple(state) == handover.moments
    assert np.array_equal(examples.data, trajectories.setup.subject.dataset.train.data)
    assert np.array_equal(examples.labels, trajectories.setup.subject.dataset.train.labels)
    assert [batch.size for batch in handover.batches(trajectories.setup.subject.pipeline)] == [16] * 15


@pytest.mark.parametrize(
    "changes",
    [
        {
            "schedule": Schedule(
                "piecewise_constant_schedule", {"init_value": 0.1, "boundaries_and_scales": {7: 0.5, 12: 0.1}}
            )
        },
        {"schedule": Schedule("cosine_decay_schedule", {"init_value": np.float32(0.25), "decay_steps": 100})},
        {"optimizer": Optimizer("adamw", {"weight_decay": 0.01, "b1": np.float64(0.5)}, clip_global_norm=1.0)},
        {"optimizer": Optimizer("sgd", {"momentum": 0.9, "nesterov": True})},
    ],
)
def test_a_declared_optimizer_is_built_from_its_declaration(handover, tmp_path, changes):
    training = replace(handover.training, **changes)
    _, found = rewritten(handover, tmp_path / "h", training=training)
    mine, own = keras_optimizer(found.training, 5), keras_optimizer(training, 5)
    assert {**mine.get_config(), "name": ""} == {**own.get_config(), "name": ""}
    rates = [[float(keras_schedule(t, 5)(step)) for step in range(0, 20)] for t in (found.training, training)]
    assert rates[0] == rates[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": MAKE},
        {"schedule": Schedule(function=lambda step: 0.01)},
        {"optimizer": Optimizer("adam", {"mu_dtype": jnp.bfloat16})},
        {"optimizer": Optimizer("adamw", {"mask": lambda params: params})},
    ],
)
def test_an_own_optimizer_has_no_keras_counterpart_and_is_not_carried(handover, tmp_path, changes):
    training = replace(handover.training, **changes)
    assert why_not_carried(tiny_training.case(training=training))
    assert CARRIED not in methods(tiny_training.case(training=training))
    assert EXPORTED in methods(tiny_training.case(training=training))
    _, found = rewritten(handover, tmp_path / "h", training=training)
    assert found.order == handover.order
    assert [batch.size for batch in itertools.islice(found.batches(Pipeline(found.examples(), found.training)), 2)]


def test_a_run_says_why_a_hand_over_is_left_out(frameworks):
    case = tiny_training.case(training=replace(tiny_training.TRAINING, optimizer=MAKE))
    selection = Selection({case.name: case}, tuple(registry.runtimes().values()), ("trajectory",), (13,))
    planner = Planner(selection, [], lambda name: 50)
    items = planner.items(trajectory.PROBE)
    assert [item.item for item in items] == [f"test_trajectory[{case.name}-{m}]" for m in COMPARED if m != CARRIED]
    assert [item.variant for item in items] == [method for method in COMPARED if method != CARRIED]
    [sentence] = planner.left_out.values()
    assert sentence.startswith("tiny_training: a Keras optimizer left out: an optimizer of one's own")


LACKING = {
    "the probe train_loss: ": {"probes": ("predict", "train_gradient")},
    "the probe train_gradient: ": {"probes": ("predict", "train_loss")},
    "Training(epochs=1)": {"training": replace(tiny_training.TRAINING, epochs=0)},
    "Training(epochs_after=1)": {"training": replace(tiny_training.TRAINING, epochs_after=0)},
}


@pytest.mark.parametrize("lacking", LACKING)
def test_a_run_says_what_a_case_lacks_to_be_handed_over_and_nothing_else(frameworks, lacking):
    case = tiny_training.case(**LACKING[lacking])
    assert methods(case) == []
    selection = Selection({case.name: case}, tuple(registry.runtimes().values()), ("trajectory",), (13,))
    planner = Planner(selection, [], lambda name: 50)
    assert planner.items(trajectory.PROBE) == []
    [sentence] = planner.left_out.values()
    assert [part for part in LACKING if part in sentence] == [lacking]


class Refused:
    """A pipeline like another, of other batches."""

    def __init__(self, pipeline, change):
        self.steps_per_epoch, self._pipeline, self._change = pipeline.steps_per_epoch, pipeline, change

    def epoch(self, number):
        return self._change(list(self._pipeline.epoch(number)), number)


@pytest.mark.parametrize(
    ("change", "epoch"),
    [
        (lambda batches, number: batches[::-1], 3),
        (lambda batches, number: batches[::-1] if number == 4 else batches, 5),
        (lambda batches, number: [b.map(lambda a: a[::-1]) for b in batches], 3),
        (lambda batches, number: [Batch(np.nextafter(b.data, np.float32(9)), b.labels) for b in batches], 3),
        (lambda batches, number: batches[:-1], 3),
    ],
)
def test_other_batches_are_refused_before_the_first(handover, trajectories, change, epoch):
    pipeline = Refused(trajectories.setup.subject.pipeline, change)
    with pytest.raises(UsageError, match=f"the batches of epoch {epoch} are not those that JAX would see"):
        next(handover.batches(pipeline))


def test_another_training_set_seed_or_count_of_batches_is_refused(handover):
    examples, training = handover.examples(), handover.training
    for other in (
        Pipeline(examples.map(lambda a: a[::-1]), training),
        Pipeline(examples, replace(training, seed=1)),
    ):
        with pytest.raises(UsageError, match="batches of epoch 3 are not those"):
            next(handover.batches(other))
    with pytest.raises(UsageError, match="an epoch has 10 batches here, in JAX it had 5"):
        next(handover.batches(Pipeline(examples, replace(training, batch_size=8))))


def test_no_manifest_is_an_error(tmp_path):
    with pytest.raises(RecordError, match=r"is no hand-over: it has no handover\.json\. Give the folder"):
        read(tmp_path)


def test_missing_arrays_are_an_error(handover, tmp_path):
    shutil.copy(handover.path / MANIFEST, tmp_path)
    found = read(tmp_path)
    for part in (found.state, found.examples):
        with pytest.raises(RecordError, match="cannot read the arrays in"):
            part()


@given(st.data())
def test_a_damaged_manifest_is_an_error(handover, tmp_path_factory, data):
    reported = json.loads((handover.path / MANIFEST).read_text())
    part = data.draw(st.sampled_from([reported, reported["training"], reported["signature"]]))
    key = data.draw(st.sampled_from(sorted(part)))
    if data.draw(st.booleans()):
        del part[key]
    else:
        part[key] = data.draw(st.sampled_from([{}, [None], "-", -1.5]))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / MANIFEST).write_text(json.dumps(reported))
    with contextlib.suppress(RecordError):
        read(folder)  # another value may be as good


def test_half_a_manifest_is_an_error(handover, tmp_path):
    text = (handover.path / MANIFEST).read_text()
    (tmp_path / MANIFEST).write_text(text[: len(text) // 2])
    with pytest.raises(RecordError, match="is no hand-over: JSONDecodeError"):
        read(tmp_path)
