"""The policy: by which factor a number may grow without a warning, and what blocks and what only warns."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from parity.core.errors import UsageError
from parity.core.text import one_line

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = Path(__file__).with_name("policy.toml")
Level = Literal["hard", "advisory"]
ADVISORY = "advisory"
Factor = Annotated[float, msgspec.Meta(ge=1, le=1e9)]


class Drift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Factors by which a number may grow; scores up to `floor` count as `floor`."""

    floor: Annotated[float, msgspec.Meta(ge=0, le=1e9)]
    score: Factor
    budget: Factor
    power: Factor
    latency: Factor
    memory: Factor
    artifact: Factor


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a finding is hard or advisory, and why."""

    level: Level
    reason: Annotated[str, msgspec.Meta(min_length=1)]
    case: str = "*"
    probe: str = "*"
    runtime: str = "*"

    def matches(self, case: str, probe: str, runtime: str) -> bool:
        """Return whether the rule applies there."""
        names = ((case, self.case), (probe, self.probe), (runtime, self.runtime))
        return all(fnmatchcase(name, pattern) for name, pattern in names)


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `policy.toml` says; `downgrade` is the level of a candidate with older releases."""

    drift: Drift
    downgrade: Level = "hard"
    rule: tuple[Rule, ...] = ()

    def with_downgrade(self) -> Policy:
        """Return the policy that only warns of older releases: for who asks for a downgrade, and for named releases."""
        return msgspec.structs.replace(self, downgrade=ADVISORY)

    def excuse(self, case: str, probe: str, runtime: str) -> str:
        """Return why a finding there is advisory; empty where it is hard. The last rule that matches decides."""
        for rule in reversed(self.rule):
            if rule.matches(case, probe, runtime):
                return rule.reason if rule.level == ADVISORY else ""
        return ""

    def own_rules(self) -> list[tuple[int, Rule]]:
        """Return the rules that do not ship with the package, each with its number."""
        shipped = load_policy().rule
        return [(number, rule) for number, rule in enumerate(self.rule, 1) if rule not in shipped]

    def require_matches(self, places: Iterable[tuple[str, str, str]]) -> None:
        """Refuse a rule that matches none of `places`, each a case, a probe and a runtime: a name in it is misspelt.

        Rules that ship with the package are about any run, and may match none of this one.

        Raises:
            UsageError: a rule matches nothing; the message names its pattern, and the names that there are.
        """
        known = set(places)
        for number, rule in self.own_rules():
            if any(rule.matches(*place) for place in known):
                continue
            patterns = {"case": rule.case, "probe": rule.probe, "runtime": rule.runtime}
            given = {name: pattern for name, pattern in patterns.items() if pattern != "*"}
            alone = [
                (name, sorted({place[index] for place in known if place[index]}))
                for index, (name, pattern) in enumerate(patterns.items())
                if not any(fnmatchcase(place[index], pattern) for place in known)
            ]
            expected = "; ".join(f"{name} is one of {', '.join(map(one_line, names))}" for name, names in alone)
            text = ", ".join(f'{name} = "{one_line(pattern)}"' for name, pattern in given.items())
            raise UsageError(
                f"rule {number} of the policy ({text}) matches nothing in the baseline or the candidate. Expected "
                f"{expected or 'names that occur together'}. Correct it, or remove it."
            )


def load_policy(path: Path | None = None) -> Policy:
    """Return the policy that ships with the package, with what the one in `path` has in place of it.

    `path` overrides it key by key, and in the table `drift` too; rules are one key: those of `path` replace all.

    Raises:
        UsageError: it cannot be read, is not TOML, or says something else than the shipped one's kind of thing.
    """
    path = Path(path or SHIPPED)
    shown = one_line(str(path))
    try:
        shipped, own = (tomllib.loads(each.read_text(encoding="utf-8")) for each in (SHIPPED, path))
        if isinstance(own.get("drift"), dict):
            own["drift"] = {**shipped["drift"], **own["drift"]}
        return msgspec.convert({**shipped, **own}, type=Policy)
    except OSError as error:
        raise UsageError(f"cannot read the policy {shown}: {error.strerror}. Expected a file like {SHIPPED}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{shown} is not TOML: {one_line(str(error))}. Expected a file like {SHIPPED}.") from None
    except (msgspec.ValidationError, ValueError) as error:
        raise UsageError(
            f"the policy {shown} cannot be used: {one_line(str(error))}. Expected any of: a table `drift` with any of "
            f"{_FACTORS}; `downgrade` (hard or advisory); tables `rule` with level (hard or advisory), reason, and "
            f"patterns case, probe, runtime; as in {SHIPPED}."
        ) from None


_FACTORS = ", ".join(Drift.__struct_fields__)
