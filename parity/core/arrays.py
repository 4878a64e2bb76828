"""The types of answers, stated without importing numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np

Array: TypeAlias = "np.ndarray"
Answer: TypeAlias = "dict[str, np.ndarray]"
"""Arrays by leaf name, such as `Conv_0/kernel`."""
