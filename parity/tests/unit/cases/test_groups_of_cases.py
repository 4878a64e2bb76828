"""A group of cases, such as the zoo: what it lists, and what is left out of it by name."""

import pytest

from parity.cases import loading
from parity.core.errors import CaseError

ARCHITECTURES = {
    "audio", "bert", "clip", "diffusion", "experts", "gpt", "graph", "lstm", "recommender", "resnet",
    "resnet_groupnorm", "unet", "vit",
}  # fmt: skip
ZOO = sorted(f"zoo/{name}" for name in ARCHITECTURES)


@pytest.fixture
def loaded(monkeypatch):
    """Load nothing: a case is its name, and one of a library that is in `missing` is refused."""
    missing = {}

    def load(name):
        loading.require_one(name)
        if name in missing:
            raise loading.MissingLibraryError(name, missing[name])
        return name

    monkeypatch.setattr(loading, "load", load)
    return missing


def test_the_zoo_is_listed_as_a_group_and_case_by_case():
    listed = loading.available()
    assert [name for name in listed if name.startswith("zoo")] == ["zoo", *ZOO]
    assert "ratings" in listed


def test_a_file_of_the_zoo_is_short_and_says_first_whom_it_stands_for():
    for path in (loading.SHIPPED / "zoo").glob("[!_]*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) < 120, path.name
        assert lines[0].startswith('"""For users of '), path.name
        assert lines[0].endswith('."""'), path.name


def test_a_group_is_all_its_cases_each_once(loaded):
    assert loading.load_all(["zoo"]) == ({name: name for name in ZOO}, {})
    found, left_out = loading.load_all(["ratings", "zoo/gpt", "zoo"])
    assert (list(found)[:2], sorted(found), left_out) == (["ratings", "zoo/gpt"], sorted([*ZOO, "ratings"]), {})


def test_what_a_missing_library_leaves_out_of_a_group_is_named_with_the_extra(loaded):
    loaded |= {"zoo/bert": "haiku", "zoo/lstm": "equinox"}
    found, left_out = loading.load_all(["zoo"])
    assert sorted(found) == sorted(set(ZOO) - set(loaded))
    assert left_out.keys() == loaded.keys()
    for name, library in loaded.items():
        assert left_out[name].startswith(f"{name} left out: ")
        assert f"parity[{loading.EXTRAS[library]}]" in left_out[name]


def test_a_case_that_is_named_is_not_left_out(loaded):
    loaded["zoo/bert"] = "haiku"
    with pytest.raises(loading.MissingLibraryError, match=r"zoo/bert.*parity\[haiku\]"):
        loading.load_all(["zoo/bert"])


def test_a_group_without_a_case_is_refused(loaded):
    loaded |= dict.fromkeys(ZOO, "flax")
    with pytest.raises(CaseError, match=r"^no case of zoo .*zoo/audio.*parity\[jax\]"):
        loading.load_all(["zoo"])


def test_a_group_where_one_case_is_expected_is_refused_with_its_cases():
    with pytest.raises(CaseError, match=r"^'zoo' is a group of cases\..*zoo/audio, .*zoo/vit\.$") as caught:
        loading.load("zoo")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["zoo/", "zoo/none", "zoo.gpt", "zoo/__init__", "gpt", "/zoo"])
def test_no_such_case_of_a_group(name):
    with pytest.raises(CaseError, match=r"^no case "):
        loading.load(name)
