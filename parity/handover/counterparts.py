"""The Keras schedules and optimizers that do exactly what the declared Optax ones do.

A counterpart has Optax's name, and those of its options that Keras has too, with Optax's defaults.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np

from parity.cases.case import Training
from parity.core.errors import CaseError
from parity.handover import EXPORTED
from parity.handover.updates import SGD, Adam, Lion, keras

schedules = keras.optimizers.schedules

LACKING = {
    "accumulator_dtype": None,
    "end_value": None,
    "eps_root": 0,
    "exponent": 1,
    "mask": None,
    "mu_dtype": None,
    "nesterov": False,
    "transition_begin": 0,
}
"""Options of Optax that a counterpart may lack, and the defaults, with which it is exact."""


def keras_schedule(training: Training, steps_per_epoch: int) -> Any:
    """Return a Keras schedule with the learning rate of `training.schedule` at every step.

    Raises:
        CaseError: Keras has none that is exactly the same, or the options are not what Optax's takes.
    """
    declared = training.schedule
    if declared is None:
        return _exponential_decay(training.learning_rate, steps_per_epoch, training.decay, staircase=True)
    if declared.name is None:
        _refuse("schedule", "a schedule of one's own")
    return _make("schedule", declared.name, declared.options)


def keras_optimizer(training: Training, steps_per_epoch: int) -> Any:
    """Return the Keras optimizer that does, in exact arithmetic, what `training.optimizer` does.

    Raises:
        CaseError: Keras has none that does exactly the same, or the options are not what Optax's takes.
    """
    declared = training.optimizer
    if declared.make is not None:
        _refuse("optimizer", "an optimizer of one's own")
    for option, given in declared.options.items():
        number = isinstance(given, (int, float, np.number)) and not isinstance(given, bool)
        if option not in LACKING and given is not None and not number:
            _refuse("optimizer", f"optimizer {declared.name!r} with {option}={given!r} (exact for a number)")
    rate = keras_schedule(training, steps_per_epoch)
    common = {"learning_rate": rate, "global_clipnorm": declared.clip_global_norm}
    return _make("optimizer", declared.name, declared.options, common)


def _constant_schedule(value: float) -> Any:
    return schedules.ExponentialDecay(float(value), decay_steps=1, decay_rate=1.0)


def _exponential_decay(init_value: float, transition_steps: int, decay_rate: float, staircase: bool = False) -> Any:
    if transition_steps <= 0 or decay_rate == 0:
        return _constant_schedule(init_value)
    return schedules.ExponentialDecay(float(init_value), transition_steps, float(decay_rate), staircase=staircase)


def _polynomial_schedule(init_value: float, end_value: float, power: float, transition_steps: int) -> Any:
    if transition_steps <= 0:
        return _constant_schedule(init_value)
    return schedules.PolynomialDecay(float(init_value), transition_steps, float(end_value), float(power))


def _linear_schedule(init_value: float, end_value: float, transition_steps: int) -> Any:
    return _polynomial_schedule(init_value, end_value, 1.0, transition_steps)


def _cosine_decay_schedule(init_value: float, decay_steps: int, alpha: float = 0.0) -> Any:
    _positive("decay_steps", decay_steps)
    return schedules.CosineDecay(float(init_value), decay_steps, float(alpha))


def _warmup_cosine_decay_schedule(
    init_value: float, peak_value: float, warmup_steps: int, decay_steps: int, end_value: float = 0.0
) -> Any:
    """Translate: Optax counts the warm-up in `decay_steps` and ends at a value; Keras does neither."""
    _positive("decay_steps - warmup_steps", decay_steps - warmup_steps)
    alpha = end_value / peak_value if peak_value else 0.0
    if warmup_steps <= 0:
        return schedules.CosineDecay(float(peak_value), decay_steps, alpha)
    return schedules.CosineDecay(
        float(init_value), decay_steps - warmup_steps, alpha, warmup_target=float(peak_value), warmup_steps=warmup_steps
    )


def _piecewise_constant_schedule(init_value: float, boundaries_and_scales: Mapping[float, float] | None = None) -> Any:
    """Translate: at a boundary Optax has scaled already, and Keras has not: its boundary is the step before."""
    if not boundaries_and_scales:
        return _constant_schedule(init_value)
    values = [float(init_value)]
    for _, scale in sorted(boundaries_and_scales.items()):
        values.append(values[-1] * scale)
    boundaries = [math.ceil(boundary) - 1 for boundary in sorted(boundaries_and_scales)]
    return schedules.PiecewiseConstantDecay(boundaries, values)


def _sgd(common: Any, momentum: float | None = None, nesterov: bool = False) -> Any:
    if momentum is None:
        return SGD(**common)
    if momentum == 0:
        raise ValueError("momentum is 0, expected above 0 or None, which keeps no trace")
    return SGD(momentum=float(momentum), nesterov=nesterov, **common)


def _adam(common: Any, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Any:
    return _adamw(common, b1, b2, eps, weight_decay=0.0)


def _adamw(common: Any, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, weight_decay: float = 1e-4) -> Any:
    return Adam(beta_1=b1, beta_2=b2, epsilon=eps, decoupled_decay=weight_decay, **common)


def _lion(common: Any, b1: float = 0.9, b2: float = 0.99, weight_decay: float = 1e-3) -> Any:
    return Lion(beta_1=b1, beta_2=b2, decoupled_decay=weight_decay, **common)


_COUNTERPARTS: dict[str, dict[str, Callable[..., Any]]] = {
    "schedule": {
        "constant_schedule": _constant_schedule,
        "exponential_decay": _exponential_decay,
        "cosine_decay_schedule": _cosine_decay_schedule,
        "warmup_cosine_decay_schedule": _warmup_cosine_decay_schedule,
        "piecewise_constant_schedule": _piecewise_constant_schedule,
        "polynomial_schedule": _polynomial_schedule,
        "linear_schedule": _linear_schedule,
    },
    "optimizer": {"sgd": _sgd, "adam": _adam, "adamw": _adamw, "lion": _lion},
}


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} is {value}, expected above 0")


def _refuse(kind: str, what: str) -> NoReturn:
    raise CaseError(
        f"{what} has no exact counterpart in Keras; with the options that Keras has too, "
        f"{', '.join(_COUNTERPARTS[kind])} do. Hand over as {EXPORTED!r}, which takes the Optax update itself."
    )


def _make(kind: str, name: str, options: Mapping[str, Any], *arguments: Any) -> Any:
    """Call the counterpart of a name with those options that it has; refuse any other that changes something."""
    called = f"{kind} {name!r}"
    if name not in _COUNTERPARTS[kind]:
        _refuse(kind, called)
    make = _COUNTERPARTS[kind][name]
    parameters = list(inspect.signature(make).parameters)[len(arguments) :]
    lacking = LACKING.keys() - parameters
    try:
        for option, given in options.items():
            if option in lacking and _matters(option, given):
                _refuse(kind, f"{called} with {option}={given!r} (exact for {LACKING[option]!r})")
        return make(*arguments, **{option: given for option, given in options.items() if option not in lacking})
    except CaseError:
        raise
    except Exception as error:  # an option of any kind may be of any type
        raise CaseError(
            f"{called} cannot be made for Keras: {error}. It takes {', '.join(parameters)}; change the options."
        ) from error


def _matters(option: str, given: Any) -> bool:
    """Return whether an option that Keras lacks changes anything; float32 is what moments are by default."""
    if option.endswith("_dtype") and given is not None:
        return np.dtype(given) != np.float32
    return bool(given != LACKING[option])
