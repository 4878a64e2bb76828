"""What runtimes answered before, so that the same question is computed once: numbers of all, arrays of few.

Of every answer a digest is kept: it tells that two answers agree to the bit without either. Kept as arrays are the
answers of at most `SMALL` bytes, such as predictions and losses, and the one answer that was computed last.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from parity.runtimes.by_probe import ByProbe

if TYPE_CHECKING:
    from parity.cases.specs import Answer, Batch

SMALL = 1 << 20
"""In bytes: the largest answer to a probe that is kept for as long as the subject."""


class Question(NamedTuple):
    """An evaluation of a runtime about one batch, which is named by its digest."""

    runtime: str
    evaluation: str
    device: str
    batch: str


class RecentAnswers:
    """Answers by question. The arrays are shared: whoever reads one must not write to it."""

    def __init__(self) -> None:
        self._digests: dict[Question, str] = {}
        self._small: dict[Question, dict[str, Answer]] = {}
        self._complete: set[Question] = set()
        self._last: tuple[Question, ByProbe[Answer]] | None = None

    def keep(self, question: Question, answers: ByProbe[Answer]) -> None:
        """Keep what is to be kept of `answers`; of those with a probe that failed, nothing."""
        if answers.failed:
            return
        self._digests[question] = digest(answers)
        self._small[question] = {probe: answer for probe, answer in answers.items() if _bytes(answer) <= SMALL}
        if len(self._small[question]) == len(answers):
            self._complete.add(question)
        else:
            self._last = question, answers

    def answers(self, question: Question) -> ByProbe[Answer] | None:
        """Return the answers to `question` by probe; None where they are not kept."""
        if self._last is not None and self._last[0] == question:
            return self._last[1]
        return ByProbe(self._small[question]) if question in self._complete else None

    def answer(self, question: Question, probe: str) -> Answer | None:
        """Return the answer to one probe of `question`; None where it is not kept."""
        return self._small.get(question, {}).get(probe)

    def equal(self, question: Question, answers: ByProbe[Answer]) -> bool:
        """Return whether the answers to `question` are known, and are `answers` to the bit."""
        return not answers.failed and self._digests.get(question) == digest(answers)


def digest_of_batch(batch: Batch) -> str:
    """Return the digest of a batch, its structure included."""
    from parity.cases.specs import by_name

    return digest({"data": by_name(batch.data), "labels": by_name(batch.labels)})


def digest(answers: dict[str, Answer]) -> str:
    """Return a digest of names, shapes, dtypes and bits of answers by probe; the order of names does not count."""
    import numpy as np

    found = hashlib.blake2b(digest_size=20)
    for probe, answer in sorted(answers.items()):
        for leaf, array in sorted(answer.items()):
            found.update(f"{probe}\0{leaf}\0{array.dtype.name}\0{array.shape}\0".encode())
            found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def _bytes(answer: Answer) -> int:
    return sum(array.nbytes for array in answer.values())
