"""The published measurements are of this code; test_docs.py compares the figures in the chapters with them."""

import json

import pytest

from parity.core.errors import RecordError
from parity.handover import HANDOVERS
from parity.records import false_alarms, published, timing_calibration
from parity.report import handover
from parity.report.panels import trust
from parity.scoring import rules
from parity.tests.support.paths import ROOT

BASELINES = sorted((ROOT / "fixtures" / "baselines").glob("*.json"))


def test_the_study_found_no_false_alarm_and_the_limit_follows_from_it():
    study = published.load(published.FALSE_ALARMS)
    assert study["false_alarms"] == []
    assert study["follow"] == study["limits"] == rules.LIMITS
    assert study["follow"] == false_alarms.limits_for(study["scores"])
    assert len(study["pairs"]) >= 2
    assert min(pair["trainings"] for pair in study["pairs"]) >= 8


def test_the_long_hand_over_is_in_order_and_has_every_method_from_five_seeds():
    run = published.run(published.HANDOVER)
    assert run.in_order()
    measured = {(cost.method, cost.seed) for cost in run.handover_costs}
    assert measured >= {(method, seed) for method in HANDOVERS for seed in range(5)}
    assert [figure.title for figure in handover.published_view()["charts"]]


def test_the_promises_of_the_timing_calibration_hold():
    study = timing_calibration.of(published.load(published.TIMING_CALIBRATION))
    assert list(timing_calibration.broken(study)) == []


def test_the_trust_panel_shows_every_published_study():
    shown = trust.published_view()
    assert len(shown["timing"]["rows"]) == 8
    assert shown["study"]["figure"].svg.startswith("<svg")
    assert sum(map(len, shown["faults"]["groups"].values())) == len(shown["faults"]["faults"]) >= 60


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 1}'])
def test_a_damaged_published_study_is_refused_by_file_name(tmp_path, monkeypatch, text):
    monkeypatch.setattr(published, "_PLACES", (tmp_path,))
    (tmp_path / "faults.json").write_text(text)
    with pytest.raises(RecordError, match=r"faults\.json"):
        published.load(published.FAULTS)


def test_without_published_studies_the_trust_panel_is_absent(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "_PLACES", (tmp_path,))
    assert trust.published_view() is None


@pytest.mark.parametrize("path", BASELINES, ids=lambda path: path.stem)
def test_a_baseline_is_of_this_suite(path):
    baseline = json.loads(path.read_text(encoding="utf-8"))
    assert all(row["limit"] >= rules.limit_of(None, row["probe"]) for row in baseline["items"])
    assert baseline["deprecations"] is not None
    items = {row["probe"] for row in baseline["items"]}
    assert {"predict", "relations", "seeded_defects", "operations", "artifact", "training"} <= items


def test_every_supported_cell_has_a_baseline():
    named = [line.strip() for line in (ROOT / "tox.ini").read_text(encoding="utf-8").splitlines()]
    first = named.index("env_list =") + 1
    supported = named[first : named.index("summary")]
    assert [path.stem for path in BASELINES] == sorted(supported)
