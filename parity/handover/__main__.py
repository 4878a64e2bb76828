"""A process without JAX that trains on from a hand-over.

`python -m parity.handover begin HANDOVER FOLDER STEPS WAY...` trains on in every way, leaves a checkpoint of each and a
second export in FOLDER, says so on a line, and trains on until it is killed. With `resume` instead of `begin` it goes
on from those, and leaves there the states after as many steps again.
"""

import sys
from pathlib import Path

from parity.runtimes.base import VIRTUAL_CPUS
from parity.core.processes import make_jax_impossible

make_jax_impossible()

from parity.export import artifact  # noqa: E402
from parity.handover import files, resuming  # noqa: E402

artifact.configure_devices(VIRTUAL_CPUS)
what, handover, folder, steps, *ways = sys.argv[1:]
{"begin": resuming.begin, "resume": resuming.go_on}[what](files.read(Path(handover)), Path(folder), ways, int(steps))
