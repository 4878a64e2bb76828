"""The plan: which items a run has, as data. Probes yield them; this room gives each probe its scope."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from parity.cases import symbols
from parity.cases.case import TEST_SET, Case
from parity.cases.specs import BATCH
from parity.core.errors import ParityError, RuntimeFailureError, UsageError
from parity.probes import registry
from parity.probes.declaration import FIRST, Devices, Probe, Scope, is_first
from parity.records import FULL, LEVELS, QUICK, STANDARD, PlanItem
from parity.records.levels import highest, includes
from parity.records.measures import BATCH_SIZES as TIMED_SIZES
from parity.runtimes import registry as runtimes
from parity.runtimes.base import EVALUATION_OF, ORACLE, REFERENCE, Runtime, restricted
from parity.session.selection import Selection

if TYPE_CHECKING:
    from parity.cases.layout import Output
    from parity.export.interface import Interface

REFERENCE_CASE = "reference"
"""The case beside which probes about the pair of releases are asked."""


SIZE_LEVELS = {1: STANDARD, 13: QUICK, 20: FULL, 256: STANDARD, TEST_SET: FULL}
"""The default batch sizes, each with the lowest level that has it."""


@dataclass
class Planner:
    """Plans the items of probes: those that the level has, and those that options name.

    Args:
        selection: what options select.
        gpus: the pairs of devices where either framework sees a GPU.
        test_size: returns the number of examples in the test set of a case, by name; may raise what is wrong with it.
        symbol_sizes: returns the size of every name in the specs of a case, likewise.
        interface: returns what of the user's own artifact of a case answers what, likewise; None without such.

    Attributes:
        left_out: by name, what of the plan is left out, in words.
        artifacts: by case with an artifact of the user's own, what of it answers what, in words.
        above: what belongs to a higher level: batch sizes, and in words probes, devices and runtimes.
    """

    selection: Selection
    gpus: list[Devices]
    test_size: Callable[[str], int]
    symbol_sizes: Callable[[str], Mapping[str, int]] = lambda name: {BATCH: 2}
    interface: Callable[[str], Interface | None] = lambda name: None
    left_out: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, dict[str, str]] = field(default_factory=dict)
    above: dict[str | int, None] = field(default_factory=dict)
    _without_floats: dict[str, frozenset[str]] = field(default_factory=dict)
    _without_training: dict[str, list[str]] = field(default_factory=dict)
    _without_artifact: dict[str, dict[str, None]] = field(default_factory=dict)
    _followed: dict[str, dict[str, Output]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.left_out.update(self.selection.left_out)

    def items(self, probe: Probe) -> list[PlanItem]:
        """Return the plan items of a probe, over all selected cases."""
        names = self.selection.probes
        if names and not probe.always_included and (probe.selected_by or probe.name) not in names:
            return []
        if not (self._named(probe) or self._has(probe.level)):
            if not probe.left_out:  # else no level has it
                self.above.setdefault(probe.name)
            return []
        selected = self.selection.cases.items()
        cases = [case for name, case in selected if not probe.about_pair or name == REFERENCE_CASE]
        cases = [case for case in cases if not (probe.trains and self._is_untrained(case, probe))]
        cases = [case for case in cases if not (probe.continues and self._has_own_artifact(case, probe))]
        planned = [item for case in cases for item in probe.plan(self._scope(case, probe), probe)]
        found = []
        for item in planned:
            levels = self._levels(item, probe)
            if missed := [what for what, level in levels.items() if not self._has(level)]:
                self.above.setdefault(missed[0])
            else:
                found.append(msgspec.structs.replace(item, level=highest(*levels.values())))
        return found

    def _is_untrained(self, case: Case, probe: Probe) -> bool:
        if case.training.epochs:
            return False
        without = self._without_training.setdefault(case.name, [])
        without.append(probe.name)
        self.left_out[f"training of {case.name}"] = (
            f"{case.name}: {', '.join(without)} left out: the case is not trained, by Training(epochs=0)"
        )
        return True

    def _has_own_artifact(self, case: Case, probe: Probe) -> bool:
        if case.has_own_artifact:
            self._leave_out_of_artifact(case, probe.name)
        return case.has_own_artifact

    def _leave_out_of_artifact(self, case: Case, *probes: str) -> None:
        names = self._without_artifact.setdefault(case.name, {})
        names.update(dict.fromkeys(probes))
        if not names:
            return
        self.left_out[f"artifact of {case.name}"] = (
            f"{case.name}: {', '.join(names)} left out of the user's own artifact, which has nothing that answers it"
        )

    def _runtimes(self, case: Case) -> tuple[type[Runtime], ...]:
        """Return the selected runtimes; those that read the user's own artifact can do what that can."""
        if not case.has_own_artifact:
            return self.selection.runtimes
        try:
            interface = self.interface(case.name)
        except RuntimeFailureError:
            return self.selection.runtimes  # raised again by each test of the case
        self.artifacts[case.name] = interface.shown() if interface else {}
        found = tuple(restricted(runtime, interface) for runtime in self.selection.runtimes)
        for before, after in zip(self.selection.runtimes, found, strict=True):
            one, other = before.capabilities, after.capabilities
            lost = [p for p, e in EVALUATION_OF.items() if p in case.probes and one.answers(p, e) > other.answers(p, e)]
            lost += ["state", "constants in the graph"] if one.variables > other.variables else []
            self._leave_out_of_artifact(case, *lost)
        return found

    def _has(self, level: str) -> bool:
        """Return whether this run has what belongs to `level`."""
        return includes(self.selection.level, level)

    def left_out_by_level(self) -> str:
        """Return in one line what the level leaves out; empty where that is nothing."""
        if not self.above:
            return ""
        higher = LEVELS[LEVELS.index(self.selection.level) + 1 :]
        others = [what for what in self.above if isinstance(what, str)]
        numbers = [str(what) for what in self.above if what != TEST_SET and not isinstance(what, str)]
        sizes = [f"batch size {' and '.join(numbers)}"] if numbers else []
        sizes += ["the whole test set"] if TEST_SET in self.above else []
        return f"level {self.selection.level} leaves out {', '.join([*sizes, *others])}: --level {' or '.join(higher)}"

    def _named(self, probe: Probe) -> bool:
        """Return whether an option names the probe."""
        return not self.selection.named.isdisjoint([probe.selected_by or probe.name, probe.mark])

    def _levels(self, item: PlanItem, probe: Probe) -> dict[str | int, str]:
        """Return by everything that an item belongs to the lowest level that has it, under the options of this run."""
        runtime, size = runtimes.require(item.runtime), item.batch_size
        in_all = runtime.capabilities.role in (REFERENCE, ORACLE) or runtime is runtimes.reader()
        of_size = self.selection.default_sizes and SIZE_LEVELS.get(size) == item.level
        return {
            probe.name: QUICK if self._named(probe) else probe.level,
            "further runtimes": QUICK if in_all or self.selection.given_runtimes else STANDARD,
            "further devices": QUICK if is_first((item.jax_device, item.tf_device)) else FULL,
            size if of_size else f"most of {item.test}": item.level,
        }

    def _scope(self, case: Case, probe: Probe) -> Scope:
        sizes = self._allowed(case, self._sizes(case))
        return Scope(
            case=case,
            runtimes=self._runtimes(case),
            probes=self.selection.probes or tuple(registry.probes()),
            sizes=tuple(sizes),
            levels=sizes,
            named=self._named(probe),
            gpus=self.gpus,
            timed_sizes=self._timed_sizes(case),
            left_out=self.left_out,
            discrete=lambda: self._discrete(case),
            outputs=lambda: self._outputs(case),
            at=self._further_values(case) if symbols.names(case) else (),
        )

    def _outputs(self, case: Case) -> dict[str, Output]:
        if case.name not in self._followed:
            from parity.cases import layout

            try:
                self._followed[case.name] = layout.of_outputs(case, self.symbol_sizes(case.name))
            except Exception:
                return {}  # the tests of the case say what is wrong with it
        return self._followed[case.name]

    def _further_values(self, case: Case) -> list[dict[str, int]]:
        """Return the sizes at which the case is asked beside its own; note of which name there is one value alone."""
        try:
            sizes = self.symbol_sizes(case.name)
        except ParityError:
            return []  # raised again by each test of the case
        found = symbols.variants(case, sizes)
        if alone := [name for name in symbols.names(case) if not any(name in at for at in found)]:
            self.left_out[f"sizes of {case.name}"] = (
                f"{case.name}: {', '.join(alone)} asked at one value, that of the examples: no smaller one is allowed"
            )
        return found

    def _discrete(self, case: Case) -> frozenset[str]:
        if case.name not in self._without_floats:
            from parity.cases.discrete import discrete_probes

            try:
                self._without_floats[case.name] = discrete_probes(case, self.symbol_sizes(case.name))
            except ParityError:
                return frozenset()  # raised again by each test of the case
        return self._without_floats[case.name]

    def _sizes(self, case: Case) -> dict[int, str]:
        """Return the batch sizes with their levels; of the default ones, those that the test set of `case` can fill."""
        if not self.selection.default_sizes:
            return dict.fromkeys(self.selection.sizes, QUICK)
        try:
            examples = self.test_size(case.name)
        except ParityError:
            return SIZE_LEVELS  # raised again by each test of the case
        too_large = [size for size, level in SIZE_LEVELS.items() if size > examples and self._has(level)]
        if too_large:
            listed, why = ", ".join(map(str, too_large)), f"the test set has {examples} examples"
            self.left_out[case.name] = f"{case.name}: batch size {listed} left out, {why}"
        found = {size: level for size, level in SIZE_LEVELS.items() if size <= examples}
        return found if QUICK in found.values() else {**found, TEST_SET: QUICK}

    def _allowed(self, case: Case, sizes: dict[int, str]) -> dict[int, str]:
        """Return those batch sizes that the constraints of a case allow.

        Raises:
            UsageError: an option gives one that they do not allow, or they allow none.
        """
        if not any(BATCH in symbols.mentioned(text) for text in case.constraints):
            return sizes
        try:
            own, examples = self.symbol_sizes(case.name), self.test_size(case.name)
        except ParityError:
            return sizes  # raised again by each test of the case
        unmet = {n: symbols.violated(case.constraints, {**own, BATCH: n or examples}) for n in sizes}
        found = {size: level for size, level in sizes.items() if unmet[size] is None}
        refused = {size: text for size, text in unmet.items() if text is not None}
        if not found or (refused and not self.selection.default_sizes):
            size, text = next(iter(refused.items()))
            raise UsageError(
                f"case {case.name!r}: batch size {size or examples} does not satisfy the constraint {text!r}. Choose "
                "another --batch-size."
            )
        if refused:
            listed = ", ".join(str(size or examples) for size in refused)
            self.left_out[f"constraints of {case.name}"] = (
                f"{case.name}: batch size {listed} left out, the constraint {next(iter(refused.values()))!r}"
            )
        return found if QUICK in found.values() else {**found, min(found): QUICK}

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
