"""What a case will need, said before it is needed: memory, from the bytes of its parameters, and time."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from parity.core.errors import CaseError
from parity.runtimes.base import EVALUATIONS, ORACLE, Capabilities

if TYPE_CHECKING:
    from parity.cases.case import Case

# How often the parameters are there at once, in float32: what must be there, without the activations of an evaluation.
_TRAINED = 4  # the state before and after training, and two moments
_ANSWERS = 9  # the gradients of one evaluation and two calls of training: JAX's, and the oracle's in float64
_AT_WORK = 10  # a float64 evaluation from another state (8), and the answer that was computed last (2)
_MODULE = 1  # the variables of a runtime in this process

SLOW_S = 60.0
"""The first evaluation may take so long before a run says how long the whole will take."""

_GROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_USED = (Path("/sys/fs/cgroup/memory.current"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"))
_CACHED = re.compile(r"(?m)^(?:in)?active_file (\d+)$")
"""In `memory.stat` beside those: the files that the group keeps in memory, which it gives up before it runs out."""


def available_bytes() -> int | None:
    """Return the memory that this process can still have, by the machine and its control group; None if not known."""
    found = [_of_machine(), *(_of_group(limit, used) for limit, used in zip(_GROUPS, _USED, strict=True))]
    return min((value for value in found if value is not None), default=None)


def _of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def _of_group(limit: Path, used: Path) -> int | None:
    try:
        taken = int(used.read_text(encoding="ascii"))
        stat = used.with_name("memory.stat")
        files = sum(map(int, _CACHED.findall(stat.read_text(encoding="ascii")))) if stat.exists() else 0
        return max(int(limit.read_text(encoding="ascii")) - max(taken - files, 0), 0)
    except (OSError, ValueError):  # no such group, or "max"
        return None


def needed_bytes(parameters: int, runtimes: Sequence[Capabilities], sizes: int) -> int:
    """Return the least memory that a run needs.

    Args:
        parameters: bytes of the parameters.
        runtimes: what answers.
        sizes: the number of batch sizes; answers to each are kept.
    """
    modules = sum(can.in_tensorflow and not can.own_process for can in runtimes)
    exact = any(can.role == ORACLE for can in runtimes)
    answers = _ANSWERS * sizes + _AT_WORK if exact else _ANSWERS * sizes // 3
    return parameters * (_TRAINED + answers + _MODULE * modules)


def require_memory(case: Case, runtimes: Sequence[Capabilities], sizes: int, available: int | None) -> None:
    """Require that a case fits into memory, before anything is computed.

    Args:
        case: whose parameters are counted, without making them.
        runtimes: what will answer.
        sizes: the number of batch sizes.
        available: bytes; None where it is not known.

    Raises:
        CaseError: it does not fit.
    """
    parameters = parameter_bytes(case)
    needed = needed_bytes(parameters, runtimes, sizes)
    if available is None or needed <= available:
        return
    fits = next((n for n in range(sizes - 1, 0, -1) if needed_bytes(parameters, runtimes, n) <= available), 0)
    ways = [f"{fits} of the {sizes} batch sizes would fit"] if fits else []
    ways += ["choose fewer runtimes with --runtime, or --level quick"]
    raise CaseError(
        f"case {case.name!r}: a run needs at least {_gib(needed)} of memory, for {_gib(parameters)} of parameters and "
        f"without activations; {_gib(available)} are available. Expected a model that fits: {', or '.join(ways)}."
    )


def parameter_bytes(case: Case) -> int:
    """Return the bytes of a case's parameters; 0 where its `init` cannot be traced, which training says better."""
    import jax

    try:
        params, _ = jax.eval_shape(case.init, jax.random.PRNGKey(case.training.seed))
    except Exception:
        return 0
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree_util.tree_leaves(params))


def slow(case: str, seconds: float, members: int, runtimes: int, sizes: int) -> str | None:
    """Return what to say of a first evaluation that took `seconds`; None where it was fast enough.

    An evaluation of training is two of the gradient, in float64 twice as slow; of the ensemble there are `members`.
    """
    if seconds <= SLOW_S:
        return None
    gradients = len(EVALUATIONS["evaluate"]) + 1
    count = sizes * gradients * (members + 1 + runtimes + 2 * members)
    return (
        f"{case}: the first evaluation took {seconds:.0f} s. A run makes about {count} of them, so expect up to "
        f"{count * seconds / 3600:.1f} h; choose fewer batch sizes or --level quick for less."
    )


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
