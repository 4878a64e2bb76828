"""The format of a baseline file; see `parity.gate.baselines`."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from parity.records import Check, Deprecation, PlanItem, Remedy
from parity.records.levels import FULL, Level
from parity.records.numbers import Count, Size
from parity.records.statuses import Mode, Status


class Item(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One line: an item, and by status the score of every leaf; all leaves of a line have one limit.

    `test` is left out where it has the name of the probe.
    """

    item: str
    case: str
    probe: str
    test: str = ""
    variant: str = ""
    runtime: str
    tf_device: str
    limit: Size | None
    level: Level = FULL
    leaves: dict[Status, dict[str, Size | None]]

    def place(self) -> PlanItem:
        """Return this item as of a plan; a baseline keeps no batch sizes, and no devices of JAX."""
        kept = {name: getattr(self, name) for name in self.__struct_fields__ if name not in ("leaves", "limit")}
        return PlanItem(**{**kept, "test": self.test or self.probe}, batch_size=0, jax_device="")

    def check(self, **found: Any) -> Check:
        """Return a check of this item."""
        return self.place().check(limit=self.limit, **found)


class Measures(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One line: by leaf the budget as [RMS, maximum], by weight the smallest error that is caught."""

    case: str
    probe: str
    batch_size: Count
    level: Level = FULL
    budgets: dict[str, tuple[Size, Size]] = {}
    powers: dict[str, Size] = {}


class BaselineFile(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The whole file."""

    kind: Literal["baseline"]
    cell: str
    level: Level = FULL
    mode: Mode
    versions: dict[str, str | None]
    items: list[Item]
    measures: list[Measures]
    remedies: list[Remedy]
    deprecations: list[Deprecation] | None
