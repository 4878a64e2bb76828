"""Where in a user's own code an exception came from, in one line."""

from __future__ import annotations

import os
import sysconfig
import traceback
from pathlib import Path

from parity.core.failures import TRACEBACKS_OF_JAX, headline

_PACKAGE = str(Path(__file__).resolve().parents[1])
_TESTS = str(Path(_PACKAGE, "tests")) + os.sep
"""The files of the package's own tests stand for those of a user."""
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def line_of_user(error: BaseException) -> str:
    """Return file, line, function and text of the innermost frame that is in no installed package; "" for no frame.

    Of a function that JAX transforms, the frames are in a traceback that JAX adds as the cause. Where all are in
    installed packages, as of a probe in another distribution, the frame that the catching function called; "" if that
    is of this package, which says nothing to a user.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    added = error.__cause__ if type(error.__cause__).__name__ in TRACEBACKS_OF_JAX else None
    traces = [frames, traceback.extract_tb(added.__traceback__) if added else []]
    own = next(filter(None, ([f for f in trace if not _is_installed(f.filename)] for trace in traces)), [])
    frame = own[-1] if own else frames[min(1, len(frames) - 1)]
    if frame.filename.startswith(_PACKAGE + os.sep) and not frame.filename.startswith(_TESTS):
        return ""
    path = os.path.relpath(frame.filename)
    shown = Path(path).name if path.startswith(os.pardir) else path
    return f"{shown}:{frame.lineno} in {frame.name}: {frame.line}"


def raised(error: BaseException) -> str:
    """Return what a user's function raised, and where: `raised KeyError: 'x', at model.py:3 in predict: d["x"]`."""
    where = line_of_user(error)
    return f"raised {type(error).__name__}: {headline(str(error)).rstrip('.')}{where and f', at {where}'}"


def _is_installed(filename: str) -> bool:
    return filename.startswith(("<", _PACKAGE + os.sep, *(f"{folder}{os.sep}" for folder in _INSTALLED)))
