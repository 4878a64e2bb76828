"""Exported programs in a record: what is counted, and what a hash depends on."""

import jax
import pytest

from parity.cases.loading import load
from parity.compat import remedies, writer
from parity.compat.handshake import Reader
from parity.export.programs import CasePrograms
from parity.tests.support import tiny

pytestmark = pytest.mark.usefixtures("frameworks")


def scaled(state, data):
    return 2 * tiny.predict(state, data)


def found(**changes):
    return {program.function: program for program in CasePrograms(tiny.case(**changes)).records()}


def elsewhere(depth, **changes):
    """The same, from other lines of the source."""
    return elsewhere(depth - 1, **changes) if depth else found(**changes)


def test_a_case_exports_its_predictions_its_loss_and_its_gradient():
    exported = found()
    assert list(exported) == ["predict", "loss", "gradient"]
    assert {program.case for program in exported.values()} == {"tiny"}
    assert len({program.sha256 for program in exported.values()}) == 3
    operations = {name: program.operations for name, program in exported.items()}
    assert operations["predict"]["vhlo.dot_general_v2"] == 2
    assert operations["gradient"]["vhlo.dot_general_v2"] > operations["loss"]["vhlo.dot_general_v2"]
    assert not [name for name in operations["gradient"] if name.startswith("stablehlo.")]


def test_a_hash_depends_on_the_program_and_not_on_where_it_was_written():
    assert found() == elsewhere(3)
    other = found(predict=scaled)
    assert other["predict"].sha256 != found()["predict"].sha256
    assert other["loss"] == found()["loss"]


def test_what_the_writer_writes_for_an_older_reader_is_counted_by_the_versions_of_that():
    def logs(state, data):
        return jax.numpy.log(tiny.predict(state, data) ** 2 + 1)

    newer = found(predict=logs)["predict"].operations
    with remedies.readable_by("tensorflow==2.17.1"):
        older = found(predict=logs)["predict"].operations
    assert newer["vhlo.log_v2"] == older["vhlo.log_v1"]
    assert "vhlo.log_v2" not in older


def test_a_case_that_cannot_be_exported_has_no_programs():
    def refuses(state, data):
        raise ValueError("not traceable")

    assert found(predict=refuses) == {}


def test_the_operations_of_a_program_are_compared_with_an_older_version():
    wrote, case = writer.describe(), load("ratings")
    assert CasePrograms(case).newer_operations(wrote, Reader(wrote.stablehlo, 9)) == []
    assert CasePrograms(case).newer_operations(wrote, Reader(None, 9)) == []
    assert "vhlo.dot_general_v2" in CasePrograms(case).newer_operations(wrote, Reader("1.1.1", 9))
    assert CasePrograms(tiny.case(predict=len)).newer_operations(wrote, Reader("1.1.1", 9)) is None
