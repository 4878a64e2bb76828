"""The oracle is the same program in float64, and the rounding ensemble is the same program with other roundings."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from parity.core.errors import CaseError
from parity.scoring import one_by_one
from parity.scoring.arithmetic import _lengths, in_float64
from parity.scoring.oracle import BIAS_LIMIT
from parity.scoring.rounding import computed_dtypes, with_rounding
from parity.scoring.rules import Ensemble

pytestmark = pytest.mark.usefixtures("frameworks")


def draws(key):
    return jax.random.normal(key, (50,)), jax.random.bernoulli(key, 0.3, (50,)), jax.random.uniform(key, (50,))


def branches(x):
    return lax.cond(x.sum() > 0, lambda: jnp.sin(x), lambda: jnp.cos(x))


def loops(x):
    scanned = lax.scan(lambda carry, row: (carry * 0.9 + row, carry), jnp.zeros(x.shape[1]), x)
    return scanned, lax.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, c[1] * 1.1), (0, x))


def embeds(x):
    return jax.grad(lambda t: jnp.sum(jnp.tanh(t[jnp.array([0, 2, 2])]) ** 2))(x)


def decorated(x):
    return jax.nn.relu(x * 1.1), jax.nn.softplus(x), jax.nn.gelu(x), jax.nn.logsumexp(x, axis=-1)


def mixed(x):
    return x.astype(jnp.bfloat16) @ x.T.astype(jnp.bfloat16), jnp.argmax(x, axis=-1), x > 0


def solves(x):
    matrix = x @ x.T + 4 * jnp.eye(4)
    factor = jnp.linalg.cholesky(matrix)
    solved = jax.scipy.linalg.solve_triangular(factor, x, lower=True)
    return jnp.linalg.solve(matrix, x), solved, jnp.linalg.inv(matrix), jnp.linalg.slogdet(matrix)[1]


def solves_backward(x):
    return jax.grad(lambda y: jnp.sum(jnp.sin(jnp.linalg.solve(y @ y.T + 4 * jnp.eye(4), y))))(x)


def decomposes(x):
    return jnp.abs(jnp.linalg.qr(x.T)[1]), jnp.linalg.eigh(x @ x.T)[0], jnp.linalg.svd(x, compute_uv=False)


def roots(x):
    def root(target):
        def newton(f, guess):
            return lax.fori_loop(0, 20, lambda _, y: y - f(y) / jax.grad(f)(y), guess)

        return lax.custom_root(lambda y: y**3 + y - target, target, newton, lambda g, y: y / g(1.0))

    return jax.vmap(root)(x[0]), jax.vmap(jax.grad(root))(x[0])


def transforms(x):
    spectrum = jnp.fft.rfft(x)
    return spectrum, jnp.abs(spectrum), jnp.fft.irfft(spectrum, 6), jax.grad(lambda y: jnp.abs(jnp.fft.fft(y)).sum())(x)


def mapped(x):
    return lax.map(lambda row: jnp.sort(row * row.sum()), x), lax.associative_scan(jnp.multiply, x * 1.1)


def ranks(x):
    values, indices = lax.top_k(x * 1.1, 3)
    return values, indices, jnp.argsort(x), jnp.cumsum(x), jax.ops.segment_sum(x * 1.1, jnp.array([0, 1, 0, 1]), 2)


def backward_loops(x):
    def unrolled(y):
        steps = lax.scan(lambda carry, row: (jnp.tanh(carry + row), carry.sum()), y[0], y)[1]
        return lax.fori_loop(0, 3, lambda i, c: jnp.sin(c) * 1.1, steps).sum()

    return jax.grad(unrolled)(x), jax.checkpoint(jnp.sinh)(x), lax.switch(1, [jnp.cos, lambda y: unrolled(y) * y], x)


def ruled(x):
    @jax.custom_vjp
    def clipped(y):
        return jnp.clip(y * 1.1, -1, 1)

    clipped.defvjp(lambda y: (clipped(y), y), lambda y, g: (g * 0.7 * y,))
    return clipped(x), jax.grad(lambda y: (clipped(y) ** 2).sum())(x)


def convolves(x):
    image = x.reshape(1, 4, 6, 1)
    kernel = jnp.ones((3, 3, 1, 2)) * 0.3
    wider = lax.conv_transpose(image, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    pooled = jax.grad(
        lambda y: (lax.reduce_window(y, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") ** 2).sum()
    )
    return wider, pooled(wider), lax.reduce_window(image * 1.1, 0.0, lax.add, (1, 2, 2, 1), (1, 1, 1, 1), "SAME")


def special(x):
    return lax.lgamma(x + 9.1), jax.scipy.special.erfinv(x / 9), lax.betainc(x**2 + 0.1, x**2 + 0.3, jax.nn.sigmoid(x))


X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
ORACLE = [
    branches, loops, embeds, decorated, solves, solves_backward, decomposes, roots, transforms, mapped, ranks,
    backward_loops, ruled, convolves, special,
]  # fmt: skip


@pytest.mark.parametrize("function", ORACLE)
def test_the_oracle_is_float64_and_close(function):
    narrow, wide = (jax.tree_util.tree_leaves(f(X)) for f in (jax.jit(function), in_float64(function, X)))
    for a, b in zip(narrow, wide, strict=True):
        if jnp.issubdtype(a.dtype, jnp.inexact):
            wide = np.complex128 if jnp.issubdtype(a.dtype, jnp.complexfloating) else np.float64
            assert b.dtype == wide
            assert (np.asarray(a, wide) != np.asarray(b)).any()
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("function", ORACLE)
def test_rounding_explains_what_jax_is_off(function):
    """The largest error of JAX, of every float, is one that eight evaluations rounded at random could have."""
    found, oracle, rounded = jax.jit(function)(X), in_float64(function, X)(X), with_rounding(function, X)
    members = [rounded(seed, X) for seed in range(8)]
    leaves = zip(*map(jax.tree_util.tree_leaves, (found, *members, oracle)), strict=True)
    for own, *others, exact in ([np.asarray(array) for array in leaf] for leaf in leaves):
        assert {other.dtype for other in others} == {own.dtype}
        if jnp.issubdtype(own.dtype, jnp.inexact):
            budget = max(np.abs(other.astype(exact.dtype) - exact).max() for other in others)
            assert np.abs(own.astype(exact.dtype) - exact).max() <= 4 * budget


def test_integers_and_masks_stay_what_they_are():
    product, index, mask = in_float64(mixed, X)(X)
    assert (product.dtype, index.dtype, mask.dtype) == (np.float64, np.int32, np.bool_)


def test_random_draws_are_replayed():
    key = np.asarray(jax.random.PRNGKey(3))
    for narrow, wide in zip(jax.jit(draws)(key), in_float64(draws, key)(key), strict=True):
        np.testing.assert_array_equal(narrow, wide)


def test_tracing_under_x64_would_draw_other_masks():
    """What replaying is for: without it, the oracle would drop other units."""
    from parity.scoring.arithmetic import x64

    key = np.asarray(jax.random.PRNGKey(3))
    with x64():
        other = jax.random.bernoulli(key, 0.3, (50,))
    assert (np.asarray(other) != np.asarray(draws(key)[1])).any()


def test_float64_arguments_are_not_rounded():
    tenth = np.float64(0.1)
    assert float(in_float64(lambda x: x * 1, np.float32(0.1))(tenth)) == tenth


def test_a_callback_into_python_is_refused():
    def calls_back(x):
        return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    with pytest.raises(CaseError, match="pure_callback"):
        in_float64(calls_back, X)(X)


def test_rounding_moves_results_by_a_few_ulp_and_depends_on_the_seed():
    function = with_rounding(lambda x: jnp.tanh(x) * 3 + 1, X)
    exact = np.tanh(X.astype(np.float64)) * 3 + 1
    one, two = np.asarray(function(0, X)), np.asarray(function(1, X))
    assert (one != two).any()
    for found in (one, two):
        assert 0 < np.abs(found - exact).max() < 2e-6


def test_rounding_leaves_random_draws_alone():
    def masked(x, key):
        return jax.random.uniform(key, x.shape), x * jax.random.bernoulli(key, 0.5, x.shape)

    key = np.asarray(jax.random.PRNGKey(0))
    uniform, product = with_rounding(masked, X, key)(7, X, key)
    np.testing.assert_array_equal(uniform, jax.random.uniform(key, X.shape))
    assert ((np.asarray(product) == 0) == ~np.asarray(jax.random.bernoulli(key, 0.5, X.shape))).all()


def test_a_structural_zero_gets_the_budget_of_its_rounding():
    """JAX cancels exactly; an implementation that rounds a product of the same numbers in another place does not."""

    def cancelled(x):
        y = x * 1.7
        return (y - x * 1.7) * 300

    assert not np.asarray(jax.jit(cancelled)(X)).any()
    assert np.asarray(with_rounding(cancelled, X)(0, X)).any()


def test_whole_numbers_that_floats_count_are_exact():
    """Positions from a mask, as in a sequence model in bfloat16."""

    def positions(mask):
        return jnp.cumsum(mask.astype(jnp.bfloat16), axis=-1), mask.astype(jnp.float32).sum(-1)

    mask = X > -1
    for found, expected in zip(with_rounding(positions, mask)(3, mask), positions(mask), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_solvers_are_exact_for_an_input_that_is_off_by_an_ulp():
    """An ill-conditioned system has a larger error than its result can be rounded by."""
    matrix = (1e3 + X[:, :4]).astype(np.float32)
    found, oracle = jax.jit(jnp.linalg.inv)(matrix), in_float64(jnp.linalg.inv, matrix)(matrix)
    exact, rounded = np.asarray(oracle), with_rounding(jnp.linalg.inv, matrix)
    budget = max(np.abs(np.asarray(rounded(seed, matrix), np.float64) - exact).max() for seed in range(8))
    assert np.abs(np.asarray(found, np.float64) - exact).max() <= 4 * budget


@pytest.mark.parametrize(
    "params", [{"num_consts": 1, "num_carry": 2}, {"ft_in": SimpleNamespace(unpack=lambda: ([0], [0, 0], [0, 0, 0]))}]
)
def test_the_operands_of_a_scan_are_told_apart_in_the_form_of_each_jax(params):
    assert _lengths(params) == (1, 2)


@pytest.mark.parametrize(("terms", "times"), [(16, 1), (256, 1), (1024, 2), (25_600, 10)])
def test_the_error_of_a_sum_grows_with_its_terms(terms, times):
    """A random part of `times` ulp, at most all of it, of a sum of equal terms, whatever operation adds them."""
    row = np.full((400, terms), 1.3711, np.float32)
    rows = jnp.zeros(terms, np.int32)
    sums = {
        "reduce_sum": lambda x: x.sum(-1),
        "dot_general": lambda x: x @ jnp.ones(terms),
        "scatter-add": lambda x: jnp.zeros((1, 400)).at[rows].add(x.T)[0],
        "cumsum": lambda x: jnp.cumsum(x, axis=1)[:, -1],
    }
    for name, function in sums.items():
        found = np.asarray(with_rounding(function, row)(0, row), np.float64) / (terms * np.float64(row[0, 0]))
        spread = (found - np.median(found)).std() / 2.0**-23
        assert times * 0.45 < spread < times * 0.75, name


def test_what_is_made_of_an_image_of_bytes_is_in_float64_and_rounded():
    """A model that takes integers computes in float32 all the same."""

    def pooled(image):
        return (image.astype(jnp.float32) / 255).mean((1, 2))

    image = np.random.default_rng(0).integers(0, 255, (3, 40, 40), dtype=np.uint8)
    exact = (image / 255.0).mean((1, 2))
    np.testing.assert_allclose(in_float64(pooled, image)(image), exact, rtol=1e-14)
    assert (np.asarray(with_rounding(pooled, image)(0, image)) != np.asarray(jax.jit(pooled)(image))).any()


def test_counts_of_integers_are_exact():
    image = np.random.default_rng(0).integers(0, 255, (3, 40), dtype=np.uint8)
    counted = with_rounding(lambda x: (x.astype(jnp.int32).sum(-1), x.astype(jnp.float32).sum(-1)), image)(0, image)
    for found in counted:
        np.testing.assert_array_equal(found, image.sum(-1, dtype=np.int32))


def test_the_mean_of_one_value_is_that_value():
    """At batch size 1 a batch normalisation subtracts a value from itself, and divides by almost nothing."""
    row = (7.3 * X[:1]).astype(np.float32)
    centred = with_rounding(lambda x: (x - x.mean(axis=0)) * 300, row)
    assert not any(np.asarray(centred(seed, row)).any() for seed in range(8))


def test_a_power_of_two_scales_exactly_and_another_number_does_not():
    for factor, exact in ((0.5, True), (-4.0, True), (3.0, False), (0.1, False)):
        for function in (lambda x, f=factor: x * f, lambda x, f=factor: x / f):
            assert (np.asarray(with_rounding(function, X)(0, X)) == np.asarray(function(X))).all() == exact, factor


INEXACT = {
    "a sum of eighths": (lambda x: (jnp.round(x * 8) / 8).sum(1), False),
    "a product of eighths": (lambda x: (jnp.round(x * 8) / 8) @ (jnp.round(x.T * 4) / 4), False),
    "a loop over eighths": (lambda x: lax.scan(lambda c, r: (c + r, c), 0 * x[0], jnp.round(x * 8) / 8), False),
    "a choice": (lambda x: jnp.where(x > 0, x, -jnp.inf), False),
    "a sum of tenths": (lambda x: (jnp.round(x * 8) / 10).sum(1), True),
    "a function": (jnp.tanh, True),
    "a loop": (lambda x: lax.scan(lambda c, r: (0.9 * c + r, c), 0 * x[0], x), True),
    "half precision": (lambda x: x.astype(jnp.bfloat16).astype(jnp.float32), True),
}
"""Functions, and whether anything in them is rounded."""


@pytest.mark.parametrize("name", INEXACT)
def test_results_that_are_exact_are_told_from_others(name):
    function, inexact = INEXACT[name]
    found = jax.tree_util.tree_leaves(with_rounding(function, X, inexact_alone=True)(0, X))
    plain = jax.tree_util.tree_leaves(function(X))
    assert [f.dtype for f in found] == [p.dtype for p in plain]
    assert any((np.asarray(f) != np.asarray(p)).any() for f, p in zip(found, plain, strict=True)) == inexact


def test_an_ensemble_that_adds_in_float64_lies_around_a_long_sum_of_equal_terms():
    row, to = np.float32([0.1, -0.1]), np.append(np.zeros(45_000, np.int32), [1, 2])

    def function(x):
        return jax.ops.segment_sum(x[:1] * jnp.ones(to.size), to, 3), jnp.outer(x, x) @ x

    found = {}
    for sums_in_float64 in (False, True):
        rounded = with_rounding(function, row, sums_in_float64=sums_in_float64)
        for leaf, oracle in enumerate(in_float64(function, row)(row)):
            ensemble = Ensemble({"leaf": np.asarray(oracle)})
            for seed in range(8):
                ensemble.add({"leaf": np.asarray(rounded(seed, row)[leaf])})
            found[sums_in_float64, leaf] = ensemble.budgets("")["leaf"].bias
    assert found[False, 0] > BIAS_LIMIT
    assert max(found[True, 0], found[True, 1], found[False, 1]) < 4


@pytest.mark.parametrize("until_equal", [False, True])
def test_a_loop_until_it_converges_ends_with_rounding(until_equal):
    """Each turn is off at random, so that two may never be alike."""

    def root(x):
        def differs(carry):
            apart = jnp.abs(carry[0] - carry[1]).max()
            return apart > (0 if until_equal else 1e-5)

        start = jnp.abs(x) * 60 + 1
        return lax.while_loop(differs, lambda c: (0.5 * (c[0] + start / c[0]), c[0]), (start, start * 2))[0]

    exact = np.sqrt(np.abs(X.astype(np.float64)) * 60 + 1)
    for seed in range(8):
        found = np.asarray(with_rounding(root, X)(seed, X))
        assert 0 < np.abs(found / exact - 1).max() < 1e-5


def test_the_buckets_of_integers_are_those_of_jax():
    """At a power of two the logarithm lies at the boundary of a bucket, on which side is a matter of rounding."""
    steps = np.array([[1, 2, 4, 8, 16, 64, 512, 4096]], np.int32)
    table = np.arange(16, dtype=np.float32)

    def bucketed(steps, table):
        bucket = jnp.floor(jnp.log(steps.astype(jnp.float32)) / np.float32(np.log(2.0))).astype(jnp.int32)
        return table[bucket] * 1.1

    expected = np.asarray(jax.jit(bucketed)(steps, table))
    for found in (
        in_float64(bucketed, steps, table)(steps, table),
        with_rounding(bucketed, steps, table)(5, steps, table),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_an_integer_that_float32_lacks_is_rounded():
    seconds = np.array([[1_700_000_001, 1_700_000_123]], np.int32)
    function = with_rounding(lambda s: s.astype(jnp.float32) - np.float32(1.7e9), seconds)
    assert len({np.asarray(function(seed, seconds)).tobytes() for seed in range(8)}) > 4


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.complex64])
def test_sums_by_scatter_are_rounded_in_every_dtype(dtype):
    rows = np.array([0, 2, 2, 1])
    function = lambda x: jnp.zeros((3, 6), dtype).at[rows].add(x.astype(dtype))  # noqa: E731
    found, expected = with_rounding(function, X)(0, X), function(X)
    assert found.dtype == expected.dtype
    assert (np.asarray(found) != np.asarray(expected)).any()


def test_what_shard_map_computes_is_rounded_as_a_whole():
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("d",))
    spec = jax.sharding.PartitionSpec("d")
    mapped = jax.shard_map(lambda x: jnp.tanh(x) * 3, mesh=mesh, in_specs=spec, out_specs=spec)
    np.testing.assert_allclose(with_rounding(mapped, X)(0, X), mapped(X), rtol=1e-5)


def test_the_smallest_numbers_move_by_their_spacing():
    tiny = np.full(100, 3e-7, np.float16)
    found = np.asarray(with_rounding(lambda x: x * np.float16(1.25), tiny)(0, tiny))
    assert len(set(found.tolist())) > 1


@pytest.mark.parametrize(("bits", "dtype"), [((8, 7), "bfloat16"), ((5, 10), "float16"), ((8, 23), None)])
def test_a_reduced_precision_counts_as_its_dtype(bits, dtype):
    found = computed_dtypes(lambda x: lax.reduce_precision(x * 1.1, *bits), X)
    assert found == {"float32", dtype} - {None}


def test_equal_operations_share_a_program_and_err_each_on_its_own():
    compiled, values = [], np.linspace(1, 2, 77, dtype=np.float32).reshape(7, 11)  # no other test has this shape
    function = with_rounding(lambda x: (jnp.cbrt(x) * 7, jnp.cbrt(x) * 7, jnp.cbrt(x + 1) * 3), values)
    function(0, values)  # what all programs need is compiled as well
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **__: compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    first, second, _ = with_rounding(lambda x: (jnp.cbrt(x) * 5, jnp.cbrt(x) * 5, jnp.cbrt(x) * 3), values)(0, values)
    assert compiled == []
    with_rounding(lambda x: jnp.cbrt(x) * 4, values)(0, values)
    assert len(compiled) == 1, "what is exact is another program"
    assert (np.asarray(first) != np.asarray(second)).any()


def test_an_option_that_this_xla_lacks_is_left_out():
    assert not one_by_one._has("xla_of_no_release", True)
    assert one_by_one._has("xla_backend_optimization_level", 0)
