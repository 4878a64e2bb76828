"""Predictions, as a server would give them."""

from parity.probes.declaration import Probe, every_runtime
from parity.records import QUICK

PROBE = Probe(
    name="predict",
    plan=every_runtime,
    evaluation="predict",
    level=QUICK,
    further_devices=True,
)
