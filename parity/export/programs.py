"""The programs that conversion would export of a case, written by JAX without TensorFlow."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jax import export

from parity.cases import symbols
from parity.cases.case import Case
from parity.cases.layout import abstract, abstract_state
from parity.compat import writer
from parity.compat.handshake import Reader, Writer, skewed
from parity.records import Program


class CasePrograms:
    """The programs that conversion would export of a case, exported once, when they are first needed."""

    def __init__(self, case: Case) -> None:
        self._case = case

    @cached_property
    def exported(self) -> dict[str, export.Exported]:
        """The programs as this JAX writes them by default: predictions, and the loss with its gradient.

        Raises:
            Exception: the case cannot be exported.
        """
        return dict(exported(self._case))

    def records(self) -> list[Program]:
        """Return the programs for a record; none where the case cannot be exported: conversion reports why."""
        try:
            found = [(name, writer.operations(one.mlir_module_serialized)) for name, one in self.exported.items()]
        except Exception:
            return []
        return [
            Program(self._case.name, function, hashlib.sha256(text.encode()).hexdigest(), counts)
            for function, (text, counts) in found
        ]

    def newer_operations(self, wrote: Writer, reader: Reader) -> list[str] | None:
        """Return the operations of the case that are newer than what `reader` reads, such as `vhlo.log_v2`.

        Empty where the reader's StableHLO is as new as the writer's, or not known; None where the case cannot be
        exported.
        """
        limit = reader.stablehlo
        if not skewed(wrote, reader) or limit is None:
            return []
        try:
            return sorted({n for program in self.exported.values() for n in writer.newer_operations(program, limit)})
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
    sizes, state = _symbolic(case), abstract_state(case)
    data, labels = (abstract(specs, sizes) for specs in (case.data, case.labels))
    yield "predict", export.export(jax.jit(case.predict))(state, data)
    if case.served_only:
        return
    key, train = jax.ShapeDtypeStruct((2,), np.uint32), jax.ShapeDtypeStruct((), np.bool_)
    loss = export.export(jax.jit(traced_loss(case)))(*state, key, data, labels, train)
    yield "loss", loss
    if case.differentiated:
        yield "gradient", loss.vjp()


def _symbolic(case: Case) -> dict[str, Any]:
    """Return a symbolic size for every name in the specs, all in one scope with the constraints."""
    names = sorted({*symbols.of(case.data), *symbols.of(case.labels)})
    scope = export.SymbolicScope(case.constraints)
    return dict(zip(names, export.symbolic_shape(",".join(names), scope=scope), strict=True))
