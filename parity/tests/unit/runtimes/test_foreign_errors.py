"""What a runtime or a derivation of a user's raises or returns: a failure that names it, and of its own probe alone."""

import numpy as np
import pytest

from parity.core.errors import RuntimeFailureError, UsageError
from parity.runtimes import base
from parity.runtimes.base import Capabilities, FixedAnswers, Model, Runtime
from parity.runtimes.by_probe import ByProbe
from parity.tests.support.bundle_files import BATCHES, SOLE

RIGHT = {"predict": {"output": np.ones(3, np.float32)}}


class Abacus(Runtime):
    name = "abacus"
    capabilities = Capabilities()

    def __init__(self, found):
        super().__init__(Model(SOLE, None, None, None))
        self.found = found

    def compute(self, evaluation, batch, device):
        return self.found()


def ask(found):
    return Abacus(found).evaluate("predict", BATCHES["tiny"])


def missing_key():
    return {}["beads"]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (missing_key, ["abacus", "'predict'", "KeyError", "beads"]),
        (lambda: None, ["abacus", "NoneType"]),
        (lambda: {"predict": np.ones(3)}, ["abacus", "'predict'", "ndarray"]),
        (lambda: {"predict": {"output": [1.0]}}, ["abacus", "'output'", "list"]),
        (lambda: {"predict": {"output": np.array(["one"])}}, ["abacus", "'output'"]),
    ],
)
def test_a_runtime_that_raises_or_answers_with_no_arrays_is_a_failure_of_its_name(found, said):
    with pytest.raises(RuntimeFailureError) as caught:
        ask(found)
    assert [part for part in said if part not in str(caught.value)] == []


def test_a_failure_of_its_own_kind_stays_as_it_is():
    def failing():
        raise UsageError("no device")

    with pytest.raises(UsageError):
        ask(failing)


def test_the_full_stop_of_an_exception_is_not_kept_inside_the_message():
    def failing():
        raise ValueError("No beads.")

    with pytest.raises(RuntimeFailureError) as caught:
        ask(failing)
    assert "No beads, at " in str(caught.value)


@pytest.fixture
def derived(monkeypatch):
    """A derivation that fails, and one that does not."""
    functions = {
        "failing": lambda answers: answers["predikt"],
        "doubled": lambda a: {"output": 2 * a["predict"]["output"]},
    }
    monkeypatch.setitem(base.DERIVED, "predict", functions)


def test_a_derivation_that_fails_keeps_the_others(derived):
    answers = ask(lambda: RIGHT)
    assert answers["doubled"]["output"].tolist() == [2.0, 2.0, 2.0]
    assert set(answers) == {"predict", "doubled"}
    for read in (lambda: answers["failing"], lambda: answers.get("failing", {})):
        with pytest.raises(RuntimeFailureError, match=r"'failing' on abacus.*KeyError: 'predikt'.*test_foreign_errors"):
            read()


def test_failures_of_a_derivation_on_several_runtimes_are_alike_and_others_are_not(derived):
    class Slate(Abacus):
        name = "slate"

    found = [kind(lambda: RIGHT).evaluate("predict", BATCHES["tiny"]).failed["failing"] for kind in (Abacus, Slate)]
    assert len({str(error) for error in found}) == 2
    assert len({error.alike for error in found} - {""}) == 1
    with pytest.raises(RuntimeFailureError) as caught:
        ask(missing_key)
    assert caught.value.alike == ""


def test_what_stands_in_for_a_runtime_derives_anew_and_keeps_its_name(derived):
    wrong = {"predict": {"output": np.zeros(3, np.float32)}}
    answers = FixedAnswers(Abacus(lambda: RIGHT), wrong).evaluate("predict", BATCHES["tiny"])
    assert answers["doubled"]["output"].tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(RuntimeFailureError, match="abacus"):
        answers["failing"]


def test_a_value_that_nobody_gave_is_a_key_error():
    with pytest.raises(KeyError):
        ByProbe({"predict": 1})["rng"]
    assert ByProbe({"predict": 1}).get("rng") is None


@pytest.mark.parametrize("evaluation", ["predikt", "accuracy"])
def test_an_evaluation_that_nothing_is_derived_from_is_refused(evaluation):
    with pytest.raises(UsageError, match=evaluation):
        base.derive("mine", evaluation, lambda answers: answers["predict"])
