"""Training that moves from JAX to TensorFlow: how it is handed over, and whether it goes on as if it had not been."""

RESTARTED, CARRIED, EXPORTED = "restarted", "carried", "exported"
HANDOVERS = {
    RESTARTED: "a new Keras optimizer, its count of steps restored, as the published workflow does it",
    CARRIED: "a Keras optimizer with Optax's moments in its slots",
    EXPORTED: "the Optax update itself, exported as train_step beside its state",
}
