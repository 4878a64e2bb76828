"""Records and baselines of schema 1 are read as if they were written today."""

import json
from pathlib import Path

import pytest

from parity import gate, records
from parity.gate import baselines
from parity.records import schema_1
from parity.tests.support import samples

ROOT = Path(__file__).parents[4]
HANDOVER = ROOT / "reports" / "handover" / "run.json"

CASE = "reference"
ITEMS = {
    ("test_predict[reference-tf_xla-b13]", "predict", "tf_xla"): ("predict", "predict", "", "tf_xla-b13"),
    ("test_power[reference-eval_loss-b1]", "eval_loss", "jax_float64"): ("power", "eval_loss", "", "eval_loss-b1"),
    ("test_relations[reference-split_batch-jax]", "relations", "jax"): (
        "relations", "relations", "split_batch", "split_batch-jax",
    ),
    ("test_canaries[reference-ninth_member-jax]", "canaries", "jax"): (
        "seeded_defects", "seeded_defects", "held_out_member", "held_out_member-jax",
    ),
    ("test_trajectory[reference-exported_bfloat16]", "trajectory", "saved_model"): (
        "trajectory", "trajectory", "exported_bfloat16", "exported_bfloat16",
    ),
    ("test_endurance[reference]", "endurance", "saved_model"): ("long_handover", "long_handover", "", ""),
    ("test_latency[reference-tf_xla-train_step-b256]", "latency", "tf_xla"): (
        "latency", "latency", "train_step", "tf_xla-train_step-b256",
    ),
    ("test_footprint[reference-tf_xla]", "latency", "tf_xla"): ("footprint", "latency", "", "tf_xla"),
    ("verify_predict[reference-saved_model-b13]", "predict", "saved_model"): (
        "predict", "predict", "", "saved_model-b13",
    ),
    ("something else", "predict", "jax"): ("predict", "predict", "", None),
}  # fmt: skip


def row(item, probe, runtime, case=CASE, **more):
    devices = {"jax_device": "cpu:0", "tf_device": "cpu:0"}
    return {"item": item, "case": case, "probe": probe, "runtime": runtime, "batch_size": 13, **devices, **more}


@pytest.mark.parametrize(("old", "new"), ITEMS.items(), ids=[item for item, *_ in ITEMS])
def test_a_schema_1_item_becomes_test_probe_and_variant(old, new):
    found = schema_1.upgrade_place(row(*old))
    test, probe, variant, rest = new
    assert (found["test"], found["probe"], found["variant"]) == (test, probe, variant)
    kind = old[0].partition("_")[0]
    inside = "-".join(filter(None, (CASE, rest)))
    assert found["item"] == (old[0] if rest is None else f"{kind}_{test}[{inside}]")


@pytest.mark.parametrize("probe", ["operations", "optimizers"])
def test_what_is_of_no_case_is_named_after_its_variant(probe):
    found = schema_1.upgrade_place(row(f"test_{probe}[adam_clipped-carried]", probe, "tf_graph", case=probe))
    assert (found["test"], found["variant"]) == (probe, "adam_clipped-carried")


def as_schema_1(run):
    """`run`, whose items are `test_<probe>[…]`, as schema 1 had it."""
    data = {**records.encode(run), "schema": 1}
    data["hits"] = [
        {("way" if k == "method" else k): v for k, v in cost.items()} for cost in data.pop("handover_costs")
    ]
    for name in ("plan", "checks"):
        for place in data[name]:
            del place["test"], place["variant"]
    return data


def a_run():
    item = samples.planned(item="test_relations[reference-split_batch-tf_xla]", test="relations", probe="relations",
                           variant="split_batch")  # fmt: skip
    cost = records.HandoverCost("reference", "carried", 3, 7, 0.0, 0, 0, 1.0)
    return samples.run(plan=[item], checks=[item.check(leaf="*", status="pass")], handover_costs=[cost])


def test_a_record_is_read_as_if_it_were_written_today(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(as_schema_1(a_run())))
    assert records.read(tmp_path) == a_run()


def test_a_stream_is_read_as_if_it_were_written_today(tmp_path):
    data, names = as_schema_1(a_run()), {"planned": "plan", "check": "checks", "hit": "hits"}
    head = {"event": "start", **{k: data[k] for k in ("schema", "cell", "mode", "inputs", "started_at", "environment")}}
    events = [{"event": kind, **event} for kind, name in names.items() for event in data[name]]
    (tmp_path / "run.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (head, *events)))
    found, expected = records.read(tmp_path), a_run()
    assert (found.plan, found.checks, found.handover_costs) == (expected.plan, expected.checks, expected.handover_costs)


def test_the_gate_compares_an_old_record_with_a_new_one(tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(as_schema_1(a_run())))
    later = a_run()
    later.started_at = "2026-02-02T00:00:00.000Z"
    new.write_text(records.dumps(later))
    verdict = gate.judge(gate.read(old), gate.read(new), gate.load_policy())
    assert (verdict.exit_code, verdict.compared, verdict.findings) == (0, 1, [])


def test_a_baseline_is_read_as_if_it_were_written_today():
    item = {**row("test_canaries[reference-ninth_member-jax]", "canaries", "jax"), "limit": 64,
            "leaves": {"pass": {"ninth_member": 1}}}  # fmt: skip
    ruler = {"case": CASE, "probe": "predict", "batch_size": 13, "budgets": {"output": [1, 2]}}
    data = {
        "schema": 1, "kind": "baseline", "cell": "x", "mode": "joint", "versions": {}, "questions": [item],
        "rulers": [ruler], "remedies": [], "deprecations": None,
    }  # fmt: skip
    text = json.dumps(data).encode()
    found = gate.side.parse(text, "baseline")
    assert list(found.checks) == [("test_seeded_defects[reference-held_out_member-jax]", "held_out_member")]
    assert found.budgets == {(CASE, "predict", 13, "output"): (1, 2)}
    again = json.loads(baselines.dumps(found))
    assert again["schema"] == records.SCHEMA
    assert (again["items"][0]["variant"], again["items"][0]["probe"]) == ("held_out_member", "seeded_defects")


def test_the_published_record_of_hand_overs_is_read():
    run = records.read(HANDOVER)
    assert {place.test for place in run.plan} == {"long_handover"}
    assert {cost.method for cost in run.handover_costs} >= {"restarted", "carried", "exported"}
    assert run.in_order()
