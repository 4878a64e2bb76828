"""Bisection: the boundary is found in few tests, and skipped releases beside it are reported."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.upgrade.bisection import BAD, GOOD, SKIP, bisect, most_tests


def counted(answers):
    """Return a test of releases named by their place, which fails if it is called twice, and the list of its calls."""
    tested = []

    def test(release):
        assert release not in tested, f"{release} was tested twice"
        tested.append(release)
        return answers[int(release)]

    return test, tested


@st.composite
def histories(draw):
    """Draw answers from good to bad, some of them skipped."""
    good, bad = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    answers = [GOOD] * good + [BAD] * bad
    for place in draw(st.sets(st.integers(1, max(1, good + bad - 2)))):
        if 0 < place < good + bad - 1:
            answers[place] = SKIP
    return answers


@given(histories())
def test_it_finds_the_boundary_in_few_tests_and_reports_skipped_releases(answers):
    releases = [str(i) for i in range(len(answers))]
    test, tested = counted(answers)
    found = bisect(releases, test)
    good, bad = int(found.last_good), int(found.first_bad)
    assert (answers[good], answers[bad]) == (GOOD, BAD)
    assert good == max(i for i, answer in enumerate(answers) if answer == GOOD)
    assert bad == min(i for i, answer in enumerate(answers) if answer == BAD)
    assert found.unknown == tuple(releases[good + 1 : bad])
    assert all(answers[int(release)] == SKIP for release in found.unknown)
    skipped = sum(answers[int(release)] == SKIP for release in tested)
    assert len(tested) - skipped <= math.ceil(math.log2(len(releases) - 1)) == most_tests(releases)


@given(st.lists(st.sampled_from([GOOD, BAD, SKIP]), max_size=30))
def test_where_good_and_bad_alternate_it_still_ends_at_a_place_where_good_turns_into_bad(inner):
    answers = [GOOD, *inner, BAD]
    test, _ = counted(answers)
    found = bisect([str(i) for i in range(len(answers))], test)
    between = answers[int(found.last_good) : int(found.first_bad) + 1]
    assert (between[0], between[-1]) == (GOOD, BAD)
    assert set(between[1:-1]) <= {SKIP}


def test_two_releases_need_no_test():
    found = bisect(["good", "bad"], lambda release: pytest.fail("tested"))
    assert (found.last_good, found.first_bad, found.unknown) == ("good", "bad", ())
    assert most_tests(["good", "bad"]) == 0


def test_progress_has_every_tested_release_and_how_many_are_left():
    calls = []
    answers = {"1": GOOD, "2": BAD, "3": BAD}
    bisect(["0", "1", "2", "3", "4"], answers.__getitem__, lambda release, left: calls.append((release, left)))
    assert calls == [("2", 1), ("1", 0)]
