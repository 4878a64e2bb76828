"""The constraint that a message names does decide the comparison that failed the export."""

import re

import jax
import pytest
from jax import export

from parity.cases.constraints import violated
from parity.compat import causes
from parity.core import failures
from parity.core.failures import SYMBOLIC_SHAPE

MODELS = {
    "min(24, t)": lambda x, t: x[:, : min(24, t)],
    "min(t, 24)": lambda x, t: x[:, : min(t, 24)],
    "t <= 24": lambda x, t: x if t <= 24 else 2 * x,
    "t // 2 < 8": lambda x, t: x if t // 2 < 8 else 2 * x,
    "t - 3 > 8": lambda x, t: x if t - 3 > 8 else 2 * x,
}


def exported(model, *constraints):
    sizes = export.symbolic_shape("b, t", constraints=constraints)
    export.export(jax.jit(lambda x: model(x, x.shape[1])))(jax.ShapeDtypeStruct(sizes, "float32"))


@pytest.mark.parametrize("name", MODELS)
def test_it_decides(name):
    with pytest.raises(Exception, match="inconclusive") as caught:
        exported(MODELS[name])
    failure = failures.of(caught.value)
    assert failure.kind == SYMBOLIC_SHAPE
    named = re.findall(r'\("([^"]+)",\)', causes.cure(failure))
    assert named
    for constraint in named:
        exported(MODELS[name], constraint)
        violated([constraint], {"b": 2, "t": 64})
