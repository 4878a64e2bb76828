"""How fast one comparison with all metrics is, beside one numpy.testing.assert_allclose, and what memory it takes.

Run with `python -m parity.tests.benchmarks.benchmark_compare`; exits with 1 where a promise of the README is not kept.
"""

import resource
import statistics
import subprocess
import sys
import time

import numpy as np

from parity.scoring.compare import compare

SIZE, ROUNDS, MIB = 50_000_000, 11, 1 << 20
LEAST_RATIO, MOST_MEMORY = 2.0, 64 * MIB
BLOCK = 1 << 16


def arrays():
    """An answer, JAX's answer, and the oracle, filled block by block, so that no temporary hides what compare takes."""
    rng = np.random.default_rng(0)
    actual, jax, oracle = np.empty(SIZE, np.float32), np.empty(SIZE, np.float32), np.empty(SIZE)
    for start in range(0, SIZE, BLOCK):
        block = slice(start, min(start + BLOCK, SIZE))
        oracle[block] = rng.standard_normal(block.stop - start)
        jax[block] = oracle[block]
        actual[block] = oracle[block] * (1 + 1e-7 * rng.standard_normal(block.stop - start))
    return actual, jax, oracle


def peak():
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def extra_memory():
    """Bytes that one comparison adds to the peak of this process."""
    given = arrays()
    before = peak()
    compare(*given)
    return peak() - before


def seconds(function, *arguments, **options):
    started = time.perf_counter()
    function(*arguments, **options)
    return time.perf_counter() - started


def main():
    # Before this process has arrays: the peak that Linux reports is inherited.
    code = f"from {__spec__.name} import extra_memory; print(extra_memory())"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    memory = int(done.stdout)
    actual, jax, oracle = arrays()
    ratios = []
    for number in range(ROUNDS + 1):
        reference = seconds(np.testing.assert_allclose, actual, jax, rtol=1e-4, atol=1e-4)
        own = seconds(compare, actual, jax, oracle)
        print(f"round {number}: assert_allclose {reference:.3f} s, compare {own:.3f} s, ratio {reference / own:.2f}")
        if number:  # the first finds everything cold
            ratios.append(reference / own)
    ratio = statistics.median(ratios)
    print(
        f"{SIZE:,} float32 elements, float64 oracle, numpy {np.__version__}: median ratio {ratio:.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}, {ROUNDS} rounds), extra memory {memory / MIB:.1f} MiB"
    )
    return 0 if ratio >= LEAST_RATIO and memory <= MOST_MEMORY else 1


if __name__ == "__main__":
    sys.exit(main())
