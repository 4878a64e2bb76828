"""The gradient of the training loss with respect to every parameter, of two calls in a row."""

from parity.probes.declaration import Probe, every_runtime

PROBE = Probe(
    name="train_gradient",
    plan=every_runtime,
    evaluation="train",
    further_devices=True,
)
