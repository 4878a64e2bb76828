"""Profiles of leaves: they say what the check says, and show where a planted defect sits."""

import math

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from parity import records
from parity.core.errors import RuntimeFailureError
from parity.probes import profiles
from parity.probes.evaluation import Place, score
from parity.runtimes.base import EVALUATION_OF, FixedAnswers, Runtime
from parity.scoring.rules import Budget, judge
from parity.tests.support import samples

SIZE = 13


def item(probe, runtime="tf_graph", device="cpu:0"):
    return samples.planned(
        item=f"test_{probe}[tiny-{runtime}]", case="tiny", probe=probe, runtime=runtime, batch_size=SIZE,
        tf_device=device,
    )  # fmt: skip


def checks_of(subject, *items):
    return [
        item.check(**vars(result))
        for item in items
        for result in score(subject, item.probe, Place(item.runtime, item.jax_device, item.tf_device), SIZE)
    ]


def largest(profile):
    return max(max(row) for row in profile.map)


def explained_by(profile, subject):
    """The score that a map with an element a block stands for."""
    budget = subject.budgets(EVALUATION_OF[profile.probe], SIZE)[profile.probe][profile.leaf]
    rms = math.sqrt(np.mean(np.square(profile.map))) * budget.max / budget.rms
    return pytest.approx(max(largest(profile), rms), rel=1e-3)


@pytest.fixture
def answering(tiny_subject):
    """Gives a copy of the subject in which a runtime answers what `change` makes of its answers, by probe and leaf."""

    def planted(evaluation, change):
        answers = tiny_subject.evaluate("tf_graph", evaluation, tiny_subject.batch(SIZE))
        answers = {probe: {leaf: np.array(array) for leaf, array in of.items()} for probe, of in answers.items()}
        change(answers)
        return tiny_subject.with_runtimes({"tf_graph": FixedAnswers(tiny_subject.runtime("tf_graph"), answers)})

    return planted


def test_the_profile_of_each_worst_leaf_says_what_its_check_says(tiny_subject):
    probes = ("predict", "eval_loss", "eval_gradient")
    checks = checks_of(tiny_subject, *map(item, probes), *(item(p, "jax", "none") for p in probes))
    found = list(profiles.of_case(tiny_subject, checks))
    assert {profile.probe for profile in found} == set(probes)
    for profile in found:
        rivals = [c for c in checks if c.probe == profile.probe and c.runtime == "tf_graph"]
        check = max(rivals, key=lambda c: c.score)
        assert (profile.item, profile.leaf, profile.runtime) == (check.item, check.leaf, "tf_graph")
        assert profile.block == [1, 1]
        assert check.score == explained_by(profile, tiny_subject)
        elements = math.prod(profile.shape)
        assert sum(profile.counts) == sum(profile.jax_counts) == elements
        jax = next(c for c in checks if (c.probe, c.leaf, c.runtime) == (profile.probe, profile.leaf, "jax"))
        highest = max(n for n, count in enumerate(profile.jax_counts) if count)
        assert not highest or profile.edges[highest] <= jax.score * 1.001


def test_one_element_off_is_seen_in_its_block_and_beyond_the_limit(tiny_subject, answering):
    def off(answers):
        answers["eval_gradient"]["hidden/kernel"][2, 5] += 1.0

    subject = answering("evaluate", off)
    checks = checks_of(subject, item("eval_gradient"))
    [profile] = profiles.of_case(subject, checks)
    [check] = [c for c in checks if c.status == records.FAIL]
    assert (profile.leaf, profile.shape, profile.block) == ("hidden/kernel", [4, 8], [1, 1])
    assert check.worst.index == [2, 5]
    assert profile.map[2][5] == largest(profile) > 1e6
    assert check.score == explained_by(profile, tiny_subject)
    limit = profile.edges.index(128.0)
    assert (sum(profile.counts[limit:]), sum(profile.jax_counts[limit:])) == (1, 0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_element_that_is_not_finite_is_infinitely_far(tiny_subject, answering, value):
    def off(answers):
        answers["predict"]["output"][7, 1] = value

    subject = answering("predict", off)
    [profile] = profiles.of_case(subject, checks_of(subject, item("predict")))
    assert profile.map[7][1] == largest(profile) == math.inf
    assert profile.counts[-1] == 1
    assert msgspec.convert(records.encode(profile), records.Profile) == profile


def test_an_exact_leaf_that_differs_is_profiled_against_jax(tiny_subject, answering):
    def off(answers):
        for leaf in answers["rng"]:
            answers["rng"][leaf][..., -1] += 1

    subject = answering("train", off)
    [profile] = profiles.of_case(subject, checks_of(subject, item("rng")))
    assert (profile.map[0][-1], profile.map[0][0]) == (math.inf, 0.0)
    assert profile.jax_counts[0] == sum(profile.jax_counts)


def test_what_is_measured_at_other_sizes_of_the_examples_is_kept_for_these(tiny_subject):
    kept, place = profiles.WorstLeaves(), Place("tf_graph")
    results = {"predict": score(tiny_subject, "predict", place, SIZE)}
    own = tiny_subject.evaluate("tf_graph", "predict", tiny_subject.batch(SIZE))
    jax, oracle = (tiny_subject.kept(name, "predict", SIZE) for name in ("jax", "jax_float64"))
    budgets = tiny_subject.budgets("predict", SIZE)
    kept(place, SIZE, results, lambda probe: (own[probe], jax[probe], oracle[probe], budgets[probe]), variant="t=8")
    [check] = checks_of(tiny_subject, item("predict"))
    assert kept.of(replace(check, variant="t=8")) is not None
    assert kept.of(check) is None


class Failing(Runtime):
    def compute(self, evaluation, batch, device):
        raise RuntimeFailureError("it answers no more")


class Reshaped(Failing):
    def compute(self, evaluation, batch, device):
        return {"predict": {"output": np.zeros((1, 1), "f")}}


@pytest.mark.parametrize("runtime", [Failing, Reshaped])
def test_a_profile_that_fails_to_evaluate_again_has_the_reason(tiny_subject, runtime):
    checks = checks_of(tiny_subject, item("predict"), item("eval_loss"))
    failing = tiny_subject.with_runtimes({"tf_graph": runtime(tiny_subject.runtime("tf_graph").model)})
    found = list(profiles.of_case(failing, checks))
    assert {profile.probe for profile in found} == {"predict", "eval_loss"}
    for profile in found:
        assert profile.failed
        assert not profile.counts
        assert msgspec.convert(records.encode(profile), records.Profile) == profile


def test_the_worst_of_each_probe_failing_first_and_no_more_than_eight():
    def check(probe, score, **changes):
        return replace(samples.check(probe=probe), score=score, **changes)

    found = profiles.worst([
        check("predict", 2.0), check("predict", 900.0, tf_device="none"), check("predict", 3.0, runtime="tf_eager"),
        check("eval_loss", 1.0, status="fail"), check("rng", math.nan), check("accuracy", 5.0),
        check("train_loss", None), check("batch_stats", 7.0, message=profiles.NOTE), check("relations", 9.0),
    ])  # fmt: skip
    assert [(c.probe, c.runtime) for c in found] == [
        ("eval_loss", "tf_xla"), ("rng", "tf_xla"), ("predict", "tf_eager"),
    ]  # fmt: skip
    assert profiles.MOST == 8


@pytest.mark.parametrize(
    ("shape", "rows", "columns", "block"),
    [((), 1, 1, [1, 1]), ((7,), 1, 7, [1, 1]), ((100, 3), 34, 3, [3, 1]), ((5, 5, 2, 97), 25, 33, [2, 3])],
)
def test_a_map_has_a_bounded_size_and_keeps_the_largest(shape, rows, columns, block):
    apart = np.random.default_rng(0).random(shape)
    at = np.unravel_index(apart.argmax(), apart.shape)
    found, size = profiles.position_map(apart)
    assert (len(found), len(found[0]), size) == (rows, columns, block)
    row = int(np.ravel_multi_index(at[:-1], shape[:-1])) if shape[:-1] else 0
    assert found[row // size[0]][(at[-1] if at else 0) // size[1]] == pytest.approx(apart.max(), rel=1e-3)


def test_distances_are_those_of_the_judge():
    rng = np.random.default_rng(1)
    oracle = rng.normal(size=(20, 7))
    jax = oracle.astype("f")
    actual = jax + np.float32(1e-5)
    budget = Budget(1e-6, 2e-6)
    [found] = judge({"w": actual}, {"w": jax}, {"w": oracle}, {"w": budget}, 128.0)
    apart = profiles.distances(actual, oracle, budget.max)
    rms = math.sqrt((apart**2).mean()) * budget.max / budget.rms
    assert max(apart.max(), rms) == pytest.approx(found.score)
    same = np.array([math.nan, math.inf, 0.0])
    assert profiles.distances(same, same, 0.0).tolist() == [0, 0, 0]
