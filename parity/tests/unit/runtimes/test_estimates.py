"""What a case will need is estimated before it is needed."""

import pytest

from parity.runtimes import estimates
from parity.runtimes.base import CASE, ORACLE, REFERENCE, Capabilities

JAX = Capabilities(role=REFERENCE, source=CASE, requires=("jax",))
EXACT = Capabilities(role=ORACLE, source=CASE, requires=("jax",))
TENSORFLOW = Capabilities(requires=("tensorflow",))
APART = Capabilities(requires=("tensorflow",), own_process=True)
ALL = [JAX, EXACT, TENSORFLOW, TENSORFLOW, APART]


def test_fewer_runtimes_and_batch_sizes_need_less():
    needed = estimates.needed_bytes(1000, ALL, 3)
    assert needed > estimates.needed_bytes(1000, ALL, 1)
    assert needed > estimates.needed_bytes(1000, [JAX, EXACT, TENSORFLOW, APART], 3)
    assert needed > estimates.needed_bytes(1000, [JAX, TENSORFLOW], 3)
    assert needed == estimates.needed_bytes(1000, [JAX, EXACT, TENSORFLOW, TENSORFLOW], 3)  # a child is not counted


def test_what_is_needed_is_a_fixed_multiple_of_the_parameters():
    assert estimates.needed_bytes(10**9, ALL, 1) == 10**6 * estimates.needed_bytes(1000, ALL, 1)


def test_the_limit_of_a_control_group_counts(tmp_path, monkeypatch):
    limit, used = tmp_path / "max", tmp_path / "current"
    limit.write_text("1000\n")
    used.write_text("400\n")
    monkeypatch.setattr(estimates, "_GROUPS", (limit,))
    monkeypatch.setattr(estimates, "_USED", (used,))
    assert estimates.available_bytes() == 600
    (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 150\nactive_file 50\nfile 200\n")
    assert estimates.available_bytes() == 800
    limit.write_text("max\n")
    assert estimates.available_bytes() != 600
    limit.unlink()
    assert estimates.available_bytes() == estimates._of_machine()


@pytest.mark.parametrize(("seconds", "said"), [(59.0, False), (61.0, True)])
def test_a_first_evaluation_over_a_minute_is_said(seconds, said):
    assert (estimates.slow("mine", seconds, members=8, runtimes=5, sizes=1) is not None) is said
