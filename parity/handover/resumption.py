"""Interrupted training: one process that trains on is killed, and another resumes from its checkpoints."""

from __future__ import annotations

from pathlib import Path

from parity.cases.specs import Answer
from parity.core.processes import LineProcess
from parity.export import bundles
from parity.handover import EXPORTED, STAGES, STATE, checkpoints, stage
from parity.handover.files import Handover
from parity.records import FAIL, PASS
from parity.scoring import rules
from parity.scoring.rules import LeafResult


class Interruption:
    """Two processes without JAX: one is killed while it trains, the other goes on from its checkpoints.

    The first starts at once, and works while this process does something else.

    Args:
        handover: where both begin.
        folder: a new folder for the checkpoints.
        methods: of the hand-over; training goes on by each.
        steps: taken before the interruption, and as many after it.
    """

    def __init__(self, handover: Handover, folder: Path, methods: list[str], steps: int) -> None:
        self._folder, self._methods = folder, methods
        self._arguments = [str(handover.path), str(folder), str(steps), *methods]
        folder.mkdir(parents=True)
        self._process = self._start("begin")

    def _start(self, command: str) -> LineProcess:
        arguments, errors = ["-m", "parity.handover", command, *self._arguments], self._folder / f"{command}.stderr"
        return LineProcess("the process that trains on without jax", arguments, errors=errors)

    def interrupt(self) -> None:
        """Kill the first process after it has written its checkpoints, and let the second resume from them.

        Raises:
            ProcessEndedError: the first ended by itself, or was ended because it was silent.
        """
        self._wait_for(checkpoints.SAVED)
        self._process.write_line("")
        self._wait_for(checkpoints.TRAINING)
        self._process.close()  # in the middle of a step: it trains without end
        self._process = self._start("resume")

    def _wait_for(self, expected: str) -> None:
        while (line := self._process.read_line()) != expected:
            if line is None:
                raise self._process.ended()

    def arrived(self) -> dict[str, tuple[str, Answer]]:
        """Wait for the second process; return for each training its method and the state that it arrives at.

        The trainings are named after their methods, that from a second export `checkpoints.AGAIN`.

        Raises:
            ProcessEndedError: the process failed, or was ended because it was silent.
        """
        while self._process.read_line() is not None:
            pass
        if self._process.exit_code():
            raise self._process.ended()
        ends = {method: method for method in self._methods}
        ends |= {checkpoints.AGAIN: EXPORTED} if EXPORTED in ends else {}
        return {end: (method, bundles.load_arrays(self._folder / f"{end}.npz")) for end, method in ends.items()}

    def close(self) -> None:
        """End the process that still runs, and close its files."""
        self._process.close()


def judge(arrived: Answer, uninterrupted: Answer, prefix: str) -> list[LeafResult]:
    """Return for each stage whether training that was interrupted arrives at the same bits.

    Args:
        arrived: the state that it arrives at.
        uninterrupted: the whole answer of the other training to the same step.
        prefix: of the names of the results.
    """
    state = {leaf: array for leaf, array in uninterrupted.items() if stage(leaf) in STATE}
    found = rules.judge_identical(arrived, state, "training without an interruption")
    results = []
    for name in STAGES:
        leaves = [j for j in found if stage(j.leaf) == name]
        off = [f"{j.leaf} {j.message}" for j in leaves if j.status != PASS]
        if leaves:
            results.append(LeafResult(f"{prefix}/{name}", FAIL if off else PASS, message=off[0] if off else None))
    return results
