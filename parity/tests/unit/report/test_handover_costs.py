"""What a reader is told of the cost of a hand-over."""

import pytest

from parity.records import HandoverCost
from parity.report.handover import costs
from parity.tests.support import samples

RISES = "the loss rises 12.5% above that of JAX alone, 2 steps after, and its mean over an epoch stays above"
KNOWN = {"step": 10, "steps": 35, "height": 0.125, "after": 2, "recovered_after": 9, "end": 1.1, "batch_size": 16}


@pytest.mark.parametrize(
    ("changes", "cost"),
    [
        ({}, f"{RISES} for at most 9 steps; ends with a loss of 1.10 times JAX's"),
        ({"recovered_after": None}, f"{RISES} to the end; ends with a loss of 1.10 times JAX's"),
        (
            {"height": 0.0, "after": 0, "recovered_after": 0, "end": 0.9},
            "the loss is never above that of JAX alone in 35 steps; ends with a loss of 0.90 times JAX's",
        ),
        (
            {"within": True, "height": 0.0},
            "no cost; within budget at each of 35 steps, and 1 % in a weight would not be seen in any tensor",
        ),
        (
            {"within": True, "height": 0.0, "power_until": 30},
            "no cost; within budget at each of 35 steps, and 1 % in some weight tensor would be seen up to step 30",
        ),
        (
            {"within": True, "kink": 13, "steps": 2, "power_until": 12},
            "within budget at each of 2 steps, and 1 % in some weight tensor would be seen at each; from step 13 on, "
            "where there is a kink, nothing is scored",
        ),
    ],
)
def test_a_cost_is_said_in_a_sentence(changes, cost):
    [found] = costs(samples.run(handover_costs=[HandoverCost("tiny", "restarted", **{**KNOWN, **changes})]))
    assert found == f"tiny, restarted after 10 steps in batches of 16: {cost}"
