"""The optimizer and its learning rate, declared once: made by Optax in JAX, by Keras in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from parity.core.errors import CaseError


@dataclass(frozen=True)
class Schedule:
    """The learning rate by step; give either a name or a function.

    Attributes:
        name: a function of `optax.schedules`, such as "cosine_decay_schedule".
        options: its keyword arguments.
        function: `step -> learning rate`, in functions that JAX can trace. `step` is an int32 scalar that counts from
            0; the rate is a float scalar.

    Raises:
        CaseError: neither or both of a name and a function, options that are no keyword arguments, or options beside a
            function. Training raises it where optax has no such schedule, or JAX cannot trace it.
    """

    name: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    function: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        if (self.name is None) == (self.function is None):
            raise CaseError(
                f"schedule {self.name!r}: expected either the name of a function of optax.schedules, such as "
                "'cosine_decay_schedule', or function=..."
            )
        _check("schedule", self.name or "of one's own", self.options, self.function)


@dataclass(frozen=True)
class Optimizer:
    """What turns gradients into updates: an optimizer of optax, or one that a function makes.

    Attributes:
        name: a function of optax that takes `learning_rate`, such as "adamw"; not used where there is `make`.
        options: its other keyword arguments.
        clip_global_norm: the largest L2 norm of all gradients together; larger gradients are scaled down to it before
            the optimizer. None for no clipping.
        make: `schedule -> optax.GradientTransformation`, in place of `name`.

    Raises:
        CaseError: options that are no keyword arguments, a learning rate among them, options beside `make`, or a norm
            that is not positive. Training raises it where optax has no such optimizer.
    """

    name: str = "adam"
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    clip_global_norm: float | None = None
    make: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        _check("optimizer", self.name, self.options, self.make)
        if "learning_rate" in self.options:
            raise CaseError(
                f"optimizer {self.name!r} has the option learning_rate, expected none: the rate is the schedule's. "
                "Give it as Training(learning_rate=...) or Training(schedule=Schedule(...))."
            )
        norm = self.clip_global_norm
        if norm is not None and (isinstance(norm, bool) or not isinstance(norm, (int, float)) or not 0 < norm < inf):
            raise CaseError(
                f"optimizer {self.name!r}: clip_global_norm is {norm!r}, expected a number above 0, or None for no "
                "clipping."
            )


def _check(kind: str, name: object, options: object, own: object) -> None:
    if not isinstance(name, str):
        raise CaseError(f"{kind} {name!r}: expected the name of a function of optax, a string.")
    if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        raise CaseError(f"{kind} {name!r}: options is {options!r}, expected a dict of keyword arguments.")
    if own is not None and not callable(own):
        raise CaseError(f"{kind} {name!r}: {own!r} cannot be called. Give a function, or leave it out.")
    if own is not None and options:
        raise CaseError(
            f"{kind}: a function of one's own takes no options, and it was given {', '.join(options)}. "
            "Bind them in the function."
        )
