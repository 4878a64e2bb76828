"""Values by probe, where one probe may have failed and the others not; and what a runtime may answer with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from parity.core.errors import ParityError, RuntimeFailureError
from parity.core.tracebacks import raised

if TYPE_CHECKING:
    from parity.cases.specs import Answer

T = TypeVar("T")
EXPECTED = 'numpy arrays by leaf, such as {"output": array}'


class ByProbe(dict[str, T]):
    """Values by probe. To read the value of a probe that failed raises why, whether by `[]` or by `get`.

    Args:
        values: by probe.
        failed: by probe, why it has no value.
    """

    def __init__(self, values: Mapping[str, T] | None = None, failed: Mapping[str, ParityError] | None = None) -> None:
        super().__init__(values or {})
        self.failed = dict(failed or {})

    def __missing__(self, probe: str) -> T:
        self._require(probe)
        raise KeyError(probe)

    def get(self, probe: str, default: Any = None) -> Any:
        """Return the value of `probe`, or `default` where it has none and did not fail."""
        self._require(probe)
        return super().get(probe, default)

    def make(self, probe: str, function: Callable[[str], T]) -> None:
        """Set the value of `probe` to what `function` returns for it, or keep why it fails."""
        try:
            self[probe] = function(probe)
        except ParityError as error:
            self.fail(probe, error)

    def fail(self, probe: str, error: ParityError) -> None:
        """Keep why `probe` has no value."""
        self.pop(probe, None)
        self.failed[probe] = error

    def _require(self, probe: str) -> None:
        if probe in self.failed:
            raise self.failed[probe].with_traceback(None)  # or the traceback would grow each time


def foreign(what: str, error: Exception) -> RuntimeFailureError:
    """Return the failure that an exception out of a user's function is; `what` names the function."""
    return RuntimeFailureError(f"{what} {raised(error)}")


def require_arrays(answer: Any, what: str) -> Answer:
    """Return `answer` if it is named numpy arrays of numbers; `what` names the function that returned it.

    Raises:
        RuntimeFailureError: it is something else.
    """
    import numpy as np

    if not isinstance(answer, Mapping):
        raise RuntimeFailureError(f"{what} returned {type(answer).__name__}, expected {EXPECTED}.")
    for leaf, array in answer.items():
        if not isinstance(array, (np.ndarray, np.generic)) or array.dtype.kind in "OSUMm":
            raise RuntimeFailureError(
                f"{what} returned {type(array).__name__} for {leaf!r}, expected a numpy array of numbers. "
                "Convert it with numpy.asarray."
            )
    return dict(answer)
