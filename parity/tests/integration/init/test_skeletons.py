"""The cases that `parity init` writes: each loads, predicts and has a loss, with the library that it is made for."""

import numpy as np
import pytest

from parity.cases.loading import EXTRAS, load
from parity.init.finding import EQUINOX, FUNCTIONS, HAIKU, LINEN, NNX, Found
from parity.init.writing import skeleton


@pytest.mark.parametrize("library", [LINEN, NNX, EQUINOX, HAIKU, FUNCTIONS])
def test_a_skeleton_is_a_case_that_predicts_and_has_a_loss(tmp_path, frameworks, library):
    import jax

    pytest.importorskip(library if library in EXTRAS else "jax")
    file = tmp_path / f"{library}_case.py"
    file.write_text(skeleton(Found(library)), encoding="utf-8")
    case = load(f"{file}:case")
    params, other = case.init(jax.random.PRNGKey(0))
    batch = case.dataset().test.take(5)
    [scores] = jax.tree.leaves(case.predict((params, other), batch.data))
    loss, _ = case.loss(params, other, jax.random.PRNGKey(1), batch.data, batch.labels, True)
    assert scores.shape == (5, 3)
    assert np.isfinite(loss)
    assert case.name == "stand_in"
