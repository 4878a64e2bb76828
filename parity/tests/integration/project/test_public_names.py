"""Every public name is documented. Here, because some names need a framework."""

import inspect

import pytest

import parity


@pytest.mark.parametrize("name", parity.__all__)
def test_every_public_name_is_documented(name):
    found = getattr(parity, name)
    text = found.__doc__
    assert text, name
    if inspect.isclass(found):
        assert not text.startswith(f"{name}("), f"{name} has only the docstring that dataclasses make"
