"""The share of examples whose largest score is the labelled one."""

from parity.probes.declaration import Probe, every_runtime
from parity.records import QUICK

PROBE = Probe(
    name="accuracy",
    plan=every_runtime,
    evaluation="accuracy",
    level=QUICK,
    discrete=True,
)
