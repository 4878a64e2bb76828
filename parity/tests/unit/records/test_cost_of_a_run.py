"""The study of cost says which promise is broken, and its table says what was measured."""

import json

import msgspec
import pytest

from parity.core.errors import RecordError
from parity.records import cost, published
from parity.records.cost import GIB, Measurement, Size, Study

SIZES = (1_000_000, 10_000_000)


def measured(cpu_s=100.0, gib=2.0, failure=""):
    return Measurement(2 * cpu_s, cpu_s, int(gib * GIB), (1.0, 2.5), failure)


def size(parameters, run=(), bare=()):
    """Of a model whose run takes 3 times the CPU and 1.5 times the memory."""
    shape = {"parameters": parameters - 7000, "layers": 3, "width": 88, "batch_size": 13}
    return Size(
        size=parameters, **shape, made_at="2026-01-02T03:04:05.678Z", bare=list(bare or [measured()]),
        run=list(run or [measured(300.0, 3.0)]),
    )  # fmt: skip


def study(*sizes):
    return Study(1, cost.COMMAND, "standard", {"jax": "0.10.2"}, {"cores": 2}, list(sizes) or [*map(size, SIZES)])


def test_a_study_that_holds_breaks_nothing():
    assert list(cost.broken(study(), SIZES)) == []


def two(first, second):
    """Two sizes whose runs cost that."""
    return study(*(size(number, [one]) for number, one in zip(SIZES, (first, second), strict=True)))


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        (study(size(SIZES[0])), ["10,000,000"]),
        (two(measured(390.0), measured(410.0)), ["10,000,000", "CPU", "4.10", "4 or less"]),
        (two(measured(gib=3.9), measured(gib=4.1)), ["10,000,000", "memory", "2.05", "2 or less"]),
        (two(measured(200.0), measured(300.0)), ["10,000,000", "CPU", "from 2.00 to 3.00"]),
        (two(measured(gib=2.4), measured(gib=3.6)), ["memory", "from 1.20 to 1.80"]),
        (two(measured(), measured(failure="exit code 1: x")), ["10,000,000", "exit code 1: x"]),
        (study(size(SIZES[0]), size(SIZES[1], bare=[measured(failure="exit code -9: ")])), ["exit code -9"]),
    ],
)
def test_every_promise_can_be_broken(changed, names):
    [found] = cost.broken(changed, SIZES)
    assert all(name in found for name in names), found


def test_growth_is_seen_beyond_a_size_in_between_that_grew_less():
    ratios = (2.0, 2.4, 2.6)
    grown = study(*(size(10**n, [measured(100 * ratio)]) for n, ratio in enumerate(ratios, 6)))
    [found] = cost.broken(grown, ())
    assert "100,000,000" in found
    assert "from 2.00 to 2.60" in found


def test_ratios_are_of_medians_and_only_of_measurements_that_ended_in_order():
    found = size(SIZES[0], [*map(measured, (200.0, 900.0, 300.0))], [*map(measured, (100.0, 50.0, 150.0))])
    assert (found.cpu_ratio, found.memory_ratio) == (3.0, 1.0)
    failed = size(SIZES[0], [measured(), measured(failure="ended")])
    assert (failed.complete, failed.cpu_ratio, failed.memory_ratio) == (False, None, None)
    assert not msgspec.structs.replace(found, run=[]).complete


def test_the_table_has_a_row_for_each_size_and_says_what_failed():
    failed = size(SIZES[1], [measured(40.0, failure="ended at 9.0 GiB")])
    unmeasured = msgspec.structs.replace(size(50_000_000), run=[])
    assert cost.table(study(size(SIZES[0]), failed, unmeasured)) == [
        ["1.0 M", "200 s, 100 s, 2.0 GiB", "600 s, 300 s, 3.0 GiB", "3.00", "1.50"],
        ["10.0 M", "200 s, 100 s, 2.0 GiB", "80 s, 40 s, 2.0 GiB; did not end in order", "", ""],
        ["50.0 M", "200 s, 100 s, 2.0 GiB", "not measured", "", ""],
    ]
    text = cost.markdown(study(size(SIZES[0]), failed))
    assert "ended at 9.0 GiB" in text
    assert all(len(line) <= 80 for line in cost.lines(study()))


def test_a_study_is_read_as_it_was_written(tmp_path, monkeypatch):
    assert cost.read(tmp_path) is None
    cost.write(study(), tmp_path)
    monkeypatch.setattr(published, "_PLACES", (tmp_path,))
    assert cost.read(tmp_path) == cost.of(published.load(published.COST)) == study()


def test_a_study_that_is_cut_off_altered_or_newer_is_refused_by_name(tmp_path):
    path = cost.write(study(), tmp_path)
    whole, data = path.read_text(), json.loads(path.read_text())
    for text in (whole[:99], "[]", json.dumps({**data, "schema": 2}), json.dumps({**data, "sizes": [{}]})):
        path.write_text(text)
        with pytest.raises(RecordError, match=r"cost\.json.*measure it again|cost\.json.*Measure it again"):
            cost.read(tmp_path)
