"""The gradient of the training loss with respect to every parameter, of two calls in a row."""

from parity.probes.declaration import Probe, every_runtime
from parity.records import QUICK

PROBE = Probe(
    name="train_gradient",
    plan=every_runtime,
    evaluation="train",
    level=QUICK,
    further_devices=True,
)
