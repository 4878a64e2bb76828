"""The gate: may this pair of releases replace that one? A baseline beside a candidate, under a policy.

`read` takes run records and baselines, `judge` is pure. Plain layer: no framework, no numpy, and quick to start.
"""

from parity.gate.decision import judge
from parity.gate.policy import Policy, load_policy
from parity.gate.side import Side, from_run, read
from parity.gate.verdict import Finding, Group, Verdict

__all__ = ["Finding", "Group", "Policy", "Side", "Verdict", "from_run", "judge", "load_policy", "read"]
