"""Interrupted training: one process that trains on is killed, and another resumes from its checkpoints."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from threading import Timer
from typing import IO

from parity.cases.specs import Answer
from parity.core.processes import ProcessEndedError
from parity.export import bundles
from parity.handover import EXPORTED, STAGES, STATE, checkpoints, stage
from parity.handover.files import Handover
from parity.records import FAIL, PASS
from parity.scoring import rules
from parity.scoring.rules import LeafResult

LONGEST_S = 600
"""Seconds after which a process that has not answered is killed."""


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
        self._files = ExitStack()
        self._process = self._start("begin")

    def _start(self, command: str) -> subprocess.Popen[str]:
        self._errors: IO[str] = self._files.enter_context(
            (self._folder / f"{command}.stderr").open("w+", encoding="utf-8")
        )
        return subprocess.Popen(
            [sys.executable, "-m", "parity.handover", command, *self._arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip

    def interrupt(self) -> None:
        """Kill the first process after it has written its checkpoints, and let the second resume from them.

        Raises:
            ProcessEndedError: the first ended by itself.
        """
        self._wait_for(checkpoints.SAVED)
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._wait_for(checkpoints.TRAINING)
        self._end()  # in the middle of a step: it trains without end
        self._process = self._start("resume")

    def _wait_for(self, line: str) -> None:
        assert self._process.stdout is not None
        limit = Timer(LONGEST_S, self._process.kill)
        limit.start()
        try:
            if not any(found.strip() == line for found in self._process.stdout):
                raise self._ended()
        finally:
            limit.cancel()

    def arrived(self) -> dict[str, tuple[str, Answer]]:
        """Wait for the second process; return for each training its method and the state that it arrives at.

        The trainings are named after their methods, that from a second export `checkpoints.AGAIN`.

        Raises:
            ProcessEndedError: the process failed, or took longer than `LONGEST_S`.
        """
        try:
            self._process.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        if self._process.wait():
            raise self._ended()
        ends = {method: method for method in self._methods}
        ends |= {checkpoints.AGAIN: EXPORTED} if EXPORTED in ends else {}
        return {end: (method, bundles.load_arrays(self._folder / f"{end}.npz")) for end, method in ends.items()}

    def _ended(self) -> ProcessEndedError:
        code = self._process.wait()
        self._errors.seek(0)
        last = " / ".join(self._errors.read().strip().splitlines()[-3:])
        return ProcessEndedError(f"the process that trains on without jax ended with code {code}: {last}")

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def close(self) -> None:
        """End the process that still runs, and close its files."""
        self._end()
        self._files.close()


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
