"""JAX itself, in float32."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

from parity.cases.case import Case, State
from parity.cases.specs import Answer, Batch, outputs
from parity.cases.training import leaf_name
from parity.core.errors import RuntimeFailureError
from parity.runtimes import CALLS, BaseRuntime, Model
from parity.scoring.arithmetic import with_rounding


def configure_devices(cpus: int) -> None:
    """Give JAX `cpus` virtual CPUs, and keep it from taking all GPU memory, so that TensorFlow can share it.

    Does nothing where JAX has already started; `devices` tells what there is.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        jax.config.update("jax_num_cpu_devices", cpus)
    except AttributeError:  # before jax 0.5
        flag = f"--xla_force_host_platform_device_count={cpus}"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    except RuntimeError:
        return  # started by somebody else; a device that is wanted and not there is an error where it is asked for


def devices() -> list[str]:
    """The devices, such as `cpu:0`."""
    names = [f"cpu:{i}" for i, _ in enumerate(jax.devices("cpu"))]
    try:
        return names + [f"gpu:{i}" for i, _ in enumerate(jax.devices("gpu"))]
    except RuntimeError:  # how JAX says that there is none
        return names


def device(name: str) -> Any:
    """JAX's device of that name."""
    kind, _, index = name.partition(":")
    return jax.devices(kind)[int(index)]


def pure_functions(case: Case) -> dict[str, Callable[..., Any]]:
    """The evaluations as pure functions of (params, other_state, rng, data, labels)."""

    def predict(params: Any, other: Any, rng: Any, data: Any, labels: Any) -> Any:
        return outputs(case.predict((params, other), data))

    def accuracy(params: Any, other: Any, rng: Any, data: Any, labels: Any) -> Any:
        return case.accuracy((params, other), data, labels) if case.accuracy else None

    def differentiated(train: bool) -> Callable[..., Any]:
        def function(params: Any, other: Any, rng: Any, data: Any, labels: Any) -> Any:
            kept, drawn = jax.random.split(rng)
            differentiate = jax.value_and_grad(lambda p: case.loss(p, other, drawn, data, labels, train), has_aux=True)
            (loss, updated), gradient = differentiate(params)
            return loss, gradient, updated, kept

        return function

    return {
        "predict": predict,
        "accuracy": accuracy,
        "evaluate": differentiated(train=False),
        "train": differentiated(train=True),
    }


def ask(evaluation: str, function: Callable[..., Any], state: State, batch: Batch) -> dict[str, Answer]:
    """Evaluate one of the pure functions and name its results; answers by probe."""
    data, labels = batch.data, batch.labels
    if evaluation == "predict":
        return {"predict": named(function(*state, data, labels))}
    if evaluation == "accuracy":
        return {"accuracy": {"accuracy": np.asarray(function(*state, data, labels))}}
    if evaluation == "evaluate":
        loss, gradient, _, _ = function(*state, data, labels)
        return {"eval_loss": {"loss": np.asarray(loss)}, "eval_gradient": named(gradient)}
    answers: dict[str, Answer] = {"train_loss": {}, "train_gradient": {}, "batch_stats": {}, "rng": {}}
    for call in CALLS:
        loss, gradient, other, rng = function(*state, data, labels)
        state = State(state.params, other, rng)
        answers["train_loss"][f"call_{call}/loss"] = np.asarray(loss)
        answers["train_gradient"] |= named(gradient, f"call_{call}/")
        answers["batch_stats"] |= named(other, f"call_{call}/")
        answers["rng"][f"call_{call}/key"] = np.asarray(rng)
    return answers


def named(tree: Any, prefix: str = "") -> Answer:
    """The leaves of `tree` as numpy arrays by leaf name."""
    return {prefix + leaf_name(path): np.asarray(a) for path, a in jax.tree_util.tree_flatten_with_path(tree)[0]}


class Runtime(BaseRuntime):
    """The case's functions, compiled by `jax.jit`."""

    def __init__(self, subject: Model) -> None:
        super().__init__(subject)
        case, self.state = subject.require_case()
        self._pure = pure_functions(case)
        self._functions = {name: jax.jit(f) for name, f in self._pure.items()}
        self._rounding: dict[tuple[str, int], Callable[..., Any]] = {}

    def devices(self) -> list[str]:
        """JAX's devices."""
        return devices()

    def compute(self, evaluation: str, batch: Batch, device: str) -> dict[str, Answer]:
        """Answers in float32."""
        return self.compute_from(self.state, evaluation, batch, device)

    def compute_from(self, state: State, evaluation: str, batch: Batch, on: str) -> dict[str, Answer]:
        """The same from another state."""
        try:
            state, data, labels = jax.device_put((state, batch.data, batch.labels), device(on))
            return ask(evaluation, self._functions[evaluation], state, Batch(data, labels))
        except Exception as error:
            raise RuntimeFailureError(f"JAX failed on {on}: {type(error).__name__}: {error}") from error

    def compute_rounding(self, evaluation: str, batch: Batch, seeds: range) -> Iterator[dict[str, Answer]]:
        """The same with every rounded result off by up to one ulp, once per seed; see `arithmetic.with_rounding`."""
        key = (evaluation, batch.size)
        if key not in self._rounding:
            self._rounding[key] = with_rounding(self._pure[evaluation], *self.state, batch.data, batch.labels)
        for seed in seeds:
            yield ask(evaluation, partial(self._rounding[key], seed), self.state, batch)
