"""What a case may say about an artifact of the user's own."""

import pytest

from parity.cases.artifacts import Artifact
from parity.cases.case import Case, Training
from parity.cases.specs import Spec
from parity.core.errors import CaseError


def case(**changes):
    fields = {"training": Training(epochs=0), "probes": ("predict",), "loss": lambda *arguments: None, **changes}
    return Case(
        name="mine", init=lambda key: ({}, {}), predict=lambda state, x: x, data=Spec("b", 4), labels=None,
        dataset=lambda: None, **fields,
    )  # fmt: skip


def test_a_path_is_an_artifact():
    assert case(artifact="folder").corrections == Artifact("folder")
    assert case(artifact="folder").has_own_artifact
    assert not case().has_own_artifact


@pytest.mark.parametrize(
    "wrong",
    [
        {"artifact": "folder", "export": lambda state, folder: None},
        {"artifact": Artifact()},
        {"export": "folder"},
        {"artifact": "folder", "training": Training(epochs=1)},
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(CaseError):
        case(**wrong)


@pytest.mark.parametrize("wrong", [{"functions": {"forecast": "f"}}, {"inputs": "x"}, {"outputs": None}])
def test_a_field_of_another_kind_is_refused(wrong):
    with pytest.raises(CaseError):
        Artifact("folder", **wrong)
