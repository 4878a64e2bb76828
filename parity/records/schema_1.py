"""Upgrade what has schema 1, the first format of records and baselines. Nothing else reads the ids of items.

Schema 2 names the test and the variant of every item, and has plainer names for some tests, variants and fields.
"""

from __future__ import annotations

import re
from typing import Any

Row = dict[str, Any]

TESTS = {"canaries": "seeded_defects", "endurance": "long_handover"}
"""By their old names; a probe was called like its test."""
VARIANTS = {"ninth_member": "held_out_member"}
_ITEM = re.compile(r"(?P<kind>test|verify)_(?P<test>\w+)\[(?P<rest>.*)\]", re.DOTALL)
_CASE_FIRST = ("relations", "seeded_defects")
"""Items named `case-variant-runtime`."""
_NO_CASE = ("operations", "optimizers")
"""Items named after their variant alone."""


def upgrade(data: Any) -> Any:
    """Return a record or a baseline of schema 1 as one of schema 2; what is neither is returned as it is."""
    if not isinstance(data, dict):
        return data
    places = {row["item"]: row for row in map(upgrade_place, data.get("plan", []))}
    upgraded = {**data, "schema": 2}
    if "plan" in data:
        upgraded["plan"] = list(places.values())
    for old, name in (("questions", "items"), ("rulers", "measures")):  # of a baseline
        if old in data:
            upgraded[name] = upgraded.pop(old)
    for name in ("checks", "items", "profiles"):
        if name in upgraded:
            upgraded[name] = [upgrade_place(row) for row in upgraded[name]]
    for name in ("powers", "budgets", "measures"):
        if name in upgraded:
            upgraded[name] = [_renamed(row) for row in upgraded[name]]
    if "checks" in data:
        upgraded.setdefault("deprecations", None)  # the first records kept none
    if "hits" in data:
        upgraded["handover_costs"] = [_cost(row) for row in upgraded.pop("hits")]
    return upgraded


def upgrade_event(kind: str, row: Row) -> tuple[str, Row]:
    """Return the name and the row of an event of a stream of schema 1 as those of schema 2."""
    if kind == "hit":
        return "handover_cost", _cost(row)
    if kind in ("planned", "check", "profile"):
        return kind, upgrade_place(row)
    return kind, _renamed(row)


def upgrade_place(row: Row) -> Row:
    """Return a row that names an item, with its test and variant, and with today's names."""
    new = _renamed(row)
    item, case, runtime = row["item"], row["case"], row["runtime"]
    found = _ITEM.fullmatch(item)
    if found is None:
        return {**new, "test": new["probe"], "variant": ""}
    test, rest = TESTS.get(found["test"], found["test"]), found["rest"]
    variant = _variant(test, rest, case, runtime)
    renamed = VARIANTS.get(variant, variant)
    if variant != renamed:
        rest = rest.replace(variant, renamed)
    new |= {"item": f"{found['kind']}_{test}[{rest}]", "test": test, "variant": renamed}
    if row.get("leaf") in VARIANTS and test == "seeded_defects":
        new["leaf"] = VARIANTS[row["leaf"]]
    if "leaves" in row and test == "seeded_defects":
        new["leaves"] = {
            status: {VARIANTS.get(leaf, leaf): score for leaf, score in leaves.items()}
            for status, leaves in row["leaves"].items()
        }
    return new


def _variant(test: str, rest: str, case: str, runtime: str) -> str:
    """Return the variant that the id of an item names."""
    if test in _NO_CASE:
        return rest
    rest = rest.removeprefix(f"{case}-")
    if test == "trajectory":
        return rest
    if test in _CASE_FIRST:
        return rest.removesuffix(f"-{runtime}")
    if test == "latency":
        return rest.removeprefix(f"{runtime}-").partition("-b")[0]
    return ""


def _renamed(row: Row) -> Row:
    probe = row.get("probe")
    return {**row, "probe": TESTS[probe]} if isinstance(probe, str) and probe in TESTS else dict(row)


def _cost(row: Row) -> Row:
    return {("method" if name == "way" else name): value for name, value in row.items()}
