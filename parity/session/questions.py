"""Which questions a run asks: of which case, runtime, batch size and device."""

from __future__ import annotations

from collections.abc import Callable

from parity.cases.case import PROBES, TEST_SET, Case
from parity.core.errors import ParityError
from parity.handover import CARRIED
from parity.latency import BATCH_SIZES, PROBE_OF, RUNTIMES
from parity.records import NO_DEVICE, PlanItem
from parity.runtimes import JAX, JAX_FLOAT64, SAVED_MODEL, TF_GRAPH, VIRTUAL_CPUS
from parity.session.selection import (
    BESIDE,
    CANARIES,
    ENDURANCE,
    FINETUNED,
    FUSION,
    LATENCY,
    OF_NO_CASE,
    OPERATIONS,
    OPTIMIZERS,
    RELATIONS,
    RESUMPTION,
    TRAJECTORY,
    Selection,
)  # fmt: skip

POWER = "power"
FOOTPRINT = "footprint"
HANDED_OVER = (TRAJECTORY, RESUMPTION, ENDURANCE)
WITH_OPERATIONS = "reference"
"""The case beside which operations and optimizers are asked: they are about the pair of releases, not about a case."""
ON_OTHER_DEVICES = ("predict", "train_gradient")
SIZES_ON_OTHER_DEVICES = (13, 256)
"""One odd, one even: enough to see a device go wrong, and each further size is compiled anew on every runtime."""
FIRST = ("cpu:0", "cpu:0")


class Questions:
    """The questions that a selection asks.

    Args:
        selection: what options select.
        start: imports both frameworks, and gives each its virtual CPUs.
        test_size: how many examples the test set of a case has, by name; may raise what is wrong with the case.

    Attributes:
        left_out: by case, what of the default questions it cannot be asked, in words.
    """

    def __init__(self, selection: Selection, start: Callable[[], None], test_size: Callable[[str], int]) -> None:
        self.selection, self._start, self._test_size = selection, start, test_size
        self.left_out: dict[str, str] = {}

    def of(self, function: str) -> list[PlanItem]:
        """The questions that the test function `test_<probe>` asks."""
        probe = function.removeprefix("test_")
        if probe in OF_NO_CASE:
            return self._of_no_case(function, probe)
        cases = self.selection.cases.values()
        if probe in (LATENCY, FOOTPRINT):
            return [q for case in cases for q in self._timed(function, case)]
        return [q for case in cases for q in self._questions(function, probe, case, self._sizes(case))]

    def _of_no_case(self, function: str, probe: str) -> list[PlanItem]:
        """Operations, or optimizers; by name, runtime and batch size."""
        runtime = {OPERATIONS: TF_GRAPH, OPTIMIZERS: SAVED_MODEL}[probe]
        select = self.selection
        if probe not in select.probes or runtime not in select.runtimes or WITH_OPERATIONS not in select.cases:
            return []
        self._start()
        from parity.probes import operations
        from parity.probes import optimizers as updating

        named = {
            OPERATIONS: [(name, operation.shape[0]) for name, operation in operations.OPERATIONS.items()],
            OPTIMIZERS: [(f"{variant}-{way}", updating.BATCH_SIZE) for variant, way in updating.asked()],
        }
        return [
            PlanItem(
                item=f"{function}[{name}]", test=probe, case=probe, probe=probe, variant=name, runtime=runtime,
                batch_size=size, jax_device=FIRST[0], tf_device=FIRST[1],
            )
            for name, size in named[probe]
        ]  # fmt: skip

    def _sizes(self, case: Case) -> tuple[int, ...]:
        """The selected batch sizes; of the default ones, those that the test set of `case` can fill."""
        selected = self.selection.sizes
        if not self.selection.default_sizes:
            return selected
        self._start()
        try:
            most = self._test_size(case.name)
        except ParityError:
            return selected  # an error of every question, when it is asked
        left_out = ", ".join(str(size) for size in selected if size > most)
        if left_out:
            self.left_out[case.name] = f"{case.name}: batch size {left_out} left out, the test set has {most} examples"
        return tuple(size for size in selected if size <= most)

    def _questions(self, function: str, probe: str, case: Case, sizes: tuple[int, ...]) -> list[PlanItem]:
        select = self.selection

        def planned(
            ident: str, asked: str, runtime: str, size: int, devices: tuple[str, str], variant: str = ""
        ) -> PlanItem:
            return PlanItem(
                item=f"{function}[{ident}]", test=probe, case=case.name, probe=asked, variant=variant, runtime=runtime,
                batch_size=size, jax_device=devices[0], tf_device=devices[1],
            )  # fmt: skip

        if probe == POWER:
            return [
                planned(f"{case.name}-{p}-{_size_id(size)}", p, JAX_FLOAT64, size, (FIRST[0], NO_DEVICE))
                for p in case.probes if p in select.probes and JAX_FLOAT64 in select.runtimes
                for size in sizes
            ]  # fmt: skip
        if probe in (RELATIONS, CANARIES):
            return [
                planned(f"{case.name}-{name}-{runtime}", probe, runtime, _several_rows(sizes), _first(runtime), name)
                for name, runtime in self._beside(case, probe)
            ]
        if probe in PROBES and (probe not in case.probes or probe not in select.probes):
            return []
        if probe in PROBES:
            return [
                planned(_ident(f"{case.name}-{runtime}", size, pair), probe, runtime, size, pair)
                for runtime in select.runtimes
                for pair in _of_runtime(runtime, self._pairs(probe))
                for size in _sizes(sizes, pair)
            ]
        return [
            planned(ident, about, BESIDE[about], size, _first(BESIDE[about]), ident.removeprefix(case.name)[1:])
            for about, ident, size in self._once(case, probe)
        ]

    def _once(self, case: Case, probe: str) -> list[tuple[str, str, int]]:
        """What is asked once per case, if it is chosen: the name, the ids, and the batch size that it is about."""
        about = next(name for name in BESIDE if probe.startswith(name))
        if about not in self.selection.probes or BESIDE[about] not in self.selection.runtimes:
            return []
        if about == FUSION and not self._can_fuse(case):
            return []
        if about == FINETUNED and not self._has_counterpart(case):
            return []
        if about not in HANDED_OVER:
            return [(about, case.name, TEST_SET)]
        return [(about, ident, case.training.batch_size) for ident in self._handed_over(case, about)]

    def _can_fuse(self, case: Case) -> bool:
        """Whether `case` has a trunk, and a Keras to fuse it with; a Keras that is left out is noted."""
        if case.trunk is None:
            return False
        self._start()
        from parity.handover import keras_head

        self.left_out |= keras_head.left_out()
        return bool(keras_head.usable())

    def _has_counterpart(self, case: Case) -> bool:
        """Whether a Keras optimizer does what the case's does; what is left out where none does is noted."""
        self._start()
        from parity.handover import trajectories

        refused = trajectories.why_not_carried(case)
        if refused is not None:
            self.left_out[f"{case.name}-{CARRIED}"] = f"{case.name}: a Keras optimizer left out: {refused}"
        return refused is None

    def _handed_over(self, case: Case, about: str) -> list[str]:
        """The ids of the ways in which a case's training is handed over; one for all of them if it is interrupted."""
        self._start()
        from parity.handover import trajectories

        ways = trajectories.asked(case)
        if ways:
            self._has_counterpart(case)
        else:
            why = "it goes on for no epoch, or none of its probes trains"
            self.left_out[f"{case.name}-{TRAJECTORY}"] = f"{case.name}: training is not handed over, because {why}"
        return [f"{case.name}-{way}" for way in ways] if about == TRAJECTORY else [case.name][: len(ways)]

    def _timed(self, function: str, case: Case) -> list[PlanItem]:
        """The steps of a case on every runtime at every batch size; or the runtimes, at the largest."""
        runtimes = [name for name in RUNTIMES if name in self.selection.runtimes]
        steps = [step for step, probe in PROBE_OF.items() if probe in case.probes]
        if LATENCY not in self.selection.probes or not runtimes or not steps:
            return []
        sizes = self._timed_sizes(case)
        if function == f"test_{FOOTPRINT}":
            named = [(f"{case.name}-{runtime}", "", runtime, max(sizes), FIRST) for runtime in runtimes]
        else:
            named = [
                (_ident(f"{case.name}-{runtime}-{step}", size, pair), step, runtime, size, pair)
                for pair in self._timed_pairs() for size in sizes for step in steps for runtime in runtimes
            ]  # fmt: skip
        return [
            PlanItem(
                item=f"{function}[{ident}]", test=function.removeprefix("test_"), case=case.name, probe=LATENCY,
                variant=step, runtime=runtime, batch_size=size, jax_device=jax_device, tf_device=tf_device,
            )
            for ident, step, runtime, size, pair in named
            for jax_device, tf_device in _of_runtime(runtime, [pair])[:1]
        ]  # fmt: skip

    def _timed_sizes(self, case: Case) -> list[int]:
        """The selected batch sizes; a larger one than the test set is filled by repeating it."""
        if self.selection.default_sizes:
            return list(BATCH_SIZES)
        selected = self.selection.sizes
        if TEST_SET in selected:
            self._start()
        found = (self._test_size(case.name) if size == TEST_SET else size for size in selected)
        return list(dict.fromkeys(found))

    def _timed_pairs(self) -> list[tuple[str, str]]:
        """The CPU, and a GPU that both frameworks see."""
        return [FIRST, *((j, t) for j, t in self._gpu_pairs() if j == t)]

    def _beside(self, case: Case, about: str) -> list[tuple[str, str]]:
        """The relations or the canaries of a case, by name and runtime."""
        if about not in self.selection.probes:
            return []
        self._start()
        from parity.probes import relations
        from parity.probes import seeded_defects as canaries

        return {RELATIONS: relations, CANARIES: canaries}[about].asked(case.probes, self.selection.runtimes)

    def _pairs(self, probe: str) -> list[tuple[str, str]]:
        if probe not in ON_OTHER_DEVICES:
            return [FIRST]
        return [FIRST, *((f"cpu:{i}", f"cpu:{i}") for i in range(1, VIRTUAL_CPUS)), *self._gpu_pairs()]

    def _gpu_pairs(self) -> list[tuple[str, str]]:
        """Where either framework sees a GPU: GPU against GPU, and each against the other's CPU."""
        self._start()
        from parity.export import artifact
        from parity.runtimes import jax

        return gpu_pairs(jax.devices(), artifact.devices())


def gpu_pairs(on_jax: list[str], on_tf: list[str]) -> list[tuple[str, str]]:
    """GPU against GPU and each against the other's CPU, for the devices that the two frameworks see."""
    gpus = [[device for device in seen if device.startswith("gpu")][:1] for seen in (on_jax, on_tf)]
    return [(j, t) for j in (*gpus[0], FIRST[0]) for t in (*gpus[1], FIRST[1]) if (j, t) != FIRST]


def _of_runtime(runtime: str, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """JAX's runtimes run on JAX's device of each pair, once."""
    if runtime not in (JAX, JAX_FLOAT64):
        return pairs
    return [(device, NO_DEVICE) for device in dict.fromkeys(j for j, _ in pairs)]


def _sizes(selected: tuple[int, ...], pair: tuple[str, str]) -> tuple[int, ...]:
    if _is_first(pair):
        return selected
    return tuple(size for size in selected if size in SIZES_ON_OTHER_DEVICES) or selected


def _is_first(pair: tuple[str, str]) -> bool:
    return pair in (FIRST, (FIRST[0], NO_DEVICE))


def _first(runtime: str) -> tuple[str, str]:
    return (FIRST[0], NO_DEVICE) if runtime in (JAX, JAX_FLOAT64) else FIRST


def _several_rows(sizes: tuple[int, ...]) -> int:
    """The smallest of the batch sizes that has rows to tell apart; the whole test set if none has."""
    return min((size for size in sizes if size > 1), default=TEST_SET)


def _size_id(size: int) -> str:
    return "btest" if size == TEST_SET else f"b{size}"


def _ident(asked: str, size: int, pair: tuple[str, str]) -> str:
    parts = [asked, _size_id(size)]
    if not _is_first(pair):
        parts.append("_".join(dict.fromkeys(d.replace(":", "") for d in pair if d != NO_DEVICE)))
    return "-".join(parts)
