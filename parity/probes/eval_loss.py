"""The loss with running statistics and dropout off."""

from parity.probes.declaration import Probe, every_runtime
from parity.records import QUICK

PROBE = Probe(
    name="eval_loss",
    plan=every_runtime,
    evaluation="evaluate",
    level=QUICK,
)
