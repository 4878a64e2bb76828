"""`train_step`: any Optax update exported beside its state, and what of it works after reload."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from parity.cases.functions import named
from parity.cases.optimizers import Optimizer
from parity.cases.training import optimizer
from parity.core.errors import RuntimeFailureError
from parity.export import artifact, bundles
from parity.export import conversion as export
from parity.handover import CARRIED, EXPORTED, files
from parity.handover.continuing import resume
from parity.handover.exported import hand_over
from parity.handover.files import MANIFEST
from parity.handover.returning import returned
from parity.handover.train_state import TrainState, answer, stepping
from parity.session.exporting import _fitting, export_case
from parity.tests.support import tiny, tiny_training
from parity.tests.support.planting import BEGIN, EPOCH

pytestmark = pytest.mark.slow

ROUNDING = "hidden/bias"
"""A gradient that is nothing but rounding, of which some updates take the sign."""


@pytest.mark.parametrize(
    ("chosen", "sizes", "leaves"),
    [
        pytest.param(Optimizer("sgd"), (16, 1), 1, marks=pytest.mark.exhaustive),
        (Optimizer("adafactor", {"min_dim_size_to_factor": 2}, clip_global_norm=0.1), (16,), 17),
    ],
)
def test_any_optimizer_is_exported_and_goes_on(trajectories, tmp_path, chosen, sizes, leaves):
    case = tiny_training.case(training=replace(tiny_training.TRAINING, optimizer=chosen))
    state, step = trajectories.setup.train_state.state, stepping(case, EPOCH)
    moments = jax.tree_util.tree_map(np.asarray, optimizer(case.training, EPOCH).init(state.params))
    begin, subject = TrainState(state, moments, np.int32(BEGIN)), trajectories.setup.subject
    handover = hand_over(case, begin, subject.pipeline, tmp_path / "h")
    found = resume(EXPORTED, handover)
    assert handover.moments == tuple(named(moments))
    assert len(handover.moments) == leaves
    compiled = jax.jit(step)
    for size in sizes:
        batch = trajectories.setup.batches[0].take(size)
        wanted = compiled(*begin, batch.data, batch.labels)
        begin, expected, actual = TrainState.after(wanted), answer(wanted), found.step(batch)
        assert set(actual) == set(expected)
        for leaf in (leaf for leaf in actual if not leaf.endswith(ROUNDING)):
            assert actual[leaf].dtype == expected[leaf].dtype
            np.testing.assert_allclose(actual[leaf], expected[leaf], rtol=1e-3, atol=1e-6, err_msg=leaf)


def test_nothing_that_training_changes_is_a_constant(trajectories):
    """The smallest parameter has 32 bytes."""
    sizes = [
        size
        for name, found in artifact.constants(trajectories.setup.handover.exported)
        if not name.startswith(("SaveV2/", "RestoreV2/"))  # names of variables
        for _, size in (export.program_constants(found) if isinstance(found, bytes) else [(name, found)])
    ]
    assert 0 < max(sizes) < 32


def test_what_is_evaluated_while_training_follows_it(begun):
    """`predict`, `accuracy` and `eval_loss` stand beside `train_step`, over the same variables."""
    planted, case = begun.trainings[EXPORTED], begun.trajectories.case
    planted.rewind()
    module, batch = planted.training.module, begun.trajectories.setup.batches[0]
    planted.training.step(batch)
    state = returned(planted.training.state(), begun.trajectories.setup.train_state).state
    np.testing.assert_allclose(module.predict(batch.data), case.predict(state[:2], batch.data), rtol=1e-4, atol=1e-5)
    loss = case.loss(*state, batch.data, batch.labels, False)[0]
    np.testing.assert_allclose(module.eval_loss(batch.data, batch.labels), loss, rtol=1e-4)
    assert module.accuracy(batch.data, batch.labels) == case.accuracy(state[:2], batch.data, batch.labels)


def test_a_step_that_cannot_be_traced_is_a_clear_error(trajectories, tmp_path):
    case, setup = trajectories.case, trajectories.setup

    def loss(params, other, rng, data, labels, train):
        return case.loss(params, other, rng, data * float(data.mean()), labels, train)

    with pytest.raises(
        RuntimeFailureError, match=r"the training step of case 'tiny_training' cannot be exported: .*Con"
    ):
        hand_over(replace(case, loss=loss), setup.train_state, setup.subject.pipeline, tmp_path / "h")
    assert not (tmp_path / "h" / MANIFEST).exists()


def test_a_bundle_has_the_training_step_if_asked(tmp_path, frameworks):
    export_case(f"{tiny.__file__}:tiny", ("1",), tmp_path / "bundle.tar.xz", training=True)
    with bundles.opening(tmp_path / "bundle.tar.xz") as bundle:  # its manifest has the files of the step as well
        handover = files.read(bundle.path / "handover")
        module = artifact.load(handover.exported)
        before, batch = int(module.step), bundle.batch(1)
        module.train_step(batch.data, batch.labels)
        assert resume(CARRIED, handover).count() == before
    assert int(module.step) == before + 1


def test_default_batch_sizes_that_a_test_set_cannot_fill_are_left_out(capsys):
    assert _fitting(40) == [1, 13]
    assert capsys.readouterr().out == "Batch size 256 left out: the test set has 40 examples.\n"
