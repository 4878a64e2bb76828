"""Cases in a user's file: found by name, or refused with the file, the line and the reason."""

import os
import re

import pytest

from parity.cases import loading
from parity.cases.case import PROBES, Case, Limit, Training
from parity.cases.specs import Batch, Spec
from parity.core.errors import CaseError
from parity.tests.support import samples
from parity.tests.support.paths import ROOT

GOOD = """\
import numpy as np
from parity.cases.case import Case, Dataset
from parity.cases.specs import Batch, Spec

examples = Batch(np.zeros((4, 2), np.float32), np.zeros(4, np.int32))
mine = Case(
    name="mine", init=None, loss=print, predict=None, data=Spec("b", 2), labels=Spec("b", dtype="int32"),
    dataset=lambda: Dataset(examples, examples), probes=("predict",),
)
"""


def written(folder, text, name="cases.py"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def assert_refused(name, message):
    with pytest.raises(CaseError, match=message) as raised:
        loading.load(name)
    assert raised.value.exit_code == 2


def test_relative_weights_are_those_beside_the_file_of_the_case(tmp_path):
    path = written(tmp_path, GOOD.replace('name="mine"', 'name="mine", weights="w.npz"'))
    assert loading.load(f"{path}:mine").weights == "w.npz"  # named as it was given where it is absent
    (tmp_path / "w.npz").touch()
    assert loading.load(f"{path}:mine").weights == tmp_path / "w.npz"


def test_a_case_is_found_in_a_file(tmp_path):
    found = loading.load(f"{written(tmp_path, GOOD)}:mine")
    assert (found.name, found.probes, found.data) == ("mine", ("predict",), Spec("b", 2))
    assert isinstance(found.dataset().test, Batch)


def test_the_folder_of_a_case_may_have_a_colon_in_its_name(tmp_path):
    folder = tmp_path / "a:b"
    folder.mkdir()
    assert loading.load(f"{written(folder, GOOD)}:mine").name == "mine"


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
            r"InputError while it was read: Spec\('n', 2\) has the dimension 'n'",
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
    assert_refused(f"{path}:mine", "'mine' is not in it; it has no case at all; assign a parity.Case.$")


@pytest.mark.parametrize("name", ["no_such_case", "", "cases.py", "__init__"])
def test_an_unknown_built_in_is_refused_with_those_there_are(name):
    listed = ", ".join(loading.available())
    assert "reference" in listed
    assert_refused(name, f"^no case '{re.escape(name)}'. Expected one of {listed}, or path/to/file.py:name")


def made(**changes):
    known = {"name": "mine", "init": None, "loss": print, "predict": None, "dataset": None, "probes": ("predict",)}
    return Case(**{**known, "data": Spec("b", 2), "labels": Spec("b"), **changes})


def test_a_case_without_accuracy_leaves_the_probe_out():
    assert made().probes == ("predict",)
    message = r"'mine' has the probe 'accuracy' and no function for it\. Give accuracy=.*, or leave the probe out"
    with pytest.raises(CaseError, match=message):
        made(probes=("predict", "accuracy"))
    assert made(probes=PROBES, accuracy=len).probes == PROBES


@pytest.mark.parametrize("probes", [("predict", "guess"), (), "predict"])
def test_unknown_probes_are_refused_with_those_there_are(probes):
    with pytest.raises(CaseError, match=r"'mine': unknown probes .*; expected some of predict, accuracy, eval_loss, "):
        made(probes=probes)


def test_leaves_are_frozen_by_patterns_or_by_a_function():
    assert not made().is_frozen("encoder/kernel")
    by_pattern = made(frozen=("encoder/*", "scale"))
    by_function = made(frozen=lambda leaf: leaf.startswith("encoder/") or leaf == "scale")
    for case in (by_pattern, by_function):
        found = [case.is_frozen(leaf) for leaf in ("encoder/layer/kernel", "scale", "scales", "decoder/encoder/bias")]
        assert found == [True, True, False, False]


@pytest.mark.parametrize("frozen", ["scale", (1,), None, {"scale"}])
def test_frozen_leaves_that_are_no_names_are_refused(frozen):
    with pytest.raises(CaseError, match="'mine': frozen="):
        made(frozen=frozen)


@pytest.mark.parametrize(
    ("library", "name", "adapter"),
    [
        ("flax.linen.module", "Module", "from_linen"),
        ("flax.nnx.module", "Module", "from_nnx"),
        ("equinox._module._module", "Module", "from_equinox"),
        ("haiku._src.transform", "Transformed", "from_haiku"),
    ],
)
def test_a_model_in_the_place_of_a_function_names_its_adapter(library, name, adapter):
    """A class as the library has it: none is imported."""
    net = type("Net", (type(name, (), {"__module__": library}),), {"__module__": "mine"})
    for model in (net, net()):
        for field in ("init", "loss", "predict"):
            with pytest.raises(CaseError, match=rf"'mine': {field} is .*parity\.{adapter} "):
                made(**{field: model})
    assert made(init=type("Module", (), {"__module__": "flaxen.linen"})()).name == "mine"


@pytest.mark.parametrize("name", ["", "my case", "my-case", "2nd", "a/b", "a[b]", "mine\n"])
def test_a_name_is_of_letters_digits_and_underscores(name):
    with pytest.raises(
        CaseError, match=re.escape(f"case {name!r}: expected a name of letters, digits and underscores")
    ):
        made(name=name)


def test_inputs_may_be_nested_and_labels_absent():
    nested = {"observation": {"position": Spec("b", 2), "size": [Spec("b"), (Spec(), None)]}}
    assert made(data=nested, labels=None).data == nested


@pytest.mark.parametrize("wrong", [12, "b", {"x": 4}, [Spec("b"), (2, 3)], {"x": {"y": float}}])
def test_an_input_that_is_no_spec_is_refused(wrong):
    with pytest.raises(CaseError, match=r"'mine': data has .*, expected a Spec, or a pytree of them"):
        made(data=wrong)


def test_a_case_without_the_batch_is_refused_when_it_is_loaded(tmp_path):
    path = written(tmp_path, GOOD.replace('"b", 2', '"t", 2'))
    assert_refused(f"{path}:mine", r"data float32\[t, 2\] does not carry the batch size")


def test_a_case_without_a_loss_is_served_only():
    with pytest.raises(CaseError, match=r"'mine' has no loss. Give loss=..., or have it served only: .*epochs=0"):
        made(loss=None)
    served = made(loss=None, training=Training(epochs=0))
    assert (served.served_only, made().served_only) == (True, False)
    with pytest.raises(CaseError, match="has no loss"):
        made(loss=None, training=Training(epochs=0), probes=("predict", "eval_loss"))


@pytest.mark.parametrize("constraints", ["t >= 8", ("t > 8",)])
def test_a_constraint_that_is_none_is_refused(constraints):
    with pytest.raises(CaseError, match="constraint"):
        made(constraints=constraints)


NEIGHBOUR = """\
def width():
    from parity_beside_later import WIDTH
    return WIDTH
"""


def test_a_file_imports_the_files_beside_it_at_once_and_later(tmp_path):
    """In a process of its own, because the folder stays on the path."""
    folder = tmp_path / "project"
    folder.mkdir()
    written(folder, NEIGHBOUR, "parity_beside.py")
    written(folder, "WIDTH = 2\n", "parity_beside_later.py")
    written(folder, "raise ImportError('in place of the standard library')\n", "colorsys.py")
    written(folder, f"import parity_beside\nimport colorsys\n{GOOD}\nlater = parity_beside.width\n")
    code = (
        "import sys; from parity.cases import loading; before = list(sys.path); "
        "print(loading.load('project/cases.py:mine').name); "
        "print(sys.modules['parity_case_cases'].later(), sys.path[:-1] == before)"
    )
    done = samples.python("-c", code, cwd=tmp_path)
    assert done.stdout.split() == ["mine", "2", "True"], done.stderr


def distribution(folder, entries):
    """A distribution as an installer leaves it, with a case and the entry points that name it."""
    info = folder / "field_cases-1.0.dist-info"
    info.mkdir(parents=True)
    written(info, "Metadata-Version: 2.1\nName: field-cases\nVersion: 1.0\n", "METADATA")
    listed = "".join(f"{name} = {value}\n" for name, value in entries.items())
    written(info, f"[parity.cases]\n{listed}", "entry_points.txt")
    written(folder, GOOD + "case = mine\nother = 3\n", "field_cases.py")
    written(folder, "raise ValueError('no data here')\n", "field_broken.py")


def installed(folder, *names):
    """What `load` finds under `names` where the distribution in `folder` is installed."""
    code = (
        "import sys; from parity.cases import loading; from parity.core.errors import CaseError\n"
        "print(*loading.available())\n"
        "for name in sys.argv[1:]:\n"
        "    try: print(loading.load(name).name)\n"
        "    except CaseError as error: print(f'refused: {error}')\n"
    )
    done = samples.python("-c", code, *names, env={"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"})
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_distribution_brings_a_case(tmp_path):
    distribution(tmp_path, {"by_object": "field_cases:mine", "by_module": "field_cases"})
    listed, *found = installed(tmp_path, "by_object", "by_module", "reference_nowhere")
    assert {"by_object", "by_module", "reference"} < set(listed.split())
    assert found[:2] == ["mine", "mine"]
    assert "by_module, by_object" in found[2]


def test_an_entry_point_that_gives_no_case_is_refused_by_name(tmp_path):
    entries = {"number": "field_cases:other", "absent": "field_cases:absent", "broken": "field_broken"}
    distribution(tmp_path, {**entries, "ratings": "field_cases:mine"})
    _, *found = installed(tmp_path, *entries, "ratings")
    for line, (name, value) in zip(found, entries.items(), strict=False):
        assert line.startswith(f"refused: the entry point {name} = {value!r} ")
    assert found[3].startswith("refused: several cases are named 'ratings'")


@pytest.mark.parametrize("score", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_is_a_finite_number_above_zero(score):
    with pytest.raises(CaseError, match="score"):
        Limit(score, "why")


def test_a_limit_that_is_a_number_alone_is_refused():
    with pytest.raises(CaseError, match="Limit"):
        made(limit=500.0)


def test_a_limit_has_a_reason():
    with pytest.raises(CaseError, match="reason"):
        Limit(500.0, " ")
