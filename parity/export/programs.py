"""The programs that conversion would export of a case, written by JAX without TensorFlow."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax import export

from parity.cases.case import Case
from parity.cases.specs import BATCH, Spec, Specs, by_name, like
from parity.compat import writer
from parity.compat.handshake import Reader, Writer, skewed
from parity.records import Program


def programs(case: Case) -> list[Program]:
    """Return the programs of `case` as this JAX writes them by default, for a record.

    Empty where the case cannot be exported: conversion reports why.
    """
    try:
        found = [(function, writer.operations(one.mlir_module_serialized)) for function, one in exported(case)]
    except Exception:
        return []
    return [
        Program(case.name, function, hashlib.sha256(text.encode()).hexdigest(), counts)
        for function, (text, counts) in found
    ]


def newer_operations(case: Case, wrote: Writer, reader: Reader) -> list[str] | None:
    """Return the operations of `case` that are newer than what `reader` reads, such as `vhlo.log_v2`.

    Empty where the reader's StableHLO is as new as the writer's, or not known; None where the case cannot be exported.
    """
    if not skewed(wrote, reader) or reader.stablehlo is None:
        return []
    try:
        return sorted({n for _, program in exported(case) for n in writer.newer_operations(program, reader.stablehlo)})
    except Exception:
        return None  # training reports what is wrong with the case


def traced_loss(case: Case) -> Callable[..., Any]:
    """Return the loss with `train` as a traced boolean: `-> (loss, new_other_state)`."""

    def loss(params: Any, other: Any, rng: Any, data: Any, labels: Any, train: Any) -> tuple[Any, Any]:
        def branch(flag: bool) -> Callable[[], Any]:
            return lambda: case.loss(params, other, rng, data, labels, flag)

        value, updated = jax.lax.cond(train, branch(True), branch(False))
        return value, updated

    return loss


def exported(case: Case) -> Iterator[tuple[str, export.Exported]]:
    """Yield predictions, and the loss with its gradient, by name."""
    params, other = case.init(jax.random.PRNGKey(case.training.seed))
    size = export.symbolic_shape(BATCH)[0]
    state = jax.tree_util.tree_map(lambda a: jax.ShapeDtypeStruct(np.shape(a), np.asarray(a).dtype), (params, other))
    data, labels = (_shapes(specs, size) for specs in (case.data, case.labels))
    yield "predict", export.export(jax.jit(case.predict))(state, data)
    key, train = jax.ShapeDtypeStruct((2,), np.uint32), jax.ShapeDtypeStruct((), np.bool_)
    loss = export.export(jax.jit(traced_loss(case)))(*state, key, data, labels, train)
    yield "loss", loss
    yield "gradient", loss.vjp()


def _shapes(specs: Specs, size: Any) -> Any:
    def shape(spec: Spec) -> Any:
        return jax.ShapeDtypeStruct((size, *spec.shape[1:]), np.dtype(spec.dtype))

    return like(specs, {name: shape(spec) for name, spec in by_name(specs).items()})
