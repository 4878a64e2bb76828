"""Anything may stand in a record: the reader gives a standing or a clear error, and the gate is never fooled.

PARITY_FUZZ=1000 tries that many inputs in every test instead of a few.
"""

import contextlib
import copy
import io
import json
import math
import os
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from parity import gate, records
from parity.core.errors import NotComparableError, RecordError
from parity.gate import checks as check_rules
from parity.gate import outputs
from parity.gate.side import parse
from parity.records import Deprecation, Power, Remedy, Stopped
from parity.tests.support import samples
from parity.tests.support.gate_runs import POLICY, as_side, encoded, judge, newer, run

TRIES = int(os.environ.get("PARITY_FUZZ", "0"))
fuzz = settings(
    max_examples=TRIES or 25, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)  # fmt: skip

HOSTILE = (
    "<script>alert(1)</script>", "</system-out>]]>", "a\nb\r\nc", "\x1b[2J\x1b[31m", "x" * 10_000, "\u202etxt.exe",
    "\u2066a\u2069\u200b", "::error title=a::b", "##[error]x", "::add-mask::a", "%0A::warning::",
    "`|*_[a](javascript:b)",
    "\u2028\u2029\x85\x0b\x0c", "\x00\x07\x9b", "\ud800", "@everyone #1 https://x.y www.x.y", "&lt;", "\ufeff",
    "\ufffe", "a:", ":",
)  # fmt: skip
names = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=()), max_size=40))
sizes = st.one_of(st.floats(0, 64), st.just(0.0), st.none())
plain = st.sampled_from("abc")
fine = st.sampled_from(records.IN_ORDER)
statuses = st.sampled_from(records.STATUSES)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | names
    | st.sampled_from(["nan", "inf", "-inf", *records.STATUSES, -1, 2, 1e300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@st.composite
def runs(draw, status=fine, name=plain, score=sizes):
    """Runs of a few items with a few leaves each; TensorFlow has answered the first."""
    plan, checks = [], []
    for number in range(draw(st.integers(1, 4))):
        items = samples.planned(
            item=f"test_{number}{draw(name)}", case=draw(name), probe=draw(name), runtime=draw(name), tf_device="cpu:0"
        )
        plan.append(items)
        for leaf in range(draw(st.integers(1, 3))):
            now = "pass" if not checks else draw(status)
            found = {"status": now, "score": draw(score), "limit": 64.0, "bits_equal": draw(st.booleans())}
            reported = {name: draw(st.none() | names) for name in ("failure", "evidence", "message")}
            checks.append(items.check(leaf=f"{leaf}{draw(name)}", **found, **reported))
    powers = [Power(draw(name), "predict", 13, f"w{n}", draw(st.floats(0, 1))) for n in range(draw(st.integers(0, 3)))]
    return run(
        plan=plan, checks=checks, powers=powers,
        remedies=[Remedy(plan[0].case, draw(name), draw(name), draw(name))],
        deprecations=[Deprecation(draw(st.sampled_from(["jax", "tensorflow", "numpy"])), draw(name))],
    )  # fmt: skip


def later(made):
    """The same, on another day."""
    return replace(copy.deepcopy(made), started_at="2026-02-02T00:00:00.000Z")


def verdict(baseline, candidate):
    return gate.judge(parse(encoded(baseline), "old"), parse(encoded(candidate), "new"), POLICY)


def tried(data):
    """What became of `data` as a candidate: its verdict, or None where it was refused in the ways that are allowed."""
    try:
        return gate.judge(as_side(run()), parse(data, "some.json"), POLICY)
    except (RecordError, NotComparableError) as error:
        refused(error)
        return None


def refused(error):
    """Holds an error to what every output is held to."""
    assert str(error).isprintable()
    assert len(str(error)) < 2_000


WHOLE = encoded(newer())


@fuzz
@given(st.binary(max_size=400))
def test_random_bytes_are_refused(data):
    assert tried(data) is None


@fuzz
@given(st.data())
def test_bytes_that_were_changed_or_cut_give_no_crash(data):
    start = data.draw(st.integers(0, len(WHOLE)))
    end = data.draw(st.integers(start, min(start + 40, len(WHOLE))))
    tried(WHOLE[:start] + data.draw(st.binary(max_size=10)) + WHOLE[end:])


def places(tree, path=()):
    """The path of every value in JSON data."""
    yield path
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from places(value, (*path, key))


PLACES = [path for path in places(json.loads(WHOLE)) if path]


@fuzz
@given(st.sampled_from(PLACES), st.one_of(st.just(...), values))
def test_one_value_that_is_deleted_or_of_another_kind_gives_no_crash(path, value):
    tree = json.loads(WHOLE)
    *method, last = path
    holder = tree
    for key in method:
        holder = holder[key]
    if value is ...:
        del holder[last]
    else:
        holder[last] = value
    found = tried(json.dumps(tree).encode())
    if found and path[0] in ("plan", "checks", "powers") and value is ... and len(path) < 3:
        assert found.exit_code == (path[0] != "plan")
    if found and path[0] == "checks" and len(path) == 3 and last == "status" and value not in ("pass", "remedied"):
        assert found.exit_code == 1


@fuzz
@given(st.sampled_from([path for path in PLACES if len(path) == 2 and path[0] in ("checks", "plan", "powers")]))
def test_a_row_that_is_there_twice_is_refused(path):
    tree = json.loads(WHOLE)
    tree[path[0]].insert(0, tree[path[0]][path[1]])
    assert tried(json.dumps(tree).encode()) is None


@fuzz
@given(runs(), st.data())
def test_whatever_gets_worse_blocks(made, data):
    baseline, candidate = made, later(made)
    number = data.draw(st.integers(0, len(made.checks) - 1))
    check = made.checks[number]
    worse = [
        *({"status": status} for status in ("fail", "fixed", "error", "crash", "timeout", "missing")),
        *({"limit": limit} for limit in (64.5, math.inf, math.nan, None)),
    ]
    if check.status != "known":
        worse += [{"status": "known"}]
        worse += [{"score": score} for score in (64.5, math.inf, math.nan)]
        worse += [{"score": None}] if check.score is not None else []
    candidate.checks[number] = replace(check, **data.draw(st.sampled_from(worse)))
    assert verdict(baseline, candidate).exit_code == 1


@fuzz
@given(runs(), st.data())
def test_whatever_is_taken_away_blocks(made, data):
    candidate = later(made)
    what = data.draw(st.sampled_from(["leaf", "item", "unplanned item", "case", *["power"] * bool(made.powers)]))
    row = data.draw(st.sampled_from(made.powers if what == "power" else made.checks))
    if what == "power":
        candidate.powers.remove(row)
    elif what == "leaf":
        candidate.checks.remove(row)
    else:
        gone = (lambda of: of.case == row.case) if what == "case" else (lambda of: of.item == row.item)
        candidate.checks = [check for check in candidate.checks if not gone(check)]
        if what != "item":
            candidate.plan = [planned for planned in candidate.plan if not gone(planned)]
    if candidate.checks or candidate.plan:
        assert verdict(made, candidate).exit_code == 1
    else:
        with pytest.raises(NotComparableError):
            verdict(made, candidate)


@fuzz
@given(runs(), st.sampled_from(["aborted", "interrupted", "stopped"]))
def test_a_candidate_that_did_not_end_blocks(made, state):
    how = {"stopped": Stopped("crash", "crash", "signal 6")} if state == "stopped" else {"state": state}
    assert verdict(made, replace(later(made), **how)).exit_code == 1


@fuzz
@given(runs(statuses, score=st.floats(0, 1e3) | st.none()), runs(statuses), st.randoms())
def test_the_order_of_rows_changes_nothing(one, other, random):
    def shuffled(made):
        made = copy.deepcopy(made)
        for rows in (made.plan, made.checks, made.powers, made.remedies):
            random.shuffle(rows)
        return made

    def output(baseline, candidate):
        try:
            found = verdict(baseline, later(candidate))
        except NotComparableError as error:
            return str(error)
        return outputs.terminal(found), found.findings

    assert output(one, other) == output(shuffled(one), shuffled(other))


@fuzz
@given(runs(statuses), st.data())
def test_what_gets_better_never_blocks(made, data):
    candidate = later(made)
    for number, check in enumerate(made.checks):
        score = None if check.score is None else data.draw(st.floats(0, min(check.score, 64)))
        candidate.checks[number] = replace(check, status="pass", score=score)
    for number, power in enumerate(made.powers):
        candidate.powers[number] = replace(power, smallest_relative_error=power.smallest_relative_error / 2)
    assert verdict(made, candidate).decision == "may upgrade"


@fuzz
@given(runs(statuses, score=st.floats(0, 1e3) | st.none()), runs(statuses))
def test_what_is_passed_over_quickly_is_what_there_is_nothing_to_say_of(one, other):
    old, new = as_side(one).checks, as_side(other).checks
    reported = {
        (before or after).item + (before or after).leaf
        for before, after in check_rules.differing_pairs(old, new, POLICY.drift)
    }
    for key in old.keys() | new.keys():
        if "".join(key) not in reported:
            assert check_rules.compare(old[key], new[key], POLICY.drift, False, True) == []


@fuzz
@given(runs(statuses, names, st.floats(0, 1e3) | st.none()), runs(statuses, names), st.booleans())
def test_every_output_is_safe_and_says_the_same(one, other, ended):
    candidate = later(other)
    if not ended:
        candidate.stopped = Stopped("crash", HOSTILE[2], HOSTILE[0])
    candidate.checks += [replace(check, item=candidate.plan[0].item) for check in one.checks]
    candidate.plan += [replace(items, item=items.item + "2") for items in one.plan]
    try:
        found = verdict(one, candidate)
    except (RecordError, NotComparableError) as error:
        refused(error)
        return
    sentences = [found.sentence, *(group.sentence for group in found.groups), *(f.sentence for f in found.findings)]
    assert all(sentence.isprintable() and len(sentence) < 2_000 for sentence in sentences)
    assert found.exit_code == any(finding.level == "block" for finding in found.findings)
    assert sum(group.count for group in found.groups) == len(found.findings)
    lines = outputs.terminal(found).split("\n")
    assert all(len(line) <= 80 and (line.isprintable()) for line in lines)
    assert not any(line.lstrip().startswith("::") or "##[" in line for line in lines)
    commands = outputs.github(found).split("\n")
    assert len(commands) <= 30
    assert all(line.startswith(("::error title=", "::warning title=", "::notice title=")) for line in commands)
    assert all(line.count("::") == 2 and line.isprintable() for line in commands)
    shown = outputs.summary(found)
    assert "<" not in shown
    assert all(line.isprintable() for line in shown.split("\n"))
    tree = ElementTree.fromstring(outputs.junit(found).encode())
    assert [case.find("*").text for case in tree.iter("testcase")] == sentences[: 1 + len(found.groups)]
    reported = json.loads(outputs.as_json(found, as_side(one), as_side(one)).encode())
    assert [finding["sentence"] for finding in reported["findings"]] == [finding.sentence for finding in found.findings]


@fuzz
@given(names, st.integers(60, 400))
def test_one_line_is_one_line(text, longest):
    from parity.core.text import one_line

    shown = one_line(text, longest)
    assert shown.isprintable()
    assert "::" not in shown
    assert "##[" not in shown
    assert len(shown) <= longest * 2
    if text.isprintable() and len(text) <= longest and not any(part in f"{text}:" for part in ("::", "##[")):
        assert shown == text


def test_the_command_line_survives_a_hostile_record(tmp_path):
    from parity.cli.main import main

    one, other = run(), newer()
    for of, status in ((one, "pass"), (other, "fail")):
        for number, name in enumerate(HOSTILE):
            items = samples.planned(item=f"{number}{name}", case=name, probe=name, runtime=name)
            of.plan.append(items)
            of.checks.append(items.check(leaf=name, status=status, score=1.0, limit=64.0, message=name))
    paths = [tmp_path / name for name in ("old.json", "new.json")]
    for path, of in zip(paths, (one, other), strict=True):
        path.write_bytes(encoded(replace(of, cell=HOSTILE[0])))
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        files = [f"--{name}={tmp_path / name}" for name in ("markdown", "junit", "json")]
        assert main(["gate", *map(str, paths), *files, "--github"]) == 1
    assert all(line.isprintable() for line in output.getvalue().split("\n"))
    assert len(json.loads((tmp_path / "json").read_text())["findings"]) == len(HOSTILE)


def test_all_names_are_kept_apart_and_counted():
    other = newer()
    other.checks = [replace(check, status="fail", score=100.0) for check in other.checks]
    assert judge(other).count("block") == len(other.checks)
