"""Predictions, as a server would give them."""

from parity.probes.declaration import Probe, every_runtime

PROBE = Probe(
    name="predict",
    plan=every_runtime,
    evaluation="predict",
    further_devices=True,
)
