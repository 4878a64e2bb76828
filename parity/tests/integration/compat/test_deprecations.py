"""What the frameworks say will go is heard wherever they say it, once, and named after who said it."""

import logging
import warnings

import pytest

from parity.compat.deprecations import collecting, of
from parity.records import Deprecation
from parity.tests.support import samples

pytestmark = pytest.mark.slow

CASE = """
import warnings
from parity.tests.support import tiny

warnings.warn("jax.old_import is deprecated", DeprecationWarning)

def predict(state, data):
    warnings.warn("jax.old_call is deprecated", DeprecationWarning, stacklevel=2)
    return tiny.predict(state, data)

case = tiny.case(predict=predict)
"""


@pytest.mark.parametrize(
    ("text", "filename", "package", "message"),
    [
        ("jax.core.Old is deprecated", "/x/site-packages/flax/core.py", "jax", "jax.core.Old is deprecated"),
        ("From /a/b.py:12: f (from tensorflow.python.x) is deprecated", "", "tensorflow", None),
        ("The name tf.old is deprecated", "", "tensorflow", "The name tf.old is deprecated"),
        ("old() will go", "/x/site-packages/numpy/core.py", "numpy", "old() will go"),
        ("old() will go", "/home/somebody/model.py", "model", "old() will go"),
    ],
)
def test_a_deprecation_names_its_package_and_no_path(text, filename, package, message):
    found = of(text, filename)
    assert found.package == package
    assert "/" not in found.message
    assert message in (None, found.message)


def test_deprecations_in_warnings_and_logs_are_reported_and_nothing_else():
    collected = []
    with collecting(collected.append):
        warnings.warn("jax.a is deprecated", DeprecationWarning, stacklevel=1)
        warnings.warn("jax.b is slow", UserWarning, stacklevel=1)
        logging.getLogger("tensorflow").warning("tf.c is deprecated and will be removed")
        logging.getLogger("tensorflow").warning("tf.d is slow")
    logging.getLogger("tensorflow").warning("tf.e is deprecated, after the end")
    output = {"jax.a is deprecated": "jax", "tf.c is deprecated and will be removed": "tensorflow"}
    assert {d.message: d.package for d in collected} == output


def test_deprecations_before_an_exception_are_reported():
    collected, before = [], list(logging.getLogger("tensorflow").handlers)

    def fail():
        warnings.warn("jax.a is deprecated", DeprecationWarning, stacklevel=1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), collecting(collected.append):
        fail()
    assert collected == [Deprecation("jax", "jax.a is deprecated")]
    assert logging.getLogger("tensorflow").handlers == before


def test_a_run_records_what_was_said_while_it_imported_and_while_it_asked_once_each(tmp_path, frameworks):
    from parity import records

    (tmp_path / "old.py").write_text(CASE)
    items = ["--case", "old.py:case", "--runtime", "jax", "--probe", "predict", "--batch-size", "1", "--out", "out"]
    done = samples.inside("run", *items, cwd=tmp_path)
    found = records.read(tmp_path / "out").deprecations
    ours = [d for d in found if "old_" in d.message]
    output = {Deprecation("jax", "jax.old_import is deprecated"), Deprecation("jax", "jax.old_call is deprecated")}
    assert set(ours) == output, done.stdout
    assert len(found) == len(set(found))
