"""Families of tests: members that are always asked, and further ones that are asked by `tox run -e tests-all`."""

import pytest


def further(members, first):
    """The members as parameters, all but the `first` marked as exhaustive."""
    assert set(first) <= set(members)
    return [member if member in first else pytest.param(member, marks=pytest.mark.exhaustive) for member in members]
