"""Training that starts in JAX and goes on in TensorFlow: hand it over, train on, and compare every step with JAX.

In: a subject (`parity.runtimes.subject`), trained and exported. Out: results by leaf and events for the record.

- `files`, `exported`: write a hand-over and read it back; `continuing`, `checkpoints`: train on from it and resume.
- `counterparts`, `updates`, `slots`: Keras optimizers that update as Optax's do, with Optax's state in their slots.
- `reference`: what JAX computes at each step, with its float64 oracle and budgets; `trajectory`: compare with that.
- `setup`, `trajectories`, `long_handover`, `resumption`: what a run checks; `events`, `cost`: what it records.
- `fused`, `trunk`, `keras_head`, `fusion`: a trunk from JAX under a Keras head.
- `finetuning`: the published workflow, which restarts the optimizer.

Everything that a step computes and leaves behind is one answer. A leaf is named after its stage, such as
`gradient/Conv_0/kernel`; the stages stand in the order in which a step computes them, so the first one that is off
points to the cause.
"""

RESTARTED, CARRIED, EXPORTED = "restarted", "carried", "exported"
HANDOVERS = {
    RESTARTED: "a new Keras optimizer, its count of steps restored, as the published workflow does it",
    CARRIED: "a Keras optimizer with Optax's moments in its slots",
    EXPORTED: "the Optax update itself, exported as train_step beside its state",
}
"""Hand-over methods. Their names and the stages' are part of the records and of checkpoints."""

STEP, KEY, LEARNING_RATE, LOSS = "step", "key", "learning_rate", "loss"
GRADIENT, BATCH_STATS, MOMENTS, PARAMETERS = "gradient", "batch_stats", "moments", "parameters"
STAGES = (STEP, KEY, LEARNING_RATE, LOSS, GRADIENT, BATCH_STATS, MOMENTS, PARAMETERS)
"""Of a training step, in order. `step`: [] int32, the steps taken; `key`: [2] uint32, after the step; `batch_stats`:
all other model state; `moments`: all optimizer state."""

STATE = (STEP, KEY, BATCH_STATS, MOMENTS, PARAMETERS)
"""The stages that a step hands to the next."""


def stage(leaf: str) -> str:
    """Return the stage that a leaf belongs to."""
    return leaf.partition("/")[0]
