"""Conversion of a case by jax2tf, which needs both frameworks.

`Exported` is the module of the published workflow: state in `tf.Variable`s, functions converted with a symbolic batch
size. Wrapped in different ways it is three runtimes; saved, it is the artifact that others load.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tensorflow as tf

from parity.cases import symbols
from parity.cases.case import Case, State
from parity.cases.functions import leaf_name
from parity.cases.specs import BATCH, SOLE, Batch, Spec, Specs, by_name, like, outputs, signature_name
from parity.compat import readers, remedies, writer
from parity.compat.causes import failed
from parity.compat.handshake import Reader
from parity.core import mlir
from parity.core.environment import versions
from parity.core.errors import ParityError
from parity.export import artifact, bundles
from parity.export.artifact import FEATURES, FEATURES_TRAIN, Wrap, graph, tensor_specs
from parity.export.bundles import Signature, StateLeaf
from parity.export.gradients import differentiable
from parity.export.interface import Interface
from parity.export.programs import CasePrograms, traced_loss
from parity.scoring.rules import limit_of

LOSSES = ("eval_loss", "train_loss")


def without_source_locations() -> None:
    """Keep source locations out of exported programs.

    Equal programs are then equal to the byte wherever they were exported from, so TensorFlow compiles each of them
    once, and an artifact carries no path of the machine that wrote it.
    """
    jax.config.update("jax_traceback_in_locations_limit", 0)
    jax.config.update("jax_hlo_source_file_canonicalization_regex", ".*")  # jax up to 0.6 writes one in spite of that


def state_leaves(state: State) -> tuple[StateLeaf, ...]:
    """Return the variables of the artifact, in order: parameters, then the other state."""
    names = [
        [leaf_name(path) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]
        for tree in (state.params, state.other)
    ]
    return (*(StateLeaf(n, True) for n in names[0]), *(StateLeaf(n, False) for n in names[1]))


def signature(case: Case, state: State) -> Signature:
    """Return what a process without JAX needs to know of the case."""
    return Signature(
        case=case.name,
        data=case.data,
        labels=case.labels,
        state=state_leaves(state),
        probes=case.probes,
        limit=limit_of(case.limit.score if case.limit else None),
        limit_reason=case.limit.reason if case.limit else None,
        differentiated=case.differentiated,
    )


class Exported(tf.Module):
    """The functions of a case over variables: `predict`, `accuracy`, `train_loss` and `eval_loss`.

    Args:
        case: what to export.
        state: its trained state.
        wrap: makes callables of the functions.
        only: the names of the functions; None for all but those of the trunk.
        sizes: of every name in the specs, the only ones for which the functions are converted; None for symbolic ones.

    Attributes:
        state_vars: flat list of variables, parameters first, for fine-tuning.
        rng: the key, [2] uint32; `train_loss` splits it, draws with one half and keeps the other.
        features, features_train: of the case's trunk, where `only` names them; the second updates statistics and splits
            the key as `train_loss` does.
    """

    def __init__(
        self,
        case: Case,
        state: State,
        wrap: Wrap,
        only: tuple[str, ...] | None = None,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(name=case.name)
        self._symbolic = sizes is None
        leaves, self._tree = jax.tree_util.tree_flatten((state.params, state.other))
        named = zip(state_leaves(state), leaves, strict=True)
        self.state_vars = [tf.Variable(v, trainable=s.trainable, name=variable_name(s.leaf)) for s, v in named]
        data, labels = tensor_specs(case.data, sizes), tensor_specs(case.labels, sizes)
        functions = {
            "predict": (self._predict(case), [data]),
            "accuracy": (self._accuracy(case), [data, labels]),
            "eval_loss": (self._loss(case, train=False), [data, labels]),
            "train_loss": (self._loss(case, train=True), [data, labels]),
        }
        absent = [*(["accuracy"] if case.accuracy is None else []), *(LOSSES if case.served_only else [])]
        functions = {name: known for name, known in functions.items() if name not in absent}
        if only is not None and case.trunk is not None:
            functions |= {n: (self._features(case, n == FEATURES_TRAIN), [data]) for n in (FEATURES, FEATURES_TRAIN)}
        if only is None or set(only) - {"predict", "accuracy"}:
            self.rng = tf.Variable(state.rng, trainable=False, name="rng")
        for name, (function, specs) in functions.items():
            if only is None or name in only:
                setattr(self, name, wrap(function, specs))

    def _trees(self) -> tuple[Any, Any]:
        return jax.tree_util.tree_unflatten(self._tree, self.state_vars)

    def _shapes(self, specs: Specs) -> Any:
        return _polymorphic(specs) if self._symbolic else "..."

    def _constraints(self, case: Case, *specs: Specs) -> tuple[str, ...]:
        known = {name for spec in specs for name in symbols.of(spec)}
        return symbols.within(case.constraints, known) if self._symbolic else ()

    def _predict(self, case: Case) -> Callable[..., Any]:
        shapes = ["...", "...", self._shapes(case.data)]
        constraints = self._constraints(case, case.data)
        converted = convert(lambda p, o, x: case.predict((p, o), x), shapes, gradient=False, constraints=constraints)

        def predict(data: Any) -> Any:
            return converted(*self._trees(), data)

        return predict

    def _accuracy(self, case: Case) -> Callable[..., Any]:
        of: Any = case.accuracy
        shapes = ["...", "...", self._shapes(case.data), self._shapes(case.labels)]
        constraints = self._constraints(case, case.data, case.labels)
        converted = convert(lambda p, o, x, y: of((p, o), x, y), shapes, gradient=False, constraints=constraints)

        def accuracy(data: Any, labels: Any) -> Any:
            return converted(*self._trees(), data, labels)

        return accuracy

    def _loss(self, case: Case, train: bool) -> Callable[..., Any]:
        shapes = ["...", "...", "...", self._shapes(case.data), self._shapes(case.labels), "..."]
        constraints = self._constraints(case, case.data, case.labels)
        converted = convert(traced_loss(case), shapes, gradient=case.differentiated, constraints=constraints)
        split = _key_split()

        def train_loss(data: Any, labels: Any) -> Any:
            kept, drawn = split(self.rng)
            loss, other = converted(*self._trees(), drawn, data, labels, tf.constant(True))
            self._advance(other, kept)
            return loss

        def eval_loss(data: Any, labels: Any) -> Any:
            _, drawn = split(self.rng)
            return converted(*self._trees(), drawn, data, labels, tf.constant(False))[0]

        return train_loss if train else eval_loss

    def _features(self, case: Case, train: bool) -> Callable[..., Any]:
        function: Any = case.trunk
        shapes = ["...", "...", "...", self._shapes(case.data)]
        constraints = self._constraints(case, case.data)
        other = jax.tree_util.tree_unflatten(self._tree, self.state_vars)[1]
        floats = [leaf for leaf in jax.tree_util.tree_leaves(other) if leaf.dtype.is_floating or leaf.dtype.is_complex]
        converted = convert(
            lambda p, o, rng, x: function(p, o, rng, x, train), shapes, gradient=True, constraints=constraints,
            results=[f"({BATCH}, ...)", *["..."] * len(floats)],
        )  # fmt: skip
        split = _key_split()

        def features(data: Any) -> Any:
            kept, drawn = split(self.rng)
            found, other = converted(*self._trees(), drawn, data)
            if train:
                self._advance(other, kept)
            return found

        return features

    def _advance(self, other: Any, key: Any) -> None:
        """Store the other state and the key that a training step returns."""
        updated = jax.tree_util.tree_leaves(other)
        for variable, value in zip(self.state_vars[len(self.state_vars) - len(updated) :], updated, strict=True):
            variable.assign(value)
        self.rng.assign(key)


def _key_split() -> Callable[..., Any]:
    """Return a function that splits a key, apart from the differentiated function.

    A differentiated function with integer results is another program in eager mode than in a graph, and would be
    compiled twice.
    """
    return convert(lambda rng: tuple(jax.random.split(rng)), ["..."], gradient=False)


def _polymorphic(specs: Specs) -> Any:
    def shape(spec: Spec) -> str:
        return f"({', '.join(map(str, spec.shape))}{',' if len(spec.shape) == 1 else ''})"

    return like(specs, {name: shape(spec) for name, spec in by_name(specs).items()})


def convert(
    function: Callable[..., Any],
    shapes: list[Any],
    gradient: bool,
    constraints: tuple[str, ...] = (),
    results: Any = "...",
) -> Callable[..., Any]:
    """Convert `function` for arguments of those polymorphic shapes, with or without its gradient.

    `results` are the shapes of those results that have a gradient; `...` where they follow no size.
    """
    from jax.experimental import jax2tf

    without_source_locations()
    if gradient and constraints:
        return differentiable(
            function, shapes, results, lambda f, s: convert(f, s, gradient=False, constraints=constraints)
        )
    return jax2tf.convert(
        function, polymorphic_shapes=shapes, polymorphic_constraints=constraints, with_gradient=gradient
    )


def variable_name(leaf: str) -> str:
    """Return `leaf` as the name of a TensorFlow variable, which starts with a letter, a digit or a full stop."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_./-") else "_" for c in leaf)
    return name if name[:1].isalnum() else f".{name}"


def remedied(readable_by: str | None) -> AbstractContextManager[None]:
    """Return the remedy for that requirement as a context; for None, jax's default."""
    return nullcontext() if readable_by is None else remedies.readable_by(readable_by)


@contextmanager
def exporting(what: str, advice: str, readable_by: str | None) -> Iterator[None]:
    """Export within this context: under the remedy for the requirement `readable_by`, if any.

    Raises:
        RuntimeFailureError: conversion or saving failed: `what` cannot be exported; `advice` says what to do where no
            cure is known, or is empty.
    """
    try:
        with remedied(readable_by):
            yield
    except (OSError, ParityError):
        raise
    except Exception as error:
        raise failed(f"{what} cannot be exported", error, advice) from error


def save(
    case: Case, state: State, folder: Path, readable_by: str | None = None, sizes: Mapping[str, int] | None = None
) -> None:  # fmt: skip
    """Write the two SavedModels of the workflow: `folder/saved_model` with everything, `folder/inference`.

    Both have a `serving_default` signature that predicts, so that a model server has something to call.

    Args:
        case: what to export.
        state: its trained state.
        folder: where to.
        readable_by: the requirement of the remedy under which it is exported; None for jax's default.
        sizes: of every name in the specs, the only ones for which it is exported; None for symbolic ones.

    Raises:
        RuntimeFailureError: conversion or saving failed.
    """
    with exporting(f"case {case.name!r}", "", readable_by):
        for name, only in (("saved_model", None), ("inference", ("predict",))):
            module = Exported(case, state, graph, only, sizes)
            save_module(module, case, folder / name, gradients=only is None, sizes=sizes)


def save_module(
    module: Exported, case: Case, path: Path, gradients: bool, sizes: Mapping[str, int] | None = None
) -> None:  # fmt: skip
    """Write the SavedModel of `module` to `path`, with a `serving_default` signature that predicts."""
    names = list(by_name(case.data))

    def serve(**named: Any) -> dict[str, Any]:
        data = like(case.data, {name: named[signature_name(name)] for name in names})
        return artifact.served(outputs(module.predict(data)))

    serving = tf.function(serve, autograph=False)
    inputs = artifact.served(by_name(tensor_specs(case.data, sizes)), SOLE)
    artifact.save(module, path, serving.get_concrete_function(**inputs), gradients)


def program_constants(program: bytes) -> list[tuple[str, int]]:
    """Return the constants in a serialised StableHLO program, without those of one value.

    Returns:
        Dtype and shape of each as a `Spec` writes them, such as `float32[8, 4096]`, and its size in bytes.
    """
    from jax._src.interpreters.mlir import make_ir_context

    with make_ir_context() as context:
        module = writer.deserialise(context, program)
        constants = [found for found in writer.walk(module.operation) if found.name == "stablehlo.constant"]
        return [_described(constant.results[0].type) for constant in constants if not _has_one_value(constant)]


def _described(tensor: Any) -> tuple[str, int]:
    from jaxlib.mlir import ir

    kind, parts = tensor.element_type, 1
    name = mlir.dtype_of(str(kind))
    if isinstance(kind, ir.ComplexType):
        kind, parts = kind.element_type, 2
    return f"{name}[{', '.join(map(str, tensor.shape))}]", math.prod(tensor.shape) * parts * -(-kind.width // 8)


def _has_one_value(constant: Any) -> bool:
    """Return whether every element of a constant is the same."""
    from jaxlib.mlir import ir

    try:
        return bool(ir.DenseElementsAttr(constant.attributes["value"]).is_splat)
    except TypeError:  # jaxlib has no class for complex elements; in text, one value has no brackets
        return "dense<(" in constant.operation.get_asm(large_elements_limit=1)


def handshake(case: Case) -> dict[str, Any]:
    """Return what JAX writes, for a manifest: its versions, and its newer operations by the readers' StableHLO."""
    wrote, programs = writer.describe(), CasePrograms(case)
    known = sorted({limits.stablehlo for limits in readers.table().values()})
    return {
        **vars(wrote),
        "newer": {version: programs.newer_operations(wrote, Reader(version, None)) for version in known},
    }


def write_bundle(
    path: Path,
    case: Case,
    state: State,
    batches: Mapping[int, Batch],
    fill: Callable[[Path], None],
    readable_by: str | None = None,
    also_readable_by: str | None = None,
    further: Sequence[Batch] = (),
    exported: tuple[Path, Interface] | None = None,
) -> None:
    """Export `case` into a new bundle.

    Args:
        path: the new folder.
        case: what to export.
        state: its trained state.
        batches: the examples to store, by batch size.
        fill: called with the folder, to add answers and budgets.
        readable_by: the requirement of the remedy under which it is exported; None for jax's default.
        also_readable_by: that of the remedy under which it is exported once more, into `remedied`.
        further: the examples to store that have other sizes beside the batch size.
        exported: the SavedModel of the case's user, and what of it answers what; None for parity's own export.
    """
    sizes = tuple(batches)
    wrote = handshake(case) if also_readable_by else vars(writer.describe())
    with bundles.create(path, signature(case, state), sizes, versions(), wrote, also_readable_by) as folder:
        if exported is None:
            save(case, state, folder, readable_by)
        else:
            from parity.export import user_artifact

            stored = [*((batch, "") for batch in batches.values()), *((batch, batch.lengths) for batch in further)]
            user_artifact.save(case, folder, *exported, stored)
        if also_readable_by:
            save(case, state, folder / bundles.REMEDIED, also_readable_by)
        for size, batch in batches.items():
            bundles.save_inputs(folder, size, batch.map(np.asarray))
        for batch in further:
            bundles.save_inputs(folder, batch.size, batch.map(np.asarray), batch.lengths)
        fill(folder)
