"""When a probe without power fails, and when the question does not apply."""

import math

import pytest

from parity.probes import power
from parity.records import FAIL, PASS, Power
from parity.scoring.rules import POWERLESS


def powers(probe, size, *errors):
    return [Power("case", probe, size, f"w{index}", error) for index, error in enumerate(errors)]


@pytest.mark.parametrize(
    ("probe", "size", "errors", "status"),
    [
        ("predict", 13, (math.inf, POWERLESS), PASS),
        ("predict", 13, (math.inf, 2 * POWERLESS), FAIL),
        ("predict", 13, (math.inf, math.inf), FAIL),
        ("batch_stats", 13, (math.inf, math.inf), PASS),
        ("batch_stats", 13, (math.inf, 2 * POWERLESS), FAIL),
        ("accuracy", 1, (math.inf,), PASS),
        ("accuracy", 13, (math.inf,), FAIL),
    ],
)
def test_a_probe_that_would_catch_no_weight_fails_where_it_could(probe, size, errors, status):
    assert power.result(probe, powers(probe, size, *errors)).status == status


def test_coarser_dtypes_have_less_power():
    found = powers("predict", 13, 0.2)
    assert power.result("predict", found).status == FAIL
    assert power.result("predict", found, frozenset({"bfloat16", "float32"})).status == PASS
    assert power.result("predict", found, frozenset({"float16", "float32"})).status == FAIL
