"""What of a user's SavedModel answers what: the guess from shapes, dtypes and names, and what the case corrects."""

import numpy as np
import pytest

from parity.cases.artifacts import Artifact
from parity.core.errors import CaseError
from parity.export.interface import Call, Endpoint, Expected, Held, Interface, Tensor, guess, match_state

WANTED = Expected("float32", ((1, 3), (2, 3)))


def rows(*sizes, dtype="float32"):
    return Expected(dtype, ((1, *sizes), (2, *sizes)))


def endpoint(name="serving_default", inputs=(("x", "float32", (None, 4)),), outputs=(("y", "float32", (None, 3)),)):
    return Endpoint(name, tuple(Tensor(*t) for t in inputs), tuple(Tensor(*t) for t in outputs))


def guessed(*endpoints, artifact=None, inputs=None, outputs=None):
    return guess(
        endpoints, artifact or Artifact("a"), inputs or {"data": rows(4)}, {"data": rows(dtype="int32")},
        outputs or {"output": WANTED}, "the artifact",
    )  # fmt: skip


def test_a_signature_of_that_shape_predicts_whatever_its_names_are():
    assert guessed(endpoint()).functions == {"predict": Call("serving_default", {"x": "data/data"}, {"output": "y"})}


def test_what_a_server_calls_is_asked_first_and_what_else_fits_is_shown():
    found = guessed(endpoint("a"), endpoint("predict"), endpoint())
    assert found.functions["predict"].name == "serving_default"
    assert found.further == ("predict", "a")


@pytest.mark.parametrize(
    "wrong",
    [
        endpoint(inputs=[("x", "float32", (None, 5))]),
        endpoint(inputs=[("x", "float64", (None, 4))]),
        endpoint(inputs=[("x", "float32", (1, 4))]),
        endpoint(inputs=[("x", "float32", (None, 4)), ("mask", "bool", (None,))]),
        endpoint(outputs=[("y", "float32", (None, 2))]),
    ],
)
def test_another_model_is_refused_with_what_it_has(wrong):
    with pytest.raises(CaseError) as refused:
        guessed(wrong)
    assert str(wrong) in str(refused.value)


def test_nothing_to_call_is_refused():
    with pytest.raises(CaseError, match="no signature"):
        guessed()


def test_inputs_and_outputs_of_one_shape_are_told_apart_by_name_or_not_at_all():
    inputs, two = {"user": rows(4), "item": rows(4)}, [("item", "float32", (None, 4)), ("user", "float32", (None, 4))]
    found = guessed(endpoint(inputs=two), inputs=inputs).functions["predict"]
    assert found.inputs == {"user": "data/user", "item": "data/item"}
    other = [("left", "float32", (None, 4)), ("right", "float32", (None, 4))]
    with pytest.raises(CaseError, match="left or right"):
        guessed(endpoint(inputs=other), inputs=inputs)
    said = Artifact("a", inputs={"user": "right", "item": "left"})
    found = guessed(endpoint(inputs=other), inputs=inputs, artifact=said).functions["predict"]
    assert found.inputs == {"right": "data/user", "left": "data/item"}


def test_a_correction_decides_and_one_that_does_not_fit_is_refused():
    said = Artifact("a", functions={"predict": "raw"})
    assert guessed(endpoint(), endpoint("raw"), artifact=said).functions["predict"].name == "raw"
    with pytest.raises(CaseError, match="raw"):
        guessed(endpoint(), artifact=said)
    with pytest.raises(CaseError, match="does not fit"):
        guessed(endpoint(), endpoint("raw", outputs=[]), artifact=said)
    with pytest.raises(CaseError, match="'z'"):
        guessed(endpoint(), artifact=Artifact("a", outputs={"z": "y"}))


def test_a_loss_is_known_by_its_name_and_may_be_left_out():
    loss = endpoint("loss", [("0", "float32", (None, 4)), ("1", "int32", (None,))], [("output", "float32", ())])
    found = guessed(endpoint(), loss)
    assert found.evaluations == {"predict", "evaluate"}
    assert found.functions["eval_loss"].inputs == {"0": "data/data", "1": "labels/data"}
    assert guessed(endpoint(), loss, artifact=Artifact("a", functions={"eval_loss": None})).evaluations == {"predict"}


def test_it_is_read_as_it_was_written():
    found = guessed(endpoint(), endpoint("predict"))
    assert Interface.from_json(found.to_json()) == found


A, B, ZERO = (np.arange(6, dtype=np.float32).reshape(2, 3) + i for i in (1, 9, 0))
LEAVES = {"first/kernel": A, "second/kernel": B}


def matched(held, corrections=None, leaves=None):
    values = {path: value if isinstance(value, Held) else Held(value) for path, value in held.items()}
    return match_state(leaves or LEAVES, values, corrections or {}, "the artifact")


def test_a_renamed_leaf_is_found_by_its_value():
    assert matched({"v/0": B, "v/1": A}) == {"first/kernel": "v/1", "second/kernel": "v/0"}


def test_swapped_leaves_keep_their_names_so_that_they_differ():
    names = {"params/first/kernel": B, "params/second/kernel": A}
    assert matched(names) == {"first/kernel": "params/first/kernel", "second/kernel": "params/second/kernel"}


def test_names_decide_between_equal_values():
    leaves, zeros = (
        {"a/bias": ZERO, "b/bias": ZERO},
        {"v/0": Held(ZERO, ("b.bias:0",)), "v/1": Held(ZERO, ("a.bias:0",))},
    )
    assert matched(zeros, leaves=leaves) == {"a/bias": "v/1", "b/bias": "v/0"}


def test_a_wrong_leaf_is_compared_with_the_variable_that_is_left():
    assert matched({"v/0": B, "v/1": A + 1e-3}) == {"first/kernel": "v/1", "second/kernel": "v/0"}


def test_a_leaf_without_a_variable_has_none():
    assert matched({"v/0": B}) == {"second/kernel": "v/0"}


def test_the_case_says_which_variable_it_is_and_what_is_not_compared():
    held = {"v/0": B, "v/1": A}
    assert matched(held, {"first/kernel": "v/0", "second/kernel": None}) == {"first/kernel": "v/0"}
    for wrong in ({"third": "v/0"}, {"first/kernel": "v/7"}):
        with pytest.raises(CaseError):
            matched(held, wrong)
