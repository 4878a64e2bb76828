"""Runtimes are listed, and what they can do is read, where no framework is installed."""

import json

import pytest

from parity.core.errors import UsageError
from parity.runtimes import registry
from parity.runtimes.base import EVALUATIONS, Capabilities
from parity.tests.support import samples

NAMES = ["jax", "jax_float64", "tf_eager", "tf_graph", "tf_xla", "saved_model", "saved_model_fresh"]
"""In the order of a plan: the reference, the oracle, converted functions, artifacts."""

HEAVY = {"numpy", "jax", "jaxlib", "flax", "optax", "tensorflow", "keras", "tf_keras", "scipy", "pandas"}

LISTED = """
import dataclasses, importlib, json, pkgutil, sys
import parity.runtimes
from parity.runtimes.registry import runtimes

modules = [m.name for m in pkgutil.iter_modules(parity.runtimes.__path__)]
found = {name: dataclasses.asdict(runtime.capabilities)["role"] for name, runtime in runtimes().items()}
print(json.dumps([found, modules, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


@pytest.fixture(scope="module")
def listed():
    """The runtimes with their roles, the modules of the package, and what a new process imported to list them."""
    done = samples.python("-c", LISTED)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_runtimes_are_listed_in_the_order_of_a_plan(listed):
    found, _, _ = listed
    assert list(found) == list(registry.runtimes())
    assert [name for name in found if name in NAMES] == NAMES
    assert [role for name, role in found.items() if name in NAMES] == ["reference", "oracle", *["candidate"] * 5]


def test_every_runtime_has_a_module_that_imports_no_framework(listed):
    _, modules, imported = listed
    assert set(NAMES) <= set(modules)
    assert "parity" in imported
    assert not HEAVY & set(imported)


@pytest.mark.parametrize("name", NAMES)
def test_each_module_alone_imports_no_framework(name):
    code = f"import sys, parity.runtimes.{name}; print(*sorted(m.partition('.')[0] for m in sys.modules))"
    done = samples.python("-c", code)
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stdout.split())


def test_a_name_that_no_runtime_has_is_refused():
    with pytest.raises(UsageError) as caught:
        registry.require("abacus")
    assert all(name in str(caught.value) for name in ("abacus", *NAMES))


@pytest.mark.parametrize(
    ("can", "probe", "answered"),
    [
        (Capabilities(), "train_gradient", True),
        (Capabilities(evaluations=frozenset({"predict"})), "train_gradient", False),
        (Capabilities(evaluations=frozenset({"predict"})), "predict", True),
        (Capabilities(gradients=False), "train_gradient", False),
        (Capabilities(gradients=False), "train_loss", True),
        (Capabilities(carried_state=False), "rng", False),
        (Capabilities(carried_state=False), "batch_stats", False),
        (Capabilities(carried_state=False), "train_gradient", True),
    ],
)
def test_what_a_runtime_answers_follows_from_its_capabilities(can, probe, answered):
    evaluation = next(e for e, answers in EVALUATIONS.items() if probe in answers)
    assert can.answers(probe, evaluation) is answered


@pytest.mark.parametrize(
    "wrong",
    [{"role": "candidat"}, {"source": "file"}, {"batch": "some"}, {"mode": "jit"}, {"evaluations": {"evalute"}}],
)
def test_a_misspelt_capability_is_refused_by_name(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Capabilities(**wrong)


def test_what_passes_for_a_class_is_no_runtime():
    """In Python 3.10 `isinstance(dict[str, int], type)` is true."""

    class Alias:
        __class__ = property(lambda self: type)

    assert isinstance(Alias(), type)
    assert not registry.is_class(Alias())
    assert registry.is_class(registry.Runtime)
