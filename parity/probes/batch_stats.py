"""The statistics that training updates, after each of two calls."""

from parity.probes.declaration import Probe, every_runtime
from parity.records import QUICK

PROBE = Probe(
    name="batch_stats",
    plan=every_runtime,
    evaluation="train",
    level=QUICK,
)
