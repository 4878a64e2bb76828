"""Which runtimes there are: the modules of this package, and those that other distributions declare."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TypeGuard

from parity.core.errors import UsageError
from parity.runtimes.base import ARTIFACT, CANDIDATE, CASE, ORACLE, REFERENCE, Capabilities, Model, Runtime

GROUP = "parity.runtimes"
"""The group of entry points: `name = "module:Class"`, the class derived from `Runtime`."""

_ROLES = (REFERENCE, ORACLE, CANDIDATE)
_SOURCES = (CASE, ARTIFACT)


@cache
def runtimes() -> dict[str, type[Runtime]]:
    """Return every runtime class by name: JAX first, then its oracle, converted functions, artifacts; then by name.

    Raises:
        UsageError: an entry point is no runtime, or two runtimes have one name.
    """
    found: dict[str, type[Runtime]] = {}
    for runtime in (*_own(), *_installed()):
        if found.setdefault(runtime.name, runtime) is not runtime:
            raise UsageError(f"two runtimes are named {runtime.name!r}. Expected different names; uninstall one.")
    return dict(sorted(found.items(), key=lambda pair: _place(pair[1])))


def is_class(value: object) -> TypeGuard[type]:
    """Return whether a value is a class; in Python 3.10 `dict[str, int]` passes for one with `isinstance`."""
    return issubclass(type(value), type)


def _own() -> list[type[Runtime]]:
    # A module whose name begins with an underscore has no runtime, and may import a framework.
    package = importlib.import_module("parity.runtimes")
    names = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    return [
        value
        for module in modules
        for value in vars(module).values()
        if is_class(value) and issubclass(value, Runtime) and "name" in vars(value)
        and value.__module__ == module.__name__
    ]  # fmt: skip


def _installed() -> list[type[Runtime]]:
    found = []
    for entry in entry_points(group=GROUP):
        try:
            runtime = entry.load()
        except Exception as error:
            raise UsageError(
                f"the runtime {entry.name!r} ({entry.value}) cannot be imported: {type(error).__name__}: {error}. "
                "Mend or uninstall the distribution that declares it."
            ) from error
        derived = is_class(runtime) and issubclass(runtime, Runtime)
        if not derived or runtime.name != entry.name:
            raise UsageError(
                f"the entry point {entry.name!r} of {GROUP} ({entry.value}) is no runtime of that name. Expected a "
                "class derived from parity.runtimes.base.Runtime with this `name`."
            )
        if not isinstance(getattr(runtime, "capabilities", None), Capabilities):
            raise UsageError(f"the runtime {entry.name!r} ({entry.value}) declares no `capabilities`.")
        if missing := [name for name in runtime.capabilities.requires if find_spec(name) is None]:
            raise UsageError(
                f"the runtime {entry.name!r} ({entry.value}) needs {', '.join(missing)}. Install it, or uninstall the "
                "distribution that declares the runtime."
            )
        found.append(runtime)
    return found


def _place(runtime: type[Runtime]) -> tuple[object, ...]:
    can = runtime.capabilities
    return _ROLES.index(can.role), not _is_own(runtime), _SOURCES.index(can.source), can.own_process, runtime.name


def _is_own(runtime: type[Runtime]) -> bool:
    return runtime.__module__.startswith("parity.runtimes.")


def require(name: str) -> type[Runtime]:
    """Return the runtime class `name`.

    Raises:
        UsageError: there is none.
    """
    if name not in runtimes():
        raise UsageError(f"no runtime {name!r}. Expected one of {', '.join(runtimes())}.")
    return runtimes()[name]


def open_runtime(name: str, model: Model) -> Runtime:
    """Return the runtime `name`, opened on `model`.

    Raises:
        UsageError: there is no such runtime.
    """
    return require(name)(model)


def with_role(role: str) -> type[Runtime]:
    """Return the first runtime with that role: JAX for `REFERENCE`, JAX in float64 for `ORACLE`."""
    return next(runtime for runtime in runtimes().values() if runtime.capabilities.role == role)


def reader() -> type[Runtime]:
    """Return parity's own runtime that reads an artifact in this process, which exports are tried with."""
    for runtime in filter(_is_own, runtimes().values()):
        can = runtime.capabilities
        if (can.role, can.source, can.own_process) == (CANDIDATE, ARTIFACT, False) and can.any_state:
            return runtime
    raise UsageError("no runtime reads an artifact in this process. Expected parity's own saved_model.")
