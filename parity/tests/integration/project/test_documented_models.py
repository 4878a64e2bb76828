"""The examples of the chapter about a user's own model are cases, one of each library."""

import sys

import pytest

from parity.cases import checking, training
from parity.cases.loading import load
from parity.tests.support.documents import CHAPTERS, Document

ADAPTERS = ("from_linen", "from_nnx", "from_equinox", "from_haiku")
MOST_LINES = 16


def blocks():
    """The file of examples, and the file of each adapter."""
    found = [block.text for block in Document(CHAPTERS["your-model"]).blocks("python")]
    (data,) = (text for text in found if "def dataset():\n    x =" in text)
    return data, {name: text for name in ADAPTERS for text in found if f"import Spec, {name}" in text}


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_example_of_an_adapter_is_a_case_in_a_few_lines(adapter, tmp_path, monkeypatch):
    data, by_adapter = blocks()
    (tmp_path / "examples.py").write_text(data, encoding="utf-8")
    (tmp_path / f"{adapter}_example.py").write_text(by_adapter[adapter], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "examples", raising=False)
    case = load(f"{tmp_path / adapter}_example.py:case")
    checking.check(case, training.begin(case), case.dataset())
    assert len([line for line in by_adapter[adapter].splitlines() if line.strip()]) <= MOST_LINES
