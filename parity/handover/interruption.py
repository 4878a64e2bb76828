"""The interruption: a process that trains on is killed, and another goes on as if nobody had been."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Timer
from typing import IO

from parity.cases.specs import Answer
from parity.core.errors import RuntimeFailureError
from parity.export import bundles
from parity.handover import EXPORTED, RUNGS, STATE, resuming, rung
from parity.handover.files import Handover
from parity.records import FAIL, PASS
from parity.core.processes import ProcessEndedError
from parity.scoring import rules
from parity.scoring.rules import LeafResult

LONGEST_S = 600
"""Seconds after which a process that has not answered is killed."""


class Interruption:
    """Two processes without JAX: one is killed while it trains, the other goes on from its checkpoints.

    The first starts at once, and works while this process does something else.

    Args:
        handover: where both begin.
        folder: where the checkpoints go; made new.
        ways: by which training is handed over.
        steps: taken before the interruption, and as many after it.
    """

    def __init__(self, handover: Handover, folder: Path, ways: list[str], steps: int) -> None:
        self._handover, self._folder, self._ways, self._steps = handover, folder, ways, steps
        folder.mkdir(parents=True)
        self._errors: list[IO[str]] = []
        self._process = self._start("begin")

    def _start(self, what: str) -> subprocess.Popen[str]:
        self._errors.append((self._folder / f"{what}.stderr").open("w+", encoding="utf-8"))
        where = [str(self._handover.path), str(self._folder), str(self._steps), *self._ways]
        return subprocess.Popen(
            [sys.executable, "-m", resuming.__package__, what, *where],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors[-1], text=True,
        )  # fmt: skip

    def interrupt(self) -> None:
        """Kill the first process once it has left its checkpoints, and let the second go on from them.

        Raises:
            ProcessEndedError: the first ended by itself.
        """
        self._wait_for(resuming.SAVED)
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._wait_for(resuming.TRAINING)
        self._end()  # while it trains: it takes one step after the other without end
        self._process = self._start("resume")

    def _wait_for(self, word: str) -> None:
        assert self._process.stdout is not None
        patience = Timer(LONGEST_S, self._process.kill)
        patience.start()
        try:
            if not any(line.strip() == word for line in self._process.stdout):
                raise self._ended()
        finally:
            patience.cancel()

    def arrived(self) -> dict[str, Answer]:
        """Where the second process arrives, by way; and under `exported_again` from a second export.

        Raises:
            ProcessEndedError: it failed.
        """
        try:
            code = self._process.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise self._ended() from None
        if code:
            raise self._ended()
        ends = [*self._ways, *([resuming.AGAIN] if EXPORTED in self._ways else [])]
        return {end: bundles.load_arrays(self._folder / f"{end}.npz") for end in ends}

    def _ended(self) -> RuntimeFailureError:
        code = self._process.wait()
        self._errors[-1].seek(0)
        last = " / ".join(self._errors[-1].read().strip().splitlines()[-3:])
        return ProcessEndedError(f"the process that trains on without jax ended with code {code}: {last}")

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def close(self) -> None:
        """End what still runs."""
        self._end()
        for errors in self._errors:
            errors.close()


def judge(arrived: Answer, uninterrupted: Answer, prefix: str) -> list[LeafResult]:
    """Whether training that was interrupted arrives at the same bits: a result for each rung.

    Args:
        arrived: the state that it arrives at.
        uninterrupted: all that the other training answers to the same step.
        prefix: of the names of the results.
    """
    state = {leaf: array for leaf, array in uninterrupted.items() if rung(leaf) in STATE}
    found = rules.judge_identical(arrived, state, "training without an interruption")
    results = []
    for name in RUNGS:
        leaves = [j for j in found if rung(j.leaf) == name]
        off = [f"{j.leaf} {j.message}" for j in leaves if j.status != PASS]
        if leaves:
            results.append(LeafResult(f"{prefix}/{name}", FAIL if off else PASS, message=off[0] if off else None))
    return results
