"""Which adapter makes a case of a thing, found without importing the library that the thing is from."""

from __future__ import annotations

from typing import Any

_ADAPTERS = {
    ("flax.linen", "Module"): "from_linen",
    ("flax.nnx", "Module"): "from_nnx",
    ("equinox", "Module"): "from_equinox",
    ("haiku", "Module"): "from_haiku",
    ("haiku", "Transformed"): "from_haiku",
    ("haiku", "TransformedWithState"): "from_haiku",
}


def adapter_of(thing: Any) -> str | None:
    """Return the name of the adapter for a model of a library, or for its class; None for anything else."""
    bases = getattr(thing, "__mro__", None) or type(thing).__mro__
    for base in bases:
        for (package, name), adapter in _ADAPTERS.items():
            if base.__name__ == name and f"{base.__module__}.".startswith(f"{package}."):
                return adapter
    return None
