"""Bisection: the boundary is found in few questions, and what was skipped beside it is not passed over."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.upgrade.bisection import BAD, GOOD, SKIP, bisect, questions


def asked_of(answers):
    """An oracle over releases named by their place, which fails if it is asked twice."""
    asked = []

    def ask(release):
        assert release not in asked, f"{release} was asked twice"
        asked.append(release)
        return answers[int(release)]

    return ask, asked


@st.composite
def histories(draw):
    """Answers from good to bad, some of them skipped."""
    good, bad = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    answers = [GOOD] * good + [BAD] * bad
    for place in draw(st.sets(st.integers(1, max(1, good + bad - 2)))):
        if 0 < place < good + bad - 1:
            answers[place] = SKIP
    return answers


@given(histories())
def test_it_finds_the_boundary_in_few_questions_and_says_what_it_stepped_around(answers):
    releases = [str(i) for i in range(len(answers))]
    ask, asked = asked_of(answers)
    found = bisect(releases, ask)
    good, bad = int(found.last_good), int(found.first_bad)
    assert (answers[good], answers[bad]) == (GOOD, BAD)
    assert good == max(i for i, answer in enumerate(answers) if answer == GOOD)
    assert bad == min(i for i, answer in enumerate(answers) if answer == BAD)
    assert found.unknown == tuple(releases[good + 1 : bad])
    assert all(answers[int(release)] == SKIP for release in found.unknown)
    skipped = sum(answers[int(release)] == SKIP for release in asked)
    assert len(asked) - skipped <= math.ceil(math.log2(len(releases) - 1)) == questions(releases)
    assert found.asked == tuple(asked)


@given(st.lists(st.sampled_from([GOOD, BAD, SKIP]), max_size=30))
def test_where_good_and_bad_alternate_it_still_ends_at_a_place_where_good_turns_into_bad(inner):
    answers = [GOOD, *inner, BAD]
    ask, _ = asked_of(answers)
    found = bisect([str(i) for i in range(len(answers))], ask)
    between = answers[int(found.last_good) : int(found.first_bad) + 1]
    assert (between[0], between[-1]) == (GOOD, BAD)
    assert set(between[1:-1]) <= {SKIP}


def test_two_releases_need_no_question():
    found = bisect(["good", "bad"], lambda release: pytest.fail("asked"))
    assert (found.last_good, found.first_bad, found.unknown, found.asked) == ("good", "bad", (), ())
    assert questions(["good", "bad"]) == 0


def test_every_question_is_told_with_how_many_remain():
    told = []
    answers = {"1": GOOD, "2": BAD, "3": BAD}
    bisect(["0", "1", "2", "3", "4"], answers.__getitem__, lambda release, left: told.append((release, left)))
    assert told == [("2", 1), ("1", 0)]
