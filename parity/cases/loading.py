"""Find a case by its name, by an entry point, or in a user's file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

from parity.cases.case import Case
from parity.core.errors import CaseError

ENTRY_POINTS = "parity.cases"
"""The group of entry points of cases: a `Case`, or a module with one that is named `case`."""


def available() -> list[str]:
    """Return the names of the cases that are found without a file: those of parity, and those of entry points."""
    return sorted({*_shipped(), *(entry.name for entry in metadata.entry_points(group=ENTRY_POINTS))})


def _shipped() -> list[str]:
    folder = Path(__file__).parent / "shipped"
    return [path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")]


def load(name: str) -> Case:
    """Find a case: one of parity, one that a distribution declares as an entry point, or one in a user's file.

    It is `prepared`: typed PRNG keys in its other state are kept as their data, uint32, and nested inputs and outputs
    as flat ones by leaf name.

    Args:
        name: the name of a module in `parity.cases.shipped`, that of an entry point of the group `parity.cases`, or
            `path/to/file.py:name`. The file may import the files beside it.

    Raises:
        CaseError: there is no such file, it does not parse, it raises, or it names no such case; or a name is that of
            several cases.
    """
    path, colon, attribute = name.rpartition(":")
    if colon:
        return prepared(_case_in(_user_module(Path(path)), attribute, path))
    entries = [entry for entry in metadata.entry_points(group=ENTRY_POINTS) if entry.name == name]
    if len(entries) + (name in _shipped()) > 1:
        raise CaseError(
            f"several cases are named {name!r}: {', '.join(entry.value for entry in entries)}"
            f"{', and one of parity' if name in _shipped() else ''}. Rename or uninstall all but one."
        )
    if entries:
        return _declared(entries[0])
    if name not in _shipped():
        raise CaseError(
            f"no case {name!r}. Expected one of {', '.join(available())}, or path/to/file.py:name for your own."
        )
    where = f"parity.cases.shipped.{name}"
    return _case_in(importlib.import_module(where), "case", where)  # none has typed keys or nested inputs


def prepared(case: Case) -> Case:
    """Return `case` as parity works with it: typed keys in its state as their data, inputs and outputs flat by name.

    Raises:
        CaseError: an input is no `Spec`, none carries the batch, or two have the same name.
    """
    from parity.cases import keys, structure

    return structure.flattened(keys.as_data(case))


def _declared(entry: metadata.EntryPoint) -> Case:
    where = f"the entry point {entry.name} = {entry.value!r}"
    try:
        found = entry.load()
    except (Exception, SystemExit) as error:
        raise CaseError(f"{where} raised {type(error).__name__} while it was loaded: {error}.") from error
    if isinstance(found, ModuleType):
        return prepared(_case_in(found, "case", where))
    if not isinstance(found, Case):
        raise CaseError(f"{where} is {found!r}, expected a parity.Case, or a module with one that is named 'case'.")
    return prepared(found)


def _case_in(module: ModuleType, attribute: str, where: str) -> Case:
    found = getattr(module, attribute, None)
    if isinstance(found, Case):
        return found
    names = [key for key, value in vars(module).items() if isinstance(value, Case)]
    listed = f"it has {', '.join(names)}" if names else "it has no case at all; assign a parity.Case"
    what = "is not a Case" if hasattr(module, attribute) else "is not in it"
    raise CaseError(f"{where}: {attribute!r} {what}; {listed}.")


def _user_module(path: Path) -> ModuleType:
    if not path.is_file():
        raise CaseError(f"no case file {path}. Expected path/to/file.py:name.")
    spec = importlib.util.spec_from_file_location(f"parity_case_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise CaseError(f"{path} is not a Python file. Expected path/to/file.py:name.")
    # The file may import its neighbours, also later and within its functions; at the end they shadow nothing installed.
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.append(folder)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise CaseError(f"{error.filename or path}, line {error.lineno}: does not parse: {error.msg}.") from error
    except (Exception, SystemExit) as error:
        raise CaseError(f"{path} raised {type(error).__name__} while it was read: {error}.") from error
    return module
