"""What `parity init` finds in a repository: the library of its models, its classes, its cases."""

import pytest

from parity.init.finding import EQUINOX, FUNCTIONS, HAIKU, LINEN, NNX, Found, look
from parity.matrix.project import Project, Required


@pytest.fixture
def find(tmp_path):
    def find(*requirements, **texts):
        for name, text in texts.items():
            path = tmp_path / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return look(tmp_path, Project(requirements=tuple(Required(text, "") for text in requirements)))

    return find


@pytest.mark.parametrize(
    ("text", "library", "models"),
    [
        ("import flax.linen as nn\nclass A(nn.Module): ...", LINEN, ("A in model.py",)),
        ("from flax import linen\nclass A(linen.Module): ...", LINEN, ("A in model.py",)),
        ("from flax.linen import Module\nclass A(Module): ...", FUNCTIONS, ()),
        ("from flax import nnx\nclass A(nnx.Module): ...\nclass B: ...", NNX, ("A in model.py",)),
        ("import equinox as eqx\nclass A(eqx.Module): ...", EQUINOX, ("A in model.py",)),
        ("import haiku as hk\ndef model(x): ...", HAIKU, ()),
        ("import jax\nimport torch.nn as nn\nclass A(nn.Module): ...", FUNCTIONS, ()),
        ("def broken(:", FUNCTIONS, ()),
    ],
)
def test_the_library_is_the_one_that_the_code_imports(find, text, library, models):
    assert find(model=text) == Found(library, (), models)


@pytest.mark.parametrize(
    ("packages", "library"),
    [(["flax>=0.8"], LINEN), (["equinox"], EQUINOX), (["dm-haiku"], HAIKU), (["pandas"], FUNCTIONS), ([], FUNCTIONS)],
)
def test_without_code_it_is_the_one_that_is_required(find, packages, library):
    assert find(*packages).library == library


def test_the_library_of_most_files_wins_over_what_is_required(find):
    nnx, linen = "from flax import nnx", "import flax.linen"
    assert find("equinox", a=nnx, b=nnx, c=linen).library == NNX


def test_environments_and_hidden_folders_are_not_searched(find, tmp_path):
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    assert find(venv__lib="import haiku", **{".tox__a": "import haiku"}).library == FUNCTIONS


def test_cases_are_found_where_they_are_assigned(find):
    parity = "from parity import from_linen\nimport parity\n"
    text = f"{parity}case = from_linen('a')\nmine = parity.Case()\nother = print()\ndef f():\n    x = parity.Case()\n"
    assert find(src__model=text, other="def Case(): ...\ncase = Case()").cases == (
        "src/model.py:case", "src/model.py:mine",
    )  # fmt: skip
