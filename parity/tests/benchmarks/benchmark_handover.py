"""What a training step costs by the exported update, beside the hand-written Keras loop of the published workflow.

`python -m parity.tests.benchmarks.benchmark_handover` prints the ratio of the two over interleaved steps of the
reference case, both warm, with a bootstrap interval of the median. A ratio of 1.1 or less is expected.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from parity.cases import jax_devices
from parity.export import artifact
from parity.runtimes.base import VIRTUAL_CPUS

ROUNDS, WARM_UP, RESAMPLES = 200, 10, 2000
MOST = 1.1


def main() -> None:
    """Measure, and print."""
    jax_devices.configure_devices(VIRTUAL_CPUS)
    artifact.configure_devices(VIRTUAL_CPUS)
    from parity.cases.loading import load
    from parity.core.ledger import TimeLedger
    from parity.handover import CARRIED, EXPORTED, RESTARTED
    from parity.handover.continuing import resume
    from parity.handover.finetuning import restarted_optimizer
    from parity.handover.keras_loop import keras_loop
    from parity.handover.setup import HandoverSetup
    from parity.runtimes.subject import Subject

    subject = Subject(load("reference"), TimeLedger())
    subject.batch(1)
    setup = HandoverSetup(subject)
    handover = setup.handover
    batch = setup.batches[0].map(tf.constant)
    module = artifact.load(handover.artifact)
    optimizer = restarted_optimizer(handover.training, handover.steps_per_epoch)
    trainable = [v for v, s in zip(module.state_vars, handover.signature.state, strict=True) if s.trainable]
    optimizer.build(trainable)
    published = keras_loop(module, optimizer, trainable)
    exported, carried = (resume(method, handover) for method in (EXPORTED, CARRIED))
    steps = {
        RESTARTED: lambda: published(batch.data, batch.labels)[0],
        EXPORTED: lambda: exported.module.train_step(batch.data, batch.labels)["loss"],
        CARRIED: lambda: carried.train(batch.data, batch.labels)[0],
    }
    times = _interleaved(steps)
    base = np.array(times[RESTARTED])
    print(f"restarted: {1e3 * statistics.median(base):.1f} ms per step in the median of {ROUNDS}")
    for method in (EXPORTED, CARRIED):
        ratio = np.array(times[method]) / base
        low, high = _interval(ratio)
        print(f"{method} / restarted: {np.median(ratio):.3f} (95 % interval {low:.3f} to {high:.3f}); limit {MOST}")
    setup.close()
    subject.close()
    if np.median(np.array(times[EXPORTED]) / base) > MOST:
        raise SystemExit(1)


def _interleaved(steps: dict[str, Callable[[], tf.Tensor]]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in steps}
    order = np.random.default_rng(0)
    for number in range(WARM_UP + ROUNDS):
        for name in order.permutation(list(steps)):
            start = time.perf_counter()
            float(steps[name]())  # waits for the step
            if number >= WARM_UP:
                times[name].append(time.perf_counter() - start)
    return times


def _interval(ratio: np.ndarray) -> tuple[float, float]:
    rng = np.random.default_rng(1)
    medians = [np.median(rng.choice(ratio, len(ratio))) for _ in range(RESAMPLES)]
    return float(np.quantile(medians, 0.025)), float(np.quantile(medians, 0.975))


if __name__ == "__main__":
    main()
