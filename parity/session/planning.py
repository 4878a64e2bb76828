"""The plan: which items a run has, as data. Probes yield them; this room gives each probe its scope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from parity.cases.case import TEST_SET, Case
from parity.core.errors import ParityError, UsageError
from parity.probes import registry
from parity.probes.declaration import FIRST, Devices, Probe, Scope
from parity.records import PlanItem
from parity.records.measures import BATCH_SIZES as TIMED_SIZES
from parity.session.selection import Selection

REFERENCE_CASE = "reference"
"""The case beside which probes about the pair of releases are asked."""


@dataclass
class Planner:
    """Plans the items of probes.

    Args:
        selection: what options select.
        gpus: the pairs of devices where either framework sees a GPU.
        test_size: returns the number of examples in the test set of a case, by name; may raise what is wrong with it.

    Attributes:
        left_out: by name, what of the plan is left out, in words.
    """

    selection: Selection
    gpus: list[Devices]
    test_size: Callable[[str], int]
    left_out: dict[str, str] = field(default_factory=dict)
    _without_floats: dict[str, frozenset[str]] = field(default_factory=dict)

    def items(self, probe: Probe) -> list[PlanItem]:
        """Return the plan items of a probe, over all selected cases."""
        names = self.selection.probes
        if names and not probe.always_included and (probe.selected_by or probe.name) not in names:
            return []
        if probe.about_pair:
            case = self.selection.cases.get(REFERENCE_CASE)
            return list(probe.plan(self._scope(case), probe)) if case is not None else []
        return [item for case in self.selection.cases.values() for item in probe.plan(self._scope(case), probe)]

    def _scope(self, case: Case) -> Scope:
        return Scope(
            case=case,
            runtimes=self.selection.runtimes,
            probes=self.selection.probes or tuple(registry.probes()),
            sizes=self._sizes(case),
            gpus=self.gpus,
            timed_sizes=self._timed_sizes(case),
            left_out=self.left_out,
            discrete=lambda: self._discrete(case),
        )

    def _discrete(self, case: Case) -> frozenset[str]:
        if case.name not in self._without_floats:
            from parity.cases.discrete import discrete_probes

            self._without_floats[case.name] = discrete_probes(case)
        return self._without_floats[case.name]

    def _sizes(self, case: Case) -> tuple[int, ...]:
        """Return the selected batch sizes; of the default ones, those that the test set of `case` can fill."""
        selected = self.selection.sizes
        if not self.selection.default_sizes:
            return selected
        try:
            examples = self.test_size(case.name)
        except ParityError:
            return selected  # raised again by each test of the case
        too_large = ", ".join(str(size) for size in selected if size > examples)
        if too_large:
            why = f"the test set has {examples} examples"
            self.left_out[case.name] = f"{case.name}: batch size {too_large} left out, {why}"
        return tuple(size for size in selected if size <= examples)

    def _timed_sizes(self, case: Case) -> list[int]:
        """Return the batch sizes at which latency is measured; a larger one than the test set repeats examples."""
        if self.selection.default_sizes:
            return list(TIMED_SIZES)
        sizes = self.selection.sizes
        try:
            return list(dict.fromkeys(self.test_size(case.name) if size == TEST_SET else size for size in sizes))
        except ParityError:
            return [size for size in sizes if size != TEST_SET]


def require_known(names: tuple[str, ...], further: dict[str, Probe]) -> None:
    """Refuse a name that no probe has.

    Args:
        names: as options give them.
        further: the probes that collected tests declare themselves.

    Raises:
        UsageError: there is no such probe.
    """
    known = {probe.selected_by or probe.name: None for probe in (*registry.probes().values(), *further.values())}
    for name in names:
        if name not in known:
            raise UsageError(f"no probe {name!r}. Expected one of {', '.join(known)}.")


def gpu_pairs(on_jax: list[str], on_tf: list[str]) -> list[Devices]:
    """Return GPU against GPU and each against the other's CPU, for the devices that the two frameworks see."""
    gpus = [[device for device in seen if device.startswith("gpu")][:1] for seen in (on_jax, on_tf)]
    return [(j, t) for j in (*gpus[0], FIRST[0]) for t in (*gpus[1], FIRST[1]) if (j, t) != FIRST]
