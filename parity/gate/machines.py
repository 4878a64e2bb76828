"""Whether two machines are of one kind: bits may then be compared, and times where nothing else of them differs."""

from __future__ import annotations

from parity.records import Machine

KIND = ("system", "architecture", "cpu", "cores", "instruction_sets")
SPEED = (*KIND, "affinity", "governor", "max_mhz", "flags")
"""What decides how long a step takes, besides the releases. Threads are not among it, because releases start their own,
and load is not, because it is never the same twice: a repeat tells what was due to it."""
NAMES = {"instruction_sets": "instruction sets", "governor": "frequency governor", "max_mhz": "highest frequency"}
_OPTIONAL = ("governor", "max_mhz")


def same_kind(one: Machine, other: Machine) -> bool:
    """Return whether bits can be compared; on machines of which something is not known they never can."""
    return not _between(one, other, KIND)


def difference(one: Machine, other: Machine) -> str:
    """Return why times cannot be compared, in words; empty where they can."""
    return _between(one, other, SPEED)


def _between(one: Machine, other: Machine, parts: tuple[str, ...]) -> str:
    unknown = [part for part in parts if not (_known(one, part) and _known(other, part))]
    if unknown:
        return f"a record does not say its machine's {_joined(unknown)}"
    different = [part for part in parts if one.get(part) != other.get(part)]
    return f"the machines differ in {_joined(different)}" if different else ""


def _known(machine: Machine, part: str) -> bool:
    if part not in machine:
        return False
    found = machine.get(part)
    return part in _OPTIONAL or found == [] or (bool(found) and found != "unknown")


def _joined(parts: list[str]) -> str:
    return ", ".join(NAMES.get(part, part) for part in parts)
