"""A process without JAX that trains on from a hand-over.

`python -m parity.handover begin HANDOVER FOLDER STEPS METHOD...` trains on by every method, writes a checkpoint of each
and a second export into FOLDER, and trains on until it is killed. With `resume` instead of `begin` it goes on from
those, and writes there the states after as many steps again.
"""

import sys
from pathlib import Path

from parity.core.processes import block_jax
from parity.runtimes.base import VIRTUAL_CPUS

block_jax()

from parity.export import artifact  # noqa: E402 - TensorFlow's side, imported without JAX
from parity.handover import checkpoints, files  # noqa: E402

artifact.configure_devices(VIRTUAL_CPUS)
command, handover, folder, steps, *methods = sys.argv[1:]
run = {"begin": checkpoints.begin_command, "resume": checkpoints.resume_command}[command]
run(files.read(Path(handover)), Path(folder), methods, int(steps))
