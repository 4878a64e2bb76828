"""The random key that training leaves, after each of two calls."""

from parity.probes.declaration import Probe, every_runtime
from parity.records import QUICK

PROBE = Probe(
    name="rng",
    plan=every_runtime,
    evaluation="train",
    level=QUICK,
)
