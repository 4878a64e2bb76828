"""Cases in a user's file: found by name, or refused with the file, the line and the reason."""

import re

import pytest

from parity.cases import case
from parity.cases.specs import Batch, Spec
from parity.core.errors import CaseError

GOOD = """\
import numpy as np
from parity.cases.case import Case, Dataset
from parity.cases.specs import Batch, Spec

examples = Batch(np.zeros((4, 2), np.float32), np.zeros(4, np.int32))
mine = Case(
    name="mine", init=None, loss=None, predict=None, data=Spec("b", 2), labels=Spec("b", dtype="int32"),
    dataset=lambda: Dataset(examples, examples), probes=("predict",),
)
"""


def written(folder, text, name="cases.py"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def assert_refused(name, message):
    with pytest.raises(CaseError, match=message) as raised:
        case.load(name)
    assert raised.value.exit_code == 2


def test_a_case_is_found_in_a_file(tmp_path):
    found = case.load(f"{written(tmp_path, GOOD)}:mine")
    assert (found.name, found.probes, found.data) == ("mine", ("predict",), Spec("b", 2))
    assert isinstance(found.dataset().test, Batch)


def test_the_folder_of_a_case_may_have_a_colon_in_its_name(tmp_path):
    folder = tmp_path / "a:b"
    folder.mkdir()
    assert case.load(f"{written(folder, GOOD)}:mine").name == "mine"


def test_no_such_file(tmp_path):
    path = tmp_path / "nowhere.py"
    assert_refused(f"{path}:mine", f"^no case file {re.escape(str(path))}. Expected path/to/file.py:name.$")
    assert_refused(f"{tmp_path}:mine", "^no case file ")


def test_not_a_python_file(tmp_path):
    path = written(tmp_path, GOOD, "cases.txt")
    assert_refused(f"{path}:mine", f"^{re.escape(str(path))} is not a Python file")


def test_a_file_that_does_not_parse_is_refused_with_its_line(tmp_path):
    path = written(tmp_path, "import os\n\nmine = Case(\n    name=,\n)\n")
    assert_refused(f"{path}:mine", f"^{re.escape(str(path))}, line 4: does not parse: invalid syntax")


def test_what_the_file_imports_is_named_if_that_does_not_parse(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    other = written(tmp_path, "\n\nx = = 1\n", "parity_broken_helper.py")
    path = written(tmp_path, "import parity_broken_helper\n")
    assert_refused(f"{path}:mine", f"^{re.escape(str(other))}, line 3: does not parse")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise ValueError('no data here')", "ValueError while it was read: no data here"),
        ("import no_such_module_anywhere", "ModuleNotFoundError while it was read: No module named"),
        ("import sys; sys.exit(0)", "SystemExit while it was read: 0"),
        (
            GOOD.replace('"b", 2', '"n", 2'),
            r"InputError while it was read: Spec\('n', 2\) does not start with the batch",
        ),
    ],
    ids=["raises", "imports", "exits", "wrong spec"],
)
def test_a_file_that_raises_is_refused_with_the_reason(tmp_path, text, reason):
    path = written(tmp_path, text)
    assert_refused(f"{path}:mine", f"^{re.escape(str(path))} raised {reason}")


def test_a_name_that_is_not_in_the_file(tmp_path):
    path = written(tmp_path, GOOD + "yours = mine\n")
    assert_refused(f"{path}:theirs", "cases.py: 'theirs' is not in it; it has mine, yours.$")
    assert_refused(f"{path}:", "cases.py: '' is not in it; it has mine, yours.$")


def test_a_name_that_is_not_a_case(tmp_path):
    path = written(tmp_path, GOOD)
    assert_refused(f"{path}:examples", "cases.py: 'examples' is not a Case; it has mine.$")


def test_a_file_without_a_case(tmp_path):
    path = written(tmp_path, "x = 1\n")
    assert_refused(f"{path}:mine", "'mine' is not in it; it has no case at all; assign a parity.cases.case.Case.$")


@pytest.mark.parametrize("name", ["no_such_case", "", "cases.py", "__init__"])
def test_an_unknown_built_in_is_refused_with_those_there_are(name):
    listed = ", ".join(case.available())
    assert "reference" in listed
    assert_refused(name, f"^no case '{re.escape(name)}'. Expected one of {listed}, or path/to/file.py:name")


def made(**changes):
    known = {"name": "mine", "init": None, "loss": None, "predict": None, "dataset": None, "probes": ("predict",)}
    return case.Case(**{**known, "data": Spec("b", 2), "labels": Spec("b"), **changes})


def test_a_case_without_accuracy_leaves_the_probe_out():
    assert made().probes == ("predict",)
    message = r"'mine' has the probe 'accuracy' and no function for it\. Give accuracy=.*, or leave the probe out"
    with pytest.raises(CaseError, match=message):
        made(probes=("predict", "accuracy"))
    assert made(probes=case.PROBES, accuracy=len).probes == case.PROBES


@pytest.mark.parametrize("probes", [("predict", "guess"), (), "predict"])
def test_unknown_probes_are_refused_with_those_there_are(probes):
    with pytest.raises(CaseError, match=r"'mine': unknown probes .*; expected some of predict, accuracy, eval_loss, "):
        made(probes=probes)


@pytest.mark.parametrize("name", ["", "my case", "my-case", "2nd", "a/b", "a[b]", "mine\n"])
def test_a_name_is_of_letters_digits_and_underscores(name):
    with pytest.raises(
        CaseError, match=re.escape(f"case {name!r}: expected a name of letters, digits and underscores")
    ):
        made(name=name)
