"""Two runs of different levels: what is compared, what blocks."""

import re
from itertools import product

import msgspec
import pytest

from parity import gate, records
from parity.gate import baselines, verdict
from parity.gate.side import parse
from parity.records import FULL, LEVELS, QUICK, STANDARD, Power
from parity.records.levels import includes
from parity.tests.support import gate_runs, samples

TESTS = {"predict": "predict", "latency": "latency", "footprint": "latency"}
"""The probe of each test."""
SIZE_OF = {QUICK: 13, STANDARD: 256, FULL: 20}


def run(level, newer=False, bad=None, **changes):
    """A run of a level, with an item, a power, a budget, a timing and a footprint of every level that it includes."""
    names = [name for name in LEVELS if includes(level, name)]
    plan = [
        samples.planned(
            item=f"test_{test}[reference-tf_xla-{name}]", test=test, probe=probe, level=name,
            batch_size=SIZE_OF[name], runtime=f"tf_{name}", variant="predict" if probe == "latency" else "",
        )
        for name, (test, probe) in product(names, TESTS.items())
    ]  # fmt: skip
    wrong = next((item for item in plan if item.level == bad), None)
    checks = [
        item.check(leaf="output", status="fail" if item is wrong else "pass", score=1.0, limit=64.0) for item in plan
    ]
    sizes, source = [SIZE_OF[name] for name in names], "rounding"
    made = (gate_runs.newer if newer else gate_runs.run)(
        plan=plan, checks=checks,
        powers=[Power("reference", "predict", size, "w", 1e-4) for size in sizes],
        budgets=[records.BudgetRecord("reference", "predict", size, "output", 1e-7, 2e-7, source) for size in sizes],
        timings=[samples.timing(runtime=f"tf_{name}", batch_size=SIZE_OF[name]) for name in names],
        footprints=[samples.footprint(runtime=f"tf_{name}") for name in names],
    )  # fmt: skip
    return msgspec.structs.replace(made, level=level, **changes)


def judged(old, new):
    return gate.judge(side(old), side(new), gate_runs.POLICY)


def side(made):
    return made if not isinstance(made, records.Run) else parse(records.dumps(made).encode(), "r")


def as_baseline(made):
    """The run as the baseline file that is made of it."""
    return parse(baselines.dumps(side(made)).encode(), "b")


def kinds(found, level):
    return {finding.kind for finding in found.findings if finding.level == level}


BOTH = pytest.mark.parametrize("kept", [side, as_baseline], ids=["run", "baseline file"])


@BOTH
@pytest.mark.parametrize("level", LEVELS)
def test_two_runs_of_one_level_are_compared_whole(kept, level):
    found = judged(kept(run(level)), run(level, newer=True))
    assert found.exit_code == 0
    assert found.compared == 3 * (1 + LEVELS.index(level))
    assert verdict.LEVEL not in kinds(found, verdict.NOTE)


@BOTH
@pytest.mark.parametrize(("lower", "higher"), [(QUICK, STANDARD), (QUICK, FULL), (STANDARD, FULL)])
def test_a_candidate_of_a_lower_level_blocks_for_that_alone(kept, lower, higher):
    found = judged(kept(run(higher)), run(lower, newer=True))
    assert found.exit_code == 1
    assert kinds(found, verdict.BLOCK) == {verdict.LEVEL}


@BOTH
@pytest.mark.parametrize(("lower", "higher"), [(QUICK, STANDARD), (QUICK, FULL), (STANDARD, FULL)])
def test_of_a_candidate_of_a_higher_level_what_both_planned_is_compared(kept, lower, higher):
    found = judged(kept(run(lower)), run(higher, newer=True))
    assert found.exit_code == 0
    assert verdict.LEVEL in kinds(found, verdict.NOTE)
    assert verdict.NEW not in kinds(found, verdict.NOTE)
    assert found.compared == 3 * (1 + LEVELS.index(lower))


@BOTH
def test_what_only_the_candidate_planned_blocks_where_it_is_out_of_order(kept):
    found = judged(kept(run(STANDARD)), run(FULL, newer=True, bad=FULL))
    assert kinds(found, verdict.BLOCK) == {verdict.NEW_BAD}


@BOTH
@pytest.mark.parametrize("bad", [QUICK, STANDARD])
def test_what_both_planned_blocks_where_it_got_worse(kept, bad):
    assert kinds(judged(kept(run(STANDARD)), run(FULL, newer=True, bad=bad)), verdict.BLOCK) == {verdict.WORSE}
    assert kinds(judged(kept(run(FULL)), run(STANDARD, newer=True, bad=bad)), verdict.BLOCK) == {
        verdict.LEVEL,
        verdict.WORSE,
    }


@BOTH
def test_an_item_that_the_candidates_level_has_and_its_plan_lacks_is_missing(kept):
    new = run(STANDARD, newer=True)
    new.plan[:] = [item for item in new.plan if item.level != QUICK]
    new.checks[:] = [check for check in new.checks if "quick" not in check.item]
    assert verdict.MISSING in kinds(judged(kept(run(FULL)), new), verdict.BLOCK)


@pytest.mark.parametrize("field", ["powers", "budgets", "timings"])
@pytest.mark.parametrize(("level", "blocks"), [(QUICK, True), (STANDARD, True), (FULL, False)])
def test_a_measure_is_missing_where_the_common_level_has_it(field, level, blocks):
    new = run(STANDARD, newer=True)
    setattr(new, field, [row for row in getattr(new, field) if row.batch_size != SIZE_OF[level]])
    found = judged(run(FULL), new)
    assert (
        any(SIZE_OF[level] == 0 or f"{SIZE_OF[level]}" in f.item for f in found.findings if f.kind != verdict.LEVEL)
        is blocks
    )


def test_a_record_from_before_levels_is_one_of_the_highest():
    text = re.sub(r',\s*"level": ?"\w+"', "", records.dumps(run(FULL)))
    assert "level" not in text
    old = parse(text.encode(), "r")
    assert old.level == FULL
    assert {old.level_of(item) for item in old.places} == {FULL}
    assert kinds(judged(old, run(STANDARD, newer=True)), verdict.BLOCK) == {verdict.LEVEL}
