"""The loss of training, of two calls in a row."""

from parity.probes.declaration import Probe, every_runtime
from parity.records import QUICK

PROBE = Probe(
    name="train_loss",
    plan=every_runtime,
    evaluation="train",
    level=QUICK,
)
