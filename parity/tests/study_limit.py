"""The measurement behind `judging.LIMIT`: `python -m parity.tests.study_limit [SEEDS]`.

For every seed the reference case is trained anew. Prints the highest honest scores of the TensorFlow runtimes, by probe
and leaf, and for each planted fault the highest score that a probe set reaches, per batch size: the lowest of them over
the seeds is what the limit must stay under.
"""

import os
import sys
from collections import defaultdict
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from parity import artifact
from parity.case import PROBES, load
from parity.harness import Harness
from parity.ledger import Ledger
from parity.records import Planned
from parity.runtimes import jax, saved_model

SIZES = (1, 13, 256)
HONEST = ("jax", "tf_graph", "tf_xla")


def rounded(leaf):
    def fault(variables):
        import tensorflow as tf

        variables[leaf].assign(tf.cast(tf.cast(variables[leaf], tf.bfloat16), tf.float32))

    return fault


def one_element(variables):
    value = variables["Dense_1/kernel"].numpy()
    value[100, 5] += 1e-3
    variables["Dense_1/kernel"].assign(value)


def relative(size):
    def fault(variables):
        value = variables["Dense_0/kernel"].numpy()
        signs = np.random.default_rng(0).choice([-1.0, 1.0], value.shape)
        variables["Dense_0/kernel"].assign((value * (1 + size * signs)).astype(np.float32))

    return fault


FAULTS = {
    "1e-3 on one element of Dense_1/kernel": one_element,
    "Conv_0/kernel rounded to bfloat16": rounded("Conv_0/kernel"),
    "Dense_0/kernel rounded to bfloat16": rounded("Dense_0/kernel"),
    "Dense_1/kernel rounded to bfloat16": rounded("Dense_1/kernel"),
    "Dense_0/kernel off by 1e-3 relative": relative(1e-3),
    "Dense_0/kernel off by 1e-4 relative": relative(1e-4),
}


def scores(harness, runtime, size):
    probes = [p for p in PROBES if p not in ("accuracy", "rng")]
    questions = [Planned("study", "reference", p, runtime, size, "cpu:0", "cpu:0") for p in probes]
    return {(q.probe, j.leaf): j.score for q in questions for j in harness.judgements(q)}


def faulty(harness, fault):
    class Faulty(saved_model.Runtime):
        def module(self):
            module = super().module()
            fault(dict(zip((s.leaf for s in self.subject.signature.state), module.state_vars, strict=True)))
            return module

    harness.use("saved_model", Faulty(harness.runtime("tf_graph").subject))


def main(seeds):
    jax.configure_devices(1)
    artifact.configure_devices(1)
    honest, caught = defaultdict(list), defaultdict(list)
    case = load("reference")
    for seed in range(seeds):
        harness = Harness(replace(case, training=replace(case.training, seed=seed)), Ledger())
        for size in SIZES:
            harness.batch(size)
        bundle = harness.bundle
        for size in SIZES:
            for runtime in HONEST:
                for (probe, leaf), score in scores(harness, runtime, size).items():
                    honest[runtime, size].append((score, f"{probe} {leaf}, seed {seed}"))
        for name, fault in FAULTS.items():
            subject = replace(harness.runtime("tf_graph").subject, bundle=bundle)
            harness.runtime("tf_graph").subject = subject
            faulty(harness, fault)
            for size in SIZES:
                caught[name, size].append(max(scores(harness, "saved_model", size).values()))
        harness.close()
    print(f"\nhonest scores over {seeds} seeds: 50 %, 99 %, the highest and where")
    for (runtime, size), found in honest.items():
        values = [score for score, _ in found]
        high, where = max(found)
        print(f"{runtime:<9} b{size:<4} {np.median(values):6.2f} {np.quantile(values, 0.99):6.2f} {high:6.2f}  {where}")
    print("\nplanted faults: the worst leaf's score, lowest and highest over the seeds")
    for (name, size), found in caught.items():
        print(f"{name:<38} b{size:<4} {min(found):10.1f} {max(found):12.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
