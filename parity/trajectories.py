"""The trajectories of a case: every way to hand its training over, followed step by step beside JAX's own course."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from parity import bundles, export, judging
from parity.case import Case, State
from parity.errors import CaseError, ParityError, RuntimeFailureError
from parity.handover import CARRIED, EXPORTED, resuming
from parity.handover.continuing import Continuation, resume
from parity.handover.counterparts import keras_optimizer
from parity.handover.course import Course, Point, answer, stepping
from parity.handover.exported import save
from parity.handover.files import Handover, digest, read, write
from parity.handover.trajectory import Expected, Followed, follow, has_power, power
from parity.harness import Harness
from parity.judging import Judgement
from parity.records import FAIL, PASS, Curve, Power
from parity.specs import Answer, Batch

RETURNED = "returned"
"""From TensorFlow back to JAX: Optax goes on from the state of the exported training."""
NARROW = "exported_bfloat16"
"""The exported training of parameters in bfloat16, its moments in float32."""
STEPS = 20
"""How far a run follows every trajectory; the whole of it is followed by the long version."""
NARROW_STEPS = 5
"""With bfloat16 parameters, from where JAX alone has rounded them to."""
