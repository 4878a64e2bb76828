"""The artifact as TensorFlow sees it: wrapping, saving and loading the exported module, and its constants."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import absl.logging
import tensorflow as tf

from parity.cases.specs import Spec, Specs, by_name, like, signature_name
from parity.compat.causes import failed

Wrap = Callable[[Callable[..., Any], list[Any]], Callable[..., Any]]
"""A function that makes a callable of a Python function and its input signature."""

FEATURES, FEATURES_TRAIN = "features", "features_train"
"""The functions of an exported trunk: with running statistics and dropout off, and as in training."""

LARGEST_CONSTANT = 64 * 1024
"""In bytes. A larger constant in the graph is a weight that can no longer be trained or replaced."""


def tensor_specs(specs: Specs, sizes: Mapping[str, int] | None = None) -> Any:
    """Return `specs` as `tf.TensorSpec`s with those sizes for their names; None for unknown ones."""

    def spec(name: str, found: Spec) -> Any:
        shape = found.sized(sizes or dict.fromkeys(found.symbols))  # type: ignore[arg-type]
        return tf.TensorSpec(shape, found.dtype, name=signature_name(name))

    return like(specs, {name: spec(name, found) for name, found in by_name(specs).items()})


def served(answer: Mapping[str, Any], kind: str = "output") -> dict[str, Any]:
    """Return arrays by the names that a signature has for their leaves."""
    return {signature_name(leaf, kind): array for leaf, array in answer.items()}


def eager(function: Callable[..., Any], specs: list[Any]) -> Callable[..., Any]:
    """Return the function itself, to be called eagerly."""
    return function


def graph(function: Callable[..., Any], specs: list[Any]) -> Callable[..., Any]:
    """Return the function as a `tf.function`."""
    return tf.function(function, autograph=False, input_signature=specs)


def xla(function: Callable[..., Any], specs: list[Any]) -> Callable[..., Any]:
    """Return the function compiled whole by TensorFlow's XLA."""
    return tf.function(function, autograph=False, input_signature=specs, jit_compile=True)


WRAPS: dict[str, Wrap] = {"eager": eager, "graph": graph, "xla": xla}
"""By the mode in which TensorFlow runs a function."""


def quiet() -> None:
    """Keep TensorFlow from warning, on loading, that gradients of gradients were not saved; they are not needed."""
    absl.logging.set_verbosity(absl.logging.ERROR)


def load(path: Path) -> Any:
    """Load the SavedModel in `path`.

    Raises:
        RuntimeFailureError: this TensorFlow cannot load it.
    """
    quiet()
    try:
        return tf.saved_model.load(str(path))
    except Exception as error:
        raise failed(f"TensorFlow {tf.__version__} cannot load {path.name}", error) from error


def save(module: Any, path: Path, serving: Any, gradients: bool) -> None:
    """Write the SavedModel of `module`; `serving` is the signature `serving_default`, or signatures by name."""
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=gradients)
    signatures = serving if isinstance(serving, dict) else {"serving_default": serving}
    tf.saved_model.save(module, str(path), signatures=signatures, options=options)


def constants(path: Path) -> Iterator[tuple[str, int | bytes]]:
    """Yield the name of every constant in the graphs of the SavedModel in `path`, and its size in bytes.

    Of an exported program, instead of a size, the serialised StableHLO.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    for meta_graph in saved.meta_graphs:
        yield from _constants(meta_graph.graph_def.node)
        for function in meta_graph.graph_def.library.function:
            yield from _constants(function.node_def)


def _constants(nodes: Any) -> Iterator[tuple[str, int | bytes]]:
    for node in nodes:
        if node.op == "Const":
            yield node.name, tf.make_ndarray(node.attr["value"].tensor).nbytes
        elif node.op == "XlaCallModule":
            yield node.name, node.attr["module"].s


def configure_devices(cpus: int) -> None:
    """Give TensorFlow `cpus` virtual CPUs, and let it take GPU memory as it grows, so that JAX can share it.

    Does nothing where TensorFlow has already started; `devices` tells what there is.
    """
    try:
        [cpu] = tf.config.list_physical_devices("CPU")
        if not tf.config.get_logical_device_configuration(cpu):
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * cpus)
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:
        return  # TensorFlow has started; a missing device is an error where it is used


def devices() -> list[str]:
    """Return TensorFlow's devices, such as `cpu:0`."""
    return [
        f"{kind.lower()}:{i}" for kind in ("CPU", "GPU") for i, _ in enumerate(tf.config.list_logical_devices(kind))
    ]
