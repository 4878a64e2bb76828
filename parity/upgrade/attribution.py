"""Who moved between two pairs of releases, read from the records of their four corners."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from parity.compat.handshake import Reader, Writer
from parity.core.failures import REMEDIABLE, RESOLVER
from parity.records import PASS, Program, Run, cells
from parity.upgrade import numbers
from parity.upgrade.corners import OTHERS, PROGRAM, READER, UPGRADE, Corners, Moved
from parity.upgrade.pins import JAX, PACKAGES, TENSORFLOW, Pair, corners

_SHOWN = 3


def attribute(known: Corners, blocked: bool = False) -> list[Moved]:
    """What every side did, in the order of `SIDES`; of the packages and of what is converted only where it differs.

    `blocked` is whether the gate blocks the new pair.
    """
    moved = [numbers.of_jax(known), numbers.of_tensorflow(known), numbers.of_converted(known)]
    program = _program(known)
    if program.moved and not any(one is None or one.moved is not False for one in moved):
        program = Moved(PROGRAM, True, f"{program.sentence[:-1]}; no distance from the oracle moved with it.")
    found = [_upgrade(known, blocked), *moved, program, _reader(known), _others(known)]
    return [one for one in found if one is not None]


def _upgrade(known: Corners, blocked: bool) -> Moved:
    """Which of the two upgrades brings about what the new pair suffers from."""
    old, new = known.old, known.new
    bad = {name: _bad(known.runs.get(pair)) for name, pair in corners(old, new).items()}
    if bad["new/new"] is False:
        passes = f"{new} passes as exported by default"
        stays = f"By which side is not known: {passes} what it was asked, and the gate blocks it beside {old}."
        return Moved(UPGRADE, None, stays) if blocked else Moved(UPGRADE, False, f"Nothing broke: {passes}.")
    if bad["new/new"] is None:
        why = "cannot be installed together" if new in known.runs else "has no record"
        return Moved(UPGRADE, None, f"What the upgrade would break is not known: {new} {why}.")
    became = cells.outcome(known.runs[new])
    what = f"{new} {_became(became)}"
    if bad["old/old"]:
        return Moved(UPGRADE, False, f"{what}, and so is the pair you have: {_became_of(known, old)}.")
    if JAX in _same(old, new) or TENSORFLOW in _same(old, new):
        other = TENSORFLOW if JAX in _same(old, new) else JAX
        return Moved(UPGRADE, True, f"The new {other} breaks it: {what}, and {old} passes.")
    by = bad["new/old"], bad["old/new"]
    if None in by:
        apart = [str(corners(old, new)[name]) for name in ("new/old", "old/new") if bad[name] is None]
        return Moved(UPGRADE, None, f"{what}. By which side is not known: {' and '.join(apart)} gave no answer.")
    said = {
        (True, False): (
            f"The new jax breaks it: as exported by default, jax {new.jax} passes with neither tensorflow, and jax "
            f"{old.jax} passes with tensorflow {new.tensorflow}."
        ),
        (False, True): (
            f"The new tensorflow breaks it: as exported by default, tensorflow {new.tensorflow} passes with neither "
            f"jax, and tensorflow {old.tensorflow} passes with jax {new.jax}."
        ),
        (True, True): (
            f"Each breaks it alone: neither jax {new.jax} with tensorflow {old.tensorflow} nor jax {old.jax} with "
            f"tensorflow {new.tensorflow} passes as exported by default."
        ),
        (False, False): (
            f"Only together do they break: jax {new.jax} passes with tensorflow {old.tensorflow}, and jax {old.jax} "
            f"with tensorflow {new.tensorflow}."
        ),
    }
    return Moved(UPGRADE, True, said[bool(by[0]), bool(by[1])])


def _bad(run: Run | None) -> bool | None:
    """Whether a corner does not pass as exported by default; None where it could not be asked."""
    if run is None:
        return None
    became = cells.outcome(run)
    return None if became.failure == RESOLVER else became.status != PASS


def _became(became: cells.Outcome) -> str:
    return f"is {': '.join(filter(None, (became.status, became.failure, became.evidence)))}"


def _became_of(known: Corners, pair: Pair) -> str:
    became = cells.outcome(known.runs[pair])
    return f"{pair} {_became(became)}"


def _same(old: Pair, new: Pair) -> set[str]:
    return {name for name in PACKAGES if getattr(old, name) == getattr(new, name)}


def _program(known: Corners) -> Moved:
    """What is exported, by the old jax and by the new."""
    old, new = known.old.jax, known.new.jax
    written = [
        (known.run(old, beside), known.run(new, beside)) for beside in (known.new.tensorflow, known.old.tensorflow)
    ]
    # Beside the same tensorflow where that can be, so that nothing but jax differs.
    written.append((next(iter(known.with_jax(old)), None), next(iter(known.with_jax(new)), None)))
    both = ((one, two) for one, two in written if one and two and one.programs and two.programs)
    before, after = next(both, written[-1])
    if before is None or after is None or not (before.programs and after.programs):
        lacking = new if before is not None and before.programs else old
        return Moved(PROGRAM, None, f"The exported programs are not known: no record with jax {lacking} has them.")
    alone = [
        jax for jax in dict.fromkeys((old, new)) if len({_hashes(r) for r in known.with_jax(jax) if r.programs}) > 1
    ]
    aside = f", but beside jax {alone[0]} they are others with another tensorflow" if alone else ""
    told = list(_differences(_programs(before), _programs(after)))
    if not told:
        return Moved(PROGRAM, bool(alone), f"The exported programs are the same, to the byte{aside}.")
    same = sorted(function for _, function, _ in _hashes(before) & _hashes(after))
    told += [f"{', '.join(same)} the same to the byte"] if same else []
    return Moved(PROGRAM, True, f"The exported program moved with jax: {'; '.join(told)}{aside}.")


def _programs(run: Run) -> dict[tuple[str, str], Program]:
    return {(program.case, program.function): program for program in run.programs}


def _hashes(run: Run) -> frozenset[tuple[str, str, str]]:
    return frozenset((program.case, program.function, program.sha256) for program in run.programs)


def _differences(before: Mapping[tuple[str, str], Program], after: Mapping[tuple[str, str], Program]) -> Iterator[str]:
    """What differs, program by program; where only the text does, that."""
    several = len({case for case, _ in after}) > 1
    for key, now in after.items():
        was, name = before.get(key), f"{key[0]}'s {key[1]}" if several else key[1]
        if was is None:
            yield f"{name} is new"
        elif was.sha256 == now.sha256:
            yield from ()
        else:
            yield f"{name} {_operations(was.operations, now.operations)}"
    yield from (f"{function} of {case} is gone" for case, function in before.keys() - after.keys())


def _operations(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """The operations added, removed and changed in count."""
    changed = {name: (before.get(name, 0), after.get(name, 0)) for name in sorted({*before, *after})}
    changed = {name: counts for name, counts in changed.items() if counts[0] != counts[1]}
    if not changed:
        return f"has the same {sum(after.values()):,} operations in another text"
    # What is new or gone tells more than what is there more often; then what changed most.
    telling = sorted(changed, key=lambda name: (0 not in changed[name], -abs(changed[name][0] - changed[name][1])))
    said = [_counted(name, *changed[name]) for name in telling[:_SHOWN]]
    more = [f"and {len(telling) - _SHOWN} more"] if len(telling) > _SHOWN else []
    return ", ".join([*said, *more])


def _counted(name: str, was: int, now: int) -> str:
    if not was:
        return f"gained {now} {name}"
    return f"lost {was} {name}" if not now else f"has {now} {name} for {was}"


def _reader(known: Corners) -> Moved:
    """What JAX writes and TensorFlow reads, and what of it cannot be read."""
    old, new = known.old, known.new
    writers = [_writer(known, jax) for jax in (old.jax, new.jax)]
    readers = [_said_reader(known, tensorflow) for tensorflow in (old.tensorflow, new.tensorflow)]
    sides = (
        f"jax {new.jax} writes {_format(writers[1])}{_before(writers[0], old.jax, new.jax)}, tensorflow "
        f"{new.tensorflow} reads up to {_format(readers[1])}{_before(readers[0], old.tensorflow, new.tensorflow)}"
    )
    run = known.runs.get(new)
    if run is None or cells.outcome(run).failure == RESOLVER:
        return Moved(READER, None, f"Whether the new program can be read is not known: {sides}.")
    became, before = cells.outcome(run), known.runs.get(old)
    if became.failure not in REMEDIABLE:
        return Moved(READER, False, f"The reader is not what stops it: {sides}.")
    same = before is not None and cells.outcome(before).failure == became.failure
    head = f"The reader cannot read {became.evidence} ({became.failure}){', as before' if same else ''}"
    return Moved(READER, not same, f"{head}: {sides}.")


def _writer(known: Corners, jax: str) -> Writer | None:
    for run in known.with_jax(jax):
        if said := run.environment.get("writer"):
            return Writer(said["stablehlo"], said["calling_convention"])
    return None


def _said_reader(known: Corners, tensorflow: str) -> Reader:
    for run in known.with_tensorflow(tensorflow):
        if said := run.environment.get("reader"):
            return Reader(said.get("stablehlo"), said.get("calling_convention")).filled(tensorflow)
    return Reader(None, None).filled(tensorflow)


def _format(side: Writer | Reader | None) -> str:
    if side is None or side.stablehlo is None:
        return "what is not known"
    return f"StableHLO {side.stablehlo}, convention {side.calling_convention}"


def _before(side: Writer | Reader | None, old: str, new: str) -> str:
    return "" if old == new else f" ({old}: {_format(side).removeprefix('StableHLO ')})"


def _others(known: Corners) -> Moved | None:
    """What else moved between the two pairs: the resolver picks other packages beside other releases."""
    before, after = (known.run(pair.jax, pair.tensorflow) for pair in (known.old, known.new))
    if before is None or after is None:
        return None
    pairs = [(name, was, after.environment.get("versions", {}).get(name)) for name, was in _versions(before)]
    moved = [f"{name} {was} to {now}" for name, was, now in pairs if was != now]
    pythons = [run.environment.get("machine", {}).get("python", "") for run in (before, after)]
    if pythons[0] != pythons[1]:
        moved.append(f"Python {pythons[0]} to {pythons[1]}")
    if not moved:
        return None
    return Moved(OTHERS, True, f"What moved with them: {', '.join(moved)}.")


def _versions(run: Run) -> Iterable[tuple[str, str | None]]:
    apart = (*PACKAGES, "jaxlib")
    return ((name, version) for name, version in run.environment.get("versions", {}).items() if name not in apart)
