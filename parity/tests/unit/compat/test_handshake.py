"""What the handshake between writer and reader foretells."""

import types

import pytest

from parity import records
from parity.compat import handshake
from parity.compat.handshake import Reader, Writer, predict
from parity.core import failures

WRITER = Writer("1.9.0", 9)
SKEW, CONVENTION = failures.STABLEHLO_SKEW, failures.CALLING_CONVENTION


@pytest.mark.parametrize(
    ("reader", "newer", "status", "failure", "output"),
    [
        (Reader("1.9.0", 9), [], records.PASS, "", "up to 1.9.0"),
        (Reader("1.10.0", 10), [], records.PASS, "", "up to 1.10.0"),
        (Reader("1.8.9", 9), [], records.PASS, "", "no operation of the exported programs is newer"),
        (Reader("1.8.9", 9), None, None, "", "only a call decides"),
        (Reader("1.8.9", 9), ["vhlo.log_v2"], records.REMEDIED, SKEW, "vhlo.log_v2"),
        (Reader("0.20.0", 9), ["vhlo.log_v2"], records.REMEDIED, SKEW, "StableHLO 1.9.0, TensorFlow reads up to 0.20"),
        (Reader("1.9.0", 8), [], records.ERROR, CONVENTION, "convention 9, accepted up to 8"),
        (Reader(None, 8), [], records.ERROR, CONVENTION, "convention 9, accepted up to 8"),
        (Reader(None, 9), None, None, "", "does not say"),
        (Reader("1.9.0", None), None, None, "", "does not say"),
    ],
)
def test_the_prediction(reader, newer, status, failure, output):
    found = predict(WRITER, reader, newer)
    assert (found.status, found.failure) == (status, failure)
    assert output in found.reason


def test_an_older_calling_convention_is_mended():
    found = predict(Writer("1.15.0", 10), Reader("1.9.1", 9), ["vhlo.log_v2"])
    assert (found.status, found.failure) == (records.REMEDIED, CONVENTION)
    assert found.evidence == "calling convention 10, accepted up to 9"


def test_a_writer_that_names_no_version_foretells_nothing():
    assert predict(Writer("0.0.0", 9), Reader("1.9.0", 9), []).status is None


def test_versions_are_compared_as_numbers():
    assert handshake.skewed(Writer("1.10.0", 9), Reader("1.9.12", 9))
    assert not handshake.skewed(Writer("1.9.12", 9), Reader("1.10.0", 9))


def test_a_reader_that_does_not_say_is_looked_up():
    assert Reader(None, 9).filled("2.16.2").stablehlo is not None
    assert Reader(None, 9).filled("1.15.0") == Reader(None, 9)
    assert Reader("9.9.9", 12).filled("2.16.2") == Reader("9.9.9", 12)


@pytest.mark.parametrize(("tensorflow", "failure"), [("2.18.1", SKEW), ("2.19.1", CONVENTION), ("2.21.0", SKEW)])
def test_what_a_reader_alone_fails_on_first_depends_on_its_release(tensorflow, failure):
    from parity.session.verification import _prediction

    writer = {"stablehlo": "1.15.0", "calling_convention": 10, "newer": {"1.9.1": ["vhlo.log_v2"]}}
    reader = Reader("1.9.1", 10 if tensorflow == "2.21.0" else 9)
    bundle = types.SimpleNamespace(writer=writer, readable_by="tensorflow==2.16.2")
    assert _prediction(bundle, reader, {"tensorflow": tensorflow}, remedied=False).failure == failure
    assert _prediction(bundle, reader, {"tensorflow": tensorflow}, remedied=True).status is None
