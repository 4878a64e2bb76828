"""Remedies: ways to export that make a pair of releases work which is broken as exported by default.

Usable in your own export code, around everything that converts and saves:

    import parity

    with parity.readable_by("tensorflow==2.17.1"):
        converted = jax2tf.convert(predict, polymorphic_shapes=[...])
        ...
        tf.saved_model.save(module, path)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from packaging.version import Version

from parity.compat.readers import Limits, limits_of
from parity.core.errors import NotComparableError, RemedyError

_LOCK = threading.RLock()


@contextmanager
def readable_by(requirement: str) -> Iterator[None]:
    """Let jax write exported programs that one release of TensorFlow can read; use it around conversion and saving.

    Inside the block jax writes the older of its own StableHLO version and the reader's; where the reader accepts only
    an older calling convention, jax writes that one, without Shardy. jax has no public option for the version, so the
    function that chooses it is replaced in `jax._src.export`, and restored at the end, also after an exception. In
    nested blocks the oldest version wins. The change holds for the whole process: another thread waits for the end of
    the block before it enters its own, and programs that it exports without one are written alike.

    Args:
        requirement: one TensorFlow release, such as `tensorflow==2.17.1`.

    Raises:
        UsageError: `requirement` names no single release, or one that is neither in the table
            `parity/compat/readers.toml` nor installed.
        NotComparableError: jax is not installed.
        RemedyError: this jax chooses the version in another way than jax 0.4.30 to 0.12.
    """
    limits = limits_of(requirement)
    _require_jax()
    with _LOCK, ExitStack() as stack:
        stack.enter_context(_stablehlo_at_most(limits.stablehlo))
        stack.enter_context(_calling_convention_at_most(limits.calling_convention))
        _require_effect(limits)
        yield


def _require_jax() -> None:
    try:
        import jax  # noqa: F401
    except ImportError as error:
        raise NotComparableError(
            f"jax cannot be imported: {error}. readable_by changes what jax writes; install the jax that exports."
        ) from error


@contextmanager
def _stablehlo_at_most(limit: str) -> Iterator[None]:
    try:
        from jax._src.export import _export
    except ImportError as error:
        raise _changed(str(error)) from error
    hlo: Any = getattr(_export, "hlo", None)
    if hlo is None or not any(hasattr(hlo, name) for name in _CHOOSERS):
        raise _changed("jax._src.export._export no longer chooses a StableHLO version through `hlo`")
    _export.hlo = _Choosing(hlo, limit)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        _export.hlo = hlo  # type: ignore[attr-defined]


# jax 0.4.30 knows only the second; later releases call the first, or the second where the first is missing.
_CHOOSERS = ("get_version_from_compatibility_requirement", "get_minimum_version")


class _Choosing:
    """The StableHLO dialect as jax's exporter sees it, with the version that it chooses capped."""

    def __init__(self, hlo: Any, limit: str) -> None:
        self._hlo, self._limit = hlo, limit

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._hlo, name)
        return self._capped(found) if name in _CHOOSERS else found

    def _capped(self, choose: Callable[..., str]) -> Callable[..., str]:
        return lambda *arguments: min(choose(*arguments), self._limit, key=Version)


@contextmanager
def _calling_convention_at_most(limit: int) -> Iterator[None]:
    import jax

    # Convention 10 is the one that carries Shardy's shardings.
    options = {"jax_export_calling_convention_version": limit, "jax_use_shardy_partitioner": False}
    try:
        if jax.config.jax_export_calling_convention_version <= limit:
            options = {}
        before = {option: getattr(jax.config, option) for option in options}
    except AttributeError as error:
        raise _changed(f"an option is not there: {error}") from error
    try:
        for option, value in options.items():
            jax.config.update(option, value)
        yield
    finally:
        for option, value in before.items():
            jax.config.update(option, value)


def _require_effect(limits: Limits) -> None:
    """Export a program of one operation, and check what was written."""
    from parity.compat import writer

    try:
        wrote = writer.describe()
    except Exception as error:
        raise _changed(f"an export fails with {type(error).__name__}: {error}") from error
    if Version(wrote.stablehlo) == Version("0"):
        raise _changed("what it writes names no StableHLO version")
    if Version(wrote.stablehlo) > Version(limits.stablehlo) or wrote.calling_convention > limits.calling_convention:
        raise _changed(
            f"it still writes StableHLO {wrote.stablehlo} in calling convention {wrote.calling_convention}, expected "
            f"at most {limits.stablehlo} and {limits.calling_convention}"
        )


def _changed(what: str) -> RemedyError:
    import jax

    return RemedyError(
        f"the remedy does not fit jax {jax.__version__}: {what}. Expected jax 0.4.30 to 0.12; export with one of "
        "those, or look for a parity that knows this jax."
    )
