"""One cause is one block, with the items that failed of it."""

import pytest

from parity.compat import causes
from parity.core.errors import CaseError, RuntimeFailureError
from parity.report import terminal
from parity.session.failing import Causes, message

TEXT = "Graph execution error:\n\nNo FFI handler registered for lapack_sgetrf_ffi on a platform Host"


def failed(what):
    return causes.failed(what, ValueError(TEXT))


def added(*errors, verbose=False):
    found = Causes()
    shown = [found.add(error, f"test_{nth}[a]", f"repeat {nth}", verbose)[1] for nth, error in enumerate(errors)]
    return list(found), shown


def test_items_of_one_cause_are_one_wherever_it_was_met():
    found, shown = added(failed("TensorFlow failed on cpu:0"), failed("TensorFlow cannot run the artifact"))
    assert shown == [False, True]
    [cause] = found
    assert cause.items == ["test_0[a]", "test_1[a]"]
    assert cause.text.startswith("TensorFlow has no implementation")
    assert causes.NO_REMEDY in cause.text
    assert str(cause).startswith("2 checks: TensorFlow has no implementation")


def test_other_causes_stay_apart():
    other = causes.failed("TensorFlow failed on cpu:0", ValueError(TEXT.replace("sgetrf", "spotrf")))
    found, shown = added(failed("TensorFlow failed on cpu:0"), other, CaseError("case 'a' is broken"))
    assert shown == [False, False, False]
    assert [len(cause.items) for cause in found] == [1, 1, 1]
    assert found[0].text.startswith("TensorFlow failed on cpu:0: ")


def test_an_error_of_the_case_is_one_with_a_count():
    found, _ = added(*[CaseError("case 'a' is broken")] * 38)
    [line, items, repeat] = str(found[0]).splitlines()
    assert line == "38 checks: case 'a' is broken"
    assert items.count("test_") == terminal.FEW
    assert "35 more" in items
    assert repeat.endswith("repeat 0")
    assert len(str(added(*[CaseError("x")] * 38, verbose=True)[0][0]).splitlines()) == 40


def test_an_item_that_fails_twice_is_one():
    found = Causes()
    for _ in range(2):
        found.add(CaseError("broken"), "test_predict[a]", "", False)
    assert [cause.items for cause in found] == [["test_predict[a]"]]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeFailureError(f"a server: {TEXT}"), "TensorFlow has no implementation of a native call"),
        (ValueError("several\nlines"), "ValueError: several"),
        (CaseError("one line."), "one line."),
    ],
)
def test_a_message_is_one_line(error, text):
    assert text in message(error)
    assert "\n" not in message(error)
