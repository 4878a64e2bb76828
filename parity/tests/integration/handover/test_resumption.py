"""Training in TensorFlow that is interrupted and resumed goes on to the bit; so it does exported again, or in JAX."""

import signal
from dataclasses import replace

import jax
import numpy as np
import pytest
import tensorflow as tf

from parity.cases.functions import named
from parity.cases.optimizers import Optimizer
from parity.cases.training import optimizer
from parity.core.errors import RecordError, RuntimeFailureError, UsageError
from parity.core.processes import BLOCKED
from parity.export import artifact
from parity.handover import CARRIED, EXPORTED, MOMENTS, STATE, checkpoints, stage
from parity.handover.continuing import ExportedContinuation, resume
from parity.handover.exported import Trainable
from parity.handover.resumption import Interruption, judge
from parity.handover.returning import Returned, returned
from parity.handover.train_state import TrainState, stepping
from parity.handover.trajectory import INTERRUPTED_AFTER, compare, half
from parity.records import FAIL, PASS
from parity.tests.support import tiny_training
from parity.tests.support.planting import BEGIN, EPOCH

pytestmark = pytest.mark.slow

BOTH = [CARRIED, EXPORTED]


@pytest.fixture
def continuation(begun, request):
    """A training by the way that the test asks for, where it was handed over."""
    planted = begun.trainings[request.param]
    planted.rewind()
    return planted.training


def values(continuation):
    return [variable.numpy() for variable in continuation.variables()]


def same(one, other):
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def refused(continuation, path, error, match):
    """That a checkpoint is refused, and nothing overwritten."""
    before = values(continuation)
    with pytest.raises(error, match=match):
        checkpoints.restore(continuation, path)
    assert same(values(continuation), before)


@pytest.mark.parametrize("continuation", BOTH, indirect=True)
def test_training_goes_on_from_a_checkpoint_to_the_bit(continuation, begun, tmp_path):
    batches = begun.trajectories.setup.batches
    for batch in batches[:2]:
        continuation.step(batch)
    checkpoints.save(continuation, tmp_path / "checkpoint")
    uninterrupted = [continuation.step(batch) for batch in batches[2:4]]
    checkpoints.restore(continuation, tmp_path / "checkpoint")
    for batch, expected in zip(batches[2:4], uninterrupted, strict=True):
        continuation.step(batch)
        assert {j.status for j in judge(continuation.state(), expected, "again")} == {PASS}


@pytest.mark.parametrize("continuation", [EXPORTED], indirect=True)
def test_a_second_export_goes_on_to_the_bit(continuation, begun, tmp_path):
    batches, module = begun.trajectories.setup.batches, continuation.module
    continuation.step(batches[0])
    artifact.save(module, tmp_path / "again", module.signatures["serving_default"], gradients=False)
    uninterrupted = continuation.step(batches[1])
    again = resume(EXPORTED, begun.trajectories.setup.handover, tmp_path / "again")
    again.step(batches[1])
    assert {j.status for j in judge(again.state(), uninterrupted, "again")} == {PASS}


def other(begun, case):
    """A training of another case in this process; it is never called, so nothing is compiled."""
    handover, known = begun.trajectories.setup.handover, begun.trajectories.setup.train_state
    params, statistics = case.init(jax.random.PRNGKey(0))
    state = known.state._replace(params=params, other=statistics)
    moments = optimizer(case.training, EPOCH).init(params)
    module = Trainable(case, TrainState(state, moments, known.step), stepping(case, EPOCH), artifact.graph)
    return ExportedContinuation(replace(handover, moments=tuple(named(moments))), module)


@pytest.mark.parametrize("continuation", BOTH, indirect=True)
def test_a_checkpoint_of_another_case_is_refused(continuation, tmp_path):
    signature = continuation.handover.signature
    continuation.handover = replace(continuation.handover, signature=replace(signature, case="another"))
    checkpoints.save(continuation, tmp_path / "checkpoint")
    continuation.handover = replace(continuation.handover, signature=signature)
    refused(continuation, tmp_path / "checkpoint", UsageError, "of case 'another', expected one of 'tiny_training'")


@pytest.mark.parametrize("continuation", BOTH, indirect=True)
@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_checkpoint_of_another_optimizer_is_refused(continuation, begun, tmp_path, name):
    case = tiny_training.case(training=replace(tiny_training.TRAINING, optimizer=Optimizer(name)))
    checkpoints.save(other(begun, case), tmp_path / "checkpoint")
    refused(continuation, tmp_path / "checkpoint", UsageError, "of another optimizer: .* is on one side alone")


@pytest.mark.parametrize("continuation", [CARRIED], indirect=True)
def test_a_checkpoint_of_the_other_way_is_refused(continuation, begun, tmp_path):
    checkpoints.save(begun.trainings[EXPORTED].training, tmp_path / "checkpoint")
    refused(continuation, tmp_path / "checkpoint", UsageError, "of another optimizer")


@pytest.mark.parametrize("continuation", [EXPORTED], indirect=True)
def test_a_checkpoint_of_other_shapes_is_refused(continuation, begun, tmp_path):
    wider = tiny_training.case(init=lambda key: tiny_training.init(key, units=9))
    checkpoints.save(other(begun, wider), tmp_path / "checkpoint")
    refused(continuation, tmp_path / "checkpoint", UsageError, r"hidden/bias is float32\[9\], expected float32\[8\]")


@pytest.mark.parametrize("continuation", [EXPORTED], indirect=True)
def test_a_checkpoint_of_another_precision_is_refused(continuation, begun, tmp_path):
    def init(key):
        params, statistics = tiny_training.init(key)
        return jax.tree_util.tree_map(lambda a: a.astype("bfloat16"), params), statistics

    checkpoints.save(other(begun, tiny_training.case(init=init)), tmp_path / "checkpoint")
    refused(continuation, tmp_path / "checkpoint", UsageError, r"hidden/bias is bfloat16\[8\], expected float32\[8\]")


@pytest.mark.parametrize("continuation", [EXPORTED], indirect=True)
def test_no_checkpoint_another_checkpoint_and_half_a_checkpoint_are_refused(continuation, begun, tmp_path):
    refused(continuation, tmp_path / "none", RecordError, "is no checkpoint of a training that goes on")
    tf.train.Checkpoint(x=tf.Variable(1.0)).write(str(tmp_path / "another"))
    refused(continuation, tmp_path / "another", RecordError, "is no checkpoint of a training that goes on")
    checkpoints.save(continuation, tmp_path / "half")
    continuation.step(begun.trajectories.setup.batches[0])
    [data] = tmp_path.glob("half.data*")
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 4])
    refused(continuation, tmp_path / "half", RecordError, "is no checkpoint of a training that goes on")


def test_another_count_of_steps_on_the_two_sides_is_refused(trajectories):
    late = replace(trajectories.setup.handover, steps=BEGIN + 1)
    with pytest.raises(UsageError, match=f"count is {BEGIN}, expected {BEGIN + 1}, the steps taken in JAX"):
        resume(CARRIED, late)
    with pytest.raises(UsageError, match=f"has taken {BEGIN} steps, expected {BEGIN + 1}"):
        resume(EXPORTED, late)


class WithoutMoments(ExportedContinuation):
    """Leaves the optimizer's state out of its checkpoints."""

    def variables(self):
        return [*self.module.state_vars, self.module.rng, self.module.step]


@pytest.mark.parametrize("continuation", [EXPORTED], indirect=True)
def test_moments_missing_in_a_checkpoint_are_named(continuation, begun, tmp_path):
    batches = begun.trajectories.setup.batches
    lossy = WithoutMoments(continuation.handover, continuation.module)
    for batch in batches[:3]:
        lossy.step(batch)
    checkpoints.save(lossy, tmp_path / "checkpoint")
    uninterrupted = lossy.step(batches[3])
    begun.trainings[EXPORTED].rewind()
    checkpoints.restore(lossy, tmp_path / "checkpoint")
    lossy.step(batches[3])
    found = judge(lossy.state(), uninterrupted, EXPORTED)
    assert [j.leaf for j in found if j.status == FAIL] == [f"{EXPORTED}/{MOMENTS}", f"{EXPORTED}/parameters"]
    message = next(j.message for j in found if j.status == FAIL)
    assert message.startswith("moments/0/count must equal training without an interruption to the bit")


@pytest.mark.parametrize("continuation", [EXPORTED], indirect=True)
@pytest.mark.parametrize("lost", [*STATE, "moments/0/mu/output"])
def test_a_missing_stage_or_leaf_is_named(continuation, lost):
    state = continuation.state()
    arrived = {leaf: array for leaf, array in state.items() if lost not in (leaf, stage(leaf))}
    assert [j.leaf for j in judge(arrived, state, EXPORTED) if j.status != PASS] == [f"{EXPORTED}/{stage(lost)}"]


def test_a_short_training_is_resumed_as_far_as_it_goes(begun):
    batches, training = begun.trajectories.setup.batches[:EPOCH], begun.trainings[EXPORTED].with_fault(None)
    found = compare(begun.reference, {EXPORTED: training}, batches, 2 * half(batches))
    assert found.kept[EXPORTED]["step"] == BEGIN + 2 * (EPOCH // 2)


class Lossy(Returned):
    """Loses its moments on the way back, after two steps in TensorFlow."""

    def step(self, batch):
        answer = super().step(batch)
        if answer["step"] == BEGIN + 2:
            moments = self.train_state.moments
            fresh = moments[0]._replace(mu=jax.tree_util.tree_map(np.zeros_like, moments[0].mu))
            self.train_state = self.train_state._replace(moments=(fresh, *moments[1:]))
        return answer


class Ending:
    """A training in TensorFlow that fails at its third step."""

    def __init__(self, there):
        self._there, self._left = there, 2

    @property
    def last(self):
        return self._there.last

    def step(self, batch):
        self._left -= 1
        if self._left < 0:
            raise RuntimeFailureError("out of memory")
        return self._there.step(batch)


def test_a_training_returns_to_jax_and_what_is_lost_on_the_way_back_is_named_at_the_step_after(begun):
    there, reference = begun.trainings[EXPORTED].with_fault(None), begun.reference
    trainings = {"there": there, "unchanged": Returned(there, reference, 2), "lossy": Lossy(there, reference, 2)}
    found = begun.follow(trainings, steps=4)
    assert found["unchanged"].deviation is None
    assert found["unchanged"].scores["step"] == [0] * 4
    deviation = found["lossy"].deviation
    assert deviation.step == BEGIN + 3
    assert deviation.result.leaf.startswith("moments/0/mu/")


def test_a_training_whose_part_in_tensorflow_fails_fails_as_well(begun):
    there = Ending(begun.trainings[EXPORTED].with_fault(None))
    returned_later = Returned(there, begun.reference, 3)
    found = begun.follow({"there": there, "returned": returned_later}, steps=4)
    assert str(found["there"]) == "out of memory"
    assert str(found["returned"]) == "the training in TensorFlow failed before it could return to JAX"


@pytest.mark.parametrize("continuation", BOTH, indirect=True)
def test_what_returns_is_where_training_was(continuation, begun):
    point = begun.trajectories.setup.train_state
    found = returned(continuation.state(), point)
    assert jax.tree_util.tree_structure(found) == jax.tree_util.tree_structure(point)
    assert same(jax.tree_util.tree_leaves(found), jax.tree_util.tree_leaves(point))


@pytest.mark.parametrize(
    ("leaf", "change", "described"),
    [
        ("moments/0/nu/output", None, "nothing"),
        ("parameters/output", lambda a: a[:, :2], r"float32\[8, 2\]"),
        ("batch_stats/var", lambda a: a.astype(np.float64), r"float64\[8\]"),
        ("step", lambda a: a.astype(np.int64), r"int64\[\]"),
        ("key", lambda a: a[:1], r"uint32\[1\]"),
    ],
)
@pytest.mark.parametrize("continuation", [EXPORTED], indirect=True)
def test_a_state_that_does_not_fit_does_not_return(continuation, begun, leaf, change, described):
    state = continuation.state()
    kept = state.pop(leaf)
    state |= {leaf: change(kept)} if change else {}
    with pytest.raises(UsageError, match=f"has {described} for {leaf}, expected {kept.dtype.name}"):
        returned(state, begun.trajectories.setup.train_state)


def test_a_killed_process_and_a_second_export_go_on_to_the_bit(trajectories, begun, tmp_path, monkeypatch):
    """In real processes that get no jax: the first is killed while it trains."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    interruption = Interruption(trajectories.setup.handover, tmp_path / "interrupted", BOTH, INTERRUPTED_AFTER)
    try:
        first = interruption._process
        interruption.interrupt()
        assert first.exit_code() == -signal.SIGKILL
        arrived = interruption.arrived()
    finally:
        interruption.close()
    assert set(arrived) == {CARRIED, EXPORTED, checkpoints.AGAIN}
    assert arrived[checkpoints.AGAIN][0] == EXPORTED
    for end, (method, state) in arrived.items():
        uninterrupted = trajectories.compared.kept[method]
        found = {j.leaf: j.status for j in judge(state, uninterrupted, end)}
        assert found == {f"{end}/{name}": PASS for name in STATE}
    for what in ("begin", "resume"):
        lines = (tmp_path / "interrupted" / f"{what}.stderr").read_text().splitlines()
        imported = {line.split("|")[-1].strip() for line in lines if line.startswith("import time:")}
        assert "tensorflow.python" in imported
        assert not {f"{name}.version" for name in BLOCKED} & imported  # an attempt that fails is listed as well
