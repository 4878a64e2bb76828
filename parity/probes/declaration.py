"""What a probe is, and what it is planned from: the scope of one case in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from parity.cases import symbols
from parity.cases.case import TEST_SET, Case
from parity.cases.specs import Answer
from parity.records import NO_DEVICE, QUICK, STANDARD, PlanItem
from parity.runtimes import registry
from parity.runtimes.base import ARTIFACT, FIRST_CPU, REFERENCE, VIRTUAL_CPUS, Answers, Capabilities, Runtime

if TYPE_CHECKING:
    from parity.cases.layout import Output

Devices = tuple[str, str]
"""A device of JAX and one of TensorFlow."""
FIRST: Devices = (FIRST_CPU, FIRST_CPU)
AT_FURTHER_SIZES = ("predict", "eval_loss", "train_loss")
"""The probes that are asked at several values of every symbolic size."""
FURTHER_SIZES = (13, 256)
"""Batch sizes on further devices: one odd, one even. Each further size is compiled again on every runtime."""


@dataclass(frozen=True)
class Probe:
    """One question, in one file of this package (or of yours); its test is in `parity.suites` (or in your tests).

    Attributes:
        name: used by `--probe`, and in records.
        plan: what is asked: yields the plan items of a scope.
        evaluation: the key of `parity.runtimes.base.EVALUATIONS` that computes its answer; None where its test computes
            something else.
        further_devices: whether it is also asked on a second CPU and on GPUs.
        discrete: whether its answer has no float to move: it counts examples, or has integers alone. It then has no
            budget.
        derive: computes the answer from the others of `evaluation`, by probe, and is asked of every case; None where
            runtimes give the answer themselves.
        gradients: whether a derived answer needs those of the evaluation.
        about_pair: whether it is about the pair of releases, and asked once beside the reference case.
        always_included: whether it follows the other selected probes, as power does, whatever `--probe` selects.
        selected_by: the probe that `--probe` names to select it as well; None for itself.
        level: the lowest level that has it, one of `parity.records.LEVELS`; an option that names the probe has it too.
        trains: whether it is about training, and left out of a case that is not trained.
        continues: whether it trains the artifact on, and left out of a user's own: it needs parity's functions.
        mark: a pytest mark of its tests beside that of their level; None for none.
        left_out: for a probe that no level has: what the summary says where its mark is not in -m.
    """

    name: str
    plan: Callable[[Scope, Probe], Iterable[PlanItem]]
    evaluation: str | None = None
    further_devices: bool = False
    discrete: bool = False
    derive: Callable[[Answers], Answer] | None = None
    gradients: bool = False
    about_pair: bool = False
    always_included: bool = False
    selected_by: str | None = None
    level: str = STANDARD
    trains: bool = False
    continues: bool = False
    mark: str | None = None
    left_out: str = ""


@dataclass
class Scope:
    """What a probe is planned from.

    Attributes:
        case: the case.
        runtimes: the selected runtimes.
        probes: the names of the selected probes.
        sizes: the batch sizes, `TEST_SET` (0) for the whole test set.
        levels: by batch size, the lowest level that has it; `QUICK` where it is not listed.
        named: whether an option names the probe: it then has all of its items at every level.
        gpus: pairs of devices where either framework sees a GPU.
        timed_sizes: the batch sizes at which latency is measured.
        left_out: by name, what of the plan is left out, in words; probes add to it.
        discrete: names the probes of the case whose answers have no float; see `parity.cases.discrete`.
        outputs: says how each output of the case follows the batch, see `parity.cases.layout`; empty where that cannot
            be known.
        at: the sizes other than the batch size at which the case is asked beside its own; see `parity.cases.symbols`.
    """

    case: Case
    runtimes: Sequence[type[Runtime]]
    probes: Sequence[str]
    sizes: Sequence[int]
    levels: Mapping[int, str] = field(default_factory=dict)
    named: bool = False
    gpus: Sequence[Devices] = ()
    timed_sizes: Sequence[int] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    discrete: Callable[[], frozenset[str]] = frozenset
    outputs: Callable[[], Mapping[str, Output]] = dict
    at: Sequence[Mapping[str, int]] = ()

    def can(self, runtime: str) -> Capabilities:
        """Return what a selected runtime can do about this case."""
        return next(known.capabilities for known in self.runtimes if known.name == runtime)

    def having(self, predicate: Callable[[Capabilities], bool]) -> list[str]:
        """Return the names of the selected runtimes whose capabilities satisfy `predicate`."""
        return [runtime.name for runtime in self.runtimes if predicate(runtime.capabilities)]

    @property
    def reader(self) -> list[str]:
        """The runtime that reads the artifact in this process, if it is selected."""
        return [runtime.name for runtime in self.runtimes if runtime.name == registry.reader().name]

    @property
    def reference(self) -> list[str]:
        """JAX, if it is selected."""
        return self.having(lambda can: can.role == REFERENCE)

    @property
    def several_rows(self) -> int:
        """The smallest batch size that has rows to tell apart; the whole test set if none has."""
        return min((size for size in self.sizes if size > 1), default=TEST_SET)

    def item(
        self,
        test: str,
        probe: str,
        runtime: str,
        size: int,
        *,
        ident: str,
        variant: str = "",
        devices: Devices = FIRST,
        case: str | None = None,
        level: str = QUICK,
    ) -> PlanItem:
        """Return a plan item of the test function `test_<test>`, with `ident` in the brackets of its pytest id.

        `level` is the lowest that has the item, where that is higher than the probe's.
        """
        if not registry.require(runtime).capabilities.in_tensorflow:
            devices = (devices[0], NO_DEVICE)
        return PlanItem(
            item=f"test_{test}[{ident}]",
            test=test,
            case=case or self.case.name,
            probe=probe,
            variant=variant,
            runtime=runtime,
            batch_size=size,
            jax_device=devices[0],
            tf_device=devices[1],
            level=level,
        )

    def variants(self, probe: Probe, named: Iterable[tuple[str, str]]) -> Iterator[PlanItem]:
        """Yield an item for each variant and runtime, at a batch size with several rows."""
        for variant, runtime in named:
            yield self.item(
                probe.name, probe.name, runtime, self.several_rows, variant=variant,
                ident=f"{self.case.name}-{variant}-{runtime}",
            )  # fmt: skip


def every_runtime(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
    """Yield an item for every runtime that answers `probe`, every batch size, and every device if it wants those."""
    if probe.derive is None and probe.name not in scope.case.probes:
        return
    for runtime in scope.runtimes:
        can = runtime.capabilities
        if not can.answers(probe.name, probe.evaluation or "") or (probe.gradients and not can.gradients):
            continue
        for devices in _devices(scope, probe, can):
            for size in _sizes(scope.sizes, devices):
                ident = size_id(f"{scope.case.name}-{runtime.name}", size, devices)
                level = scope.levels.get(size, QUICK)
                yield scope.item(probe.name, probe.name, runtime.name, size, ident=ident, devices=devices, level=level)
        if probe.name in AT_FURTHER_SIZES:
            yield from _at_further_sizes(scope, probe, runtime.name)


def _at_further_sizes(scope: Scope, probe: Probe, runtime: str) -> Iterator[PlanItem]:
    """Yield an item for every further value of the case's symbolic sizes, at one batch size."""
    for sizes in scope.at:
        variant = symbols.written(sizes)
        ident = f"{size_id(f'{scope.case.name}-{runtime}', scope.several_rows, FIRST)}-{variant}"
        yield scope.item(probe.name, probe.name, runtime, scope.several_rows, variant=variant, ident=ident)


def one_per_case(runtimes: Callable[[Scope], list[str]]) -> Callable[[Scope, Probe], Iterator[PlanItem]]:
    """Return a plan of one item for the case, about the whole test set, recorded for the first of `runtimes`."""

    def plan(scope: Scope, probe: Probe) -> Iterator[PlanItem]:
        for runtime in runtimes(scope)[:1]:
            yield scope.item(probe.name, probe.name, runtime, TEST_SET, ident=scope.case.name)

    return plan


def reads_artifact_alone(can: Capabilities) -> bool:
    """Return whether a runtime reads the artifact in a process without JAX."""
    return can.source == ARTIFACT and can.own_process and can.without_jax


def _devices(scope: Scope, probe: Probe, can: Capabilities) -> list[Devices]:
    if not (probe.further_devices and can.further_devices):
        return [FIRST]
    pairs = [FIRST, *((f"cpu:{i}", f"cpu:{i}") for i in range(1, VIRTUAL_CPUS)), *scope.gpus]
    if can.in_tensorflow:
        return pairs
    return [(jax, NO_DEVICE) for jax in dict.fromkeys(jax for jax, _ in pairs)]  # JAX's device of each pair, once


def _sizes(sizes: Sequence[int], devices: Devices) -> Sequence[int]:
    if is_first(devices):
        return sizes
    return [size for size in sizes if size in FURTHER_SIZES] or sizes


def is_first(devices: Devices) -> bool:
    """Return whether these are the first CPUs."""
    return devices in (FIRST, (FIRST[0], NO_DEVICE))


def size_id(name: str, size: int, devices: Devices) -> str:
    """Return a pytest id: the name, the batch size, and the devices where they are not the first CPUs."""
    parts = [name, "btest" if size == TEST_SET else f"b{size}"]
    if not is_first(devices):
        parts.append("_".join(dict.fromkeys(d.replace(":", "") for d in devices if d != NO_DEVICE)))
    return "-".join(parts)
