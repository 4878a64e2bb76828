"""Counts with their nouns, and messages that quote messages."""

import pytest

from parity.core.errors import CaseError, ParityError
from parity.core.text import plural


@pytest.mark.parametrize(("n", "text"), [(0, "0 checks"), (1, "1 check"), (2, "2 checks"), (2190, "2,190 checks")])
def test_a_count_agrees_with_its_noun(n, text):
    assert plural(n, "check") == text


@pytest.mark.parametrize("error", [ParityError, CaseError])
@pytest.mark.parametrize(
    ("quoted", "shown"),
    [
        ("{}.", "it ended."),
        ("{}. Do this.", "it ended. Do this."),
        ("cd .. and {}", "cd .. and it ended."),
        ("cd ../.. and so on...", "cd ../.. and so on..."),
    ],
)
def test_a_message_that_quotes_a_sentence_has_one_full_stop(error, quoted, shown):
    assert str(error(quoted.format("it ended."))) == shown
