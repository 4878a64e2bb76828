"""What JAX writes, and which of its operations an older version lacks."""

from parity.cases.loading import load
from parity.compat import writer
from parity.compat.handshake import Reader


def test_the_operations_of_a_program_are_compared_with_an_older_version():
    wrote, case = writer.describe(), load("ratings")
    assert writer.newer_operations(case, wrote.stablehlo) == []
    assert "vhlo.dot_general_v2" in writer.newer_operations(case, "1.1.1")
    assert writer.newer_for(case, wrote, Reader(wrote.stablehlo, 9)) == []
