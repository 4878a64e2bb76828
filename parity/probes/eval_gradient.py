"""The gradient of the evaluation loss with respect to every parameter."""

from parity.probes.declaration import Probe, every_runtime
from parity.records import QUICK

PROBE = Probe(
    name="eval_gradient",
    plan=every_runtime,
    evaluation="evaluate",
    level=QUICK,
)
