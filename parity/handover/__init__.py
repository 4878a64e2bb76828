"""Training that moves from JAX to TensorFlow: how it is handed over, and whether it goes on as if it had not been.

One training step's answer is a ladder of named arrays. Its rungs stand in the order in which a step computes them, so
the first that is off says what went wrong.
"""

RESTARTED, CARRIED, EXPORTED = "restarted", "carried", "exported"
HANDOVERS = {
    RESTARTED: "a new Keras optimizer, its count of steps restored, as the published workflow does it",
    CARRIED: "a Keras optimizer with Optax's moments in its slots",
    EXPORTED: "the Optax update itself, exported as train_step beside its state",
}

STEP, KEY, LEARNING_RATE, LOSS = "step", "key", "learning_rate", "loss"
GRADIENT, BATCH_STATS, MOMENTS, PARAMETERS = "gradient", "batch_stats", "moments", "parameters"
RUNGS = (STEP, KEY, LEARNING_RATE, LOSS, GRADIENT, BATCH_STATS, MOMENTS, PARAMETERS)
"""`step` counts the steps taken, int32; `key` is what is left of it; `batch_stats` is all of the other state, `moments`
all of the optimizer's. A leaf of a rung is named after it, such as `gradient/Conv_0/kernel`."""

STATE = (STEP, KEY, BATCH_STATS, MOMENTS, PARAMETERS)
"""The rungs that training carries from one step to the next."""


def rung(leaf: str) -> str:
    """The rung that a leaf belongs to."""
    return leaf.partition("/")[0]
