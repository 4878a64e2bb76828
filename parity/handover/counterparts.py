"""The Keras schedules and optimizers that do exactly what the declared Optax ones do."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np

from parity.cases.case import Training
from parity.core.errors import CaseError
from parity.handover import EXPORTED
from parity.handover.slots import carried, carry
from parity.handover.updates import SGD, Adam, Lion, keras

__all__ = ["carried", "carry", "keras_optimizer", "keras_schedule"]
schedules = keras.optimizers.schedules


def keras_schedule(training: Training, steps_per_epoch: int) -> Any:
    """Return a Keras schedule with the learning rate of `training.schedule` at every step.

    Raises:
        CaseError: Keras has none that is exactly the same, or the options are not what Optax's takes.
    """
    declared = training.schedule
    if declared is None:
        return _exponential_decay(training.learning_rate, steps_per_epoch, training.decay, staircase=True)
    if declared.name is None:
        _refuse("a schedule of one's own", "schedules.LearningRateSchedule, to be subclassed")
    if declared.name not in _SCHEDULES:
        nearest = _NEAREST_SCHEDULES.get(declared.name, "LearningRateSchedule, to be subclassed")
        _refuse(f"schedule {declared.name!r}", f"schedules.{nearest}")
    return _make(f"schedule {declared.name!r}", _SCHEDULES[declared.name], declared.options)


def keras_optimizer(training: Training, steps_per_epoch: int) -> Any:
    """Return the Keras optimizer that does, in exact arithmetic, what `training.optimizer` does.

    Raises:
        CaseError: Keras has none that does exactly the same, or the options are not what Optax's takes.
    """
    declared = training.optimizer
    if declared.make is not None:
        _refuse("an optimizer of one's own", "Optimizer, to be subclassed")
    if declared.name not in _OPTIMIZERS:
        nearest = _NEAREST_OPTIMIZERS.get(declared.name, "Optimizer, to be subclassed")
        _refuse(f"optimizer {declared.name!r}", nearest)
    rate = keras_schedule(training, steps_per_epoch)
    common = {"learning_rate": rate, "global_clipnorm": declared.clip_global_norm}
    return _make(f"optimizer {declared.name!r}", _OPTIMIZERS[declared.name], declared.options, common)


def _constant_schedule(value: float) -> Any:
    return schedules.ExponentialDecay(float(value), decay_steps=1, decay_rate=1.0)


def _exponential_decay(
    init_value: float,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Any:
    if transition_steps <= 0 or decay_rate == 0:
        return _constant_schedule(init_value)
    _same("exponential_decay", "schedules.ExponentialDecay", end_value=(end_value, None))
    _same("exponential_decay", "schedules.ExponentialDecay", transition_begin=(max(transition_begin, 0), 0))
    return schedules.ExponentialDecay(float(init_value), transition_steps, float(decay_rate), staircase=staircase)


def _polynomial_schedule(
    init_value: float, end_value: float, power: float, transition_steps: int, transition_begin: int = 0
) -> Any:
    if transition_steps <= 0:
        return _constant_schedule(init_value)
    _same("polynomial_schedule", "schedules.PolynomialDecay", transition_begin=(max(transition_begin, 0), 0))
    return schedules.PolynomialDecay(float(init_value), transition_steps, float(end_value), float(power))


def _linear_schedule(init_value: float, end_value: float, transition_steps: int, transition_begin: int = 0) -> Any:
    return _polynomial_schedule(init_value, end_value, 1.0, transition_steps, transition_begin)


def _cosine_decay_schedule(init_value: float, decay_steps: int, alpha: float = 0.0, exponent: float = 1.0) -> Any:
    _same("cosine_decay_schedule", "schedules.CosineDecay", exponent=(exponent, 1))
    _positive("decay_steps", decay_steps)
    return schedules.CosineDecay(float(init_value), decay_steps, float(alpha))


def _warmup_cosine_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    decay_steps: int,
    end_value: float = 0.0,
    exponent: float = 1.0,
) -> Any:
    """Translate: Optax counts the warm-up in `decay_steps` and ends at a value; Keras does neither."""
    _same("warmup_cosine_decay_schedule", "schedules.CosineDecay", exponent=(exponent, 1))
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


def _sgd(common: Any, momentum: float | None = None, nesterov: bool = False, accumulator_dtype: Any = None) -> Any:
    called, nearest = "optimizer 'sgd'", "SGD"
    _same(called, nearest, accumulator_dtype=(_float32(accumulator_dtype), None))
    if momentum is None:
        return SGD(**common)
    _number(called, nearest, momentum=momentum)
    if momentum == 0:
        raise ValueError("momentum is 0, expected above 0 or None, which keeps no trace")
    return SGD(momentum=float(momentum), nesterov=nesterov, **common)


def _adam(
    common: Any,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    nesterov: bool = False,
) -> Any:
    return _adamw(common, b1, b2, eps, eps_root, mu_dtype, 0.0, None, nesterov)


def _adamw(
    common: Any,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    weight_decay: float = 1e-4,
    mask: Any = None,
    nesterov: bool = False,
) -> Any:
    called, nearest = "optimizer 'adam' or 'adamw'", "Nadam" if nesterov else "AdamW"
    _number(called, nearest, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay)
    _same(called, nearest, eps_root=(eps_root, 0), mu_dtype=(_float32(mu_dtype), None), mask=(mask, None))
    _same(called, nearest, nesterov=(nesterov, False))
    return Adam(beta_1=b1, beta_2=b2, epsilon=eps, decoupled_decay=weight_decay, **common)


def _lion(
    common: Any,
    b1: float = 0.9,
    b2: float = 0.99,
    mu_dtype: Any = None,
    weight_decay: float = 1e-3,
    mask: Any = None,
) -> Any:
    called, nearest = "optimizer 'lion'", "Lion"
    _number(called, nearest, b1=b1, b2=b2, weight_decay=weight_decay)
    _same(called, nearest, mu_dtype=(_float32(mu_dtype), None), mask=(mask, None))
    return Lion(beta_1=b1, beta_2=b2, decoupled_decay=weight_decay, **common)


_SCHEDULES: dict[str, Callable[..., Any]] = {
    "constant_schedule": _constant_schedule,
    "exponential_decay": _exponential_decay,
    "cosine_decay_schedule": _cosine_decay_schedule,
    "warmup_cosine_decay_schedule": _warmup_cosine_decay_schedule,
    "piecewise_constant_schedule": _piecewise_constant_schedule,
    "polynomial_schedule": _polynomial_schedule,
    "linear_schedule": _linear_schedule,
}
"""With the parameters and defaults of their namesakes in Optax."""
_NEAREST_SCHEDULES = {
    "cosine_onecycle_schedule": "CosineDecay",
    "linear_onecycle_schedule": "PolynomialDecay",
    "piecewise_interpolate_schedule": "PiecewiseConstantDecay",
    "sgdr_schedule": "CosineDecayRestarts",
    "warmup_constant_schedule": "PolynomialDecay",
    "warmup_exponential_decay_schedule": "ExponentialDecay",
}
_OPTIMIZERS: dict[str, Callable[..., Any]] = {"sgd": _sgd, "adam": _adam, "adamw": _adamw, "lion": _lion}
_NEAREST_OPTIMIZERS = {
    "adabelief": "Adam",
    "adadelta": "Adadelta",
    "adafactor": "Adafactor",
    "adagrad": "Adagrad",
    "adamax": "Adamax",
    "adamaxw": "Adamax",
    "amsgrad": "Adam(amsgrad=True)",
    "lamb": "Lamb",
    "lars": "SGD",
    "nadam": "Nadam",
    "nadamw": "Nadam",
    "noisy_sgd": "SGD",
    "radam": "Adam",
    "rmsprop": "RMSprop",
    "sign_sgd": "Lion",
    "signum": "Lion",
    "yogi": "Adam",
}


def _float32(dtype: Any) -> Any:
    """Return None for float32, which moments are by default."""
    return None if dtype is None or np.dtype(dtype) == np.float32 else dtype


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} is {value}, expected above 0")


def _refuse(what: str, nearest: str) -> NoReturn:
    exact = _SCHEDULES if "schedule" in nearest else _OPTIMIZERS
    raise CaseError(
        f"{what} has no exact counterpart in Keras; with the options that Keras has too, {', '.join(exact)} do. The "
        f"nearest is keras.optimizers.{nearest}. Hand over as {EXPORTED!r}, which takes the Optax update itself."
    )


def _make(called: str, make: Callable[..., Any], options: Mapping[str, Any], *arguments: Any) -> Any:
    try:
        return make(*arguments, **options)
    except CaseError:
        raise
    except Exception as error:  # an option of any kind may be of any type
        expected = ", ".join(list(inspect.signature(make).parameters)[len(arguments) :])
        raise CaseError(
            f"{called} cannot be made for Keras: {error}. It takes {expected}; change the options."
        ) from error


def _same(called: str, nearest: str, **options: tuple[Any, Any]) -> None:
    """Refuse an option whose value is not the one that Keras can be exact for."""
    for name, (given, exact) in options.items():
        if given != exact:
            _refuse(f"{called} with {name}={given!r} (exact for {exact!r})", nearest)


def _number(called: str, nearest: str, **options: Any) -> None:
    for name, given in options.items():
        if isinstance(given, bool) or not isinstance(given, (int, float, np.number)):
            _refuse(f"{called} with {name}={given!r} (exact for a number)", nearest)
