"""What `parity doctor` says of programs that were drawn is what a bare export of them does."""

import contextlib
import functools

import jax
import pytest
import tensorflow as tf

from parity import readable_by
from parity.cases.loading import prepared
from parity.cli import trial
from parity.compat import reader
from parity.core.errors import UsageError
from parity.tests.support import drawn_programs

COUNT, SEED = 40, 0
REMEDY = f"tensorflow=={tf.__version__}"

pytestmark = [pytest.mark.exhaustive, pytest.mark.slow, pytest.mark.usefixtures("frameworks")]


@functools.cache
def drawn():
    harnesses = pytest.importorskip("jax._src.internal_test_util.test_harnesses")
    return drawn_programs.draw(harnesses.all_harnesses, COUNT, SEED)


def runs(case, folder, size, readable=None):
    """Export as a script does that does not know parity, load and call."""
    from jax.experimental import jax2tf

    data = case.dataset().test.data
    signature = {n: tf.TensorSpec([size, *a.shape[1:]], a.dtype) for n, a in data.items()}
    weight = tf.Variable(1.0)
    converted = jax2tf.convert(
        lambda w, x: case.predict(({"weight": w}, {}), x),
        polymorphic_shapes=["...", f"({size or 'b'}, ...)"],
        with_gradient=False,
    )
    module = tf.Module()
    module.weight = weight
    module.predict = tf.function(lambda x: converted(weight, x), input_signature=[signature], autograph=False)
    try:
        with readable_by(readable) if readable else contextlib.nullcontext():
            tf.saved_model.save(module, folder)
        loaded = tf.saved_model.load(folder)
        loaded.predict(data)
    except Exception:
        return False
    return True


def outcome(case, folder):
    if runs(case, f"{folder}/0", None):
        return trial.WORKS
    if runs(case, f"{folder}/1", None, REMEDY):
        return trial.WITH_REMEDY
    size = drawn_programs.EXAMPLES
    fixed = runs(case, f"{folder}/2", size) or runs(case, f"{folder}/3", size, REMEDY)
    return trial.AT_FIXED_SIZES if fixed else trial.FAILS


def runs_in_jax(case):
    try:
        jax.block_until_ready(jax.jit(case.predict)(case.init(None), case.dataset().test.data))
    except Exception:
        return False
    return True


@pytest.mark.parametrize("number", range(COUNT))
def test_the_verdict_on_a_drawn_program_is_what_a_bare_export_does(tmp_path, number):
    harness = drawn()[number]
    case = drawn_programs.case(harness)
    if not runs_in_jax(case):
        with pytest.raises(UsageError):
            trial.attempt(prepared(case))
        return
    found = trial.attempt(prepared(case), reader.describe().stablehlo)
    assert found.verdict == outcome(case, tmp_path), harness.fullname
    said = " ".join((*found.causes, *found.at_fixed_sizes))
    assert not [text for text in ("\n", "tensor<", "loc(", "Traceback") if text in said], said
