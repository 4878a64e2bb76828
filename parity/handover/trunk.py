"""Export a trunk alone: a SavedModel of features, for a Keras head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from parity.cases.specs import SOLE, by_name, like, signature_name
from parity.core.errors import CaseError
from parity.export import artifact
from parity.export.artifact import FEATURES, FEATURES_TRAIN, graph, tensor_specs
from parity.export.conversion import Exported, exporting, state_leaves
from parity.handover.fused import Trunk
from parity.handover.keras_head import plain_name


def save(trunk: Trunk, path: Path, readable_by: str | None = None) -> dict[str, str]:
    """Write the SavedModel of `trunk` with its gradients; its signature serves the features.

    Args:
        trunk: what to export.
        path: the new folder.
        readable_by: the requirement of the remedy under which it is exported; None for jax's default.

    Returns:
        The leaf that a variable holds, by the name of the variable: `parameters/trunk/...`, `batch_stats/...` or `key`.

    Raises:
        CaseError: two variables would have the same name.
        RuntimeFailureError: conversion or saving failed.
    """
    case = replace(trunk.case, trunk=trunk.features)
    inputs = by_name(tensor_specs(case.data))
    advice = "Run parity doctor to see whether this pair of releases can work together."
    with exporting(f"the trunk of case {case.name!r}", advice, readable_by):
        module = Exported(case, trunk.state, graph, only=(FEATURES, FEATURES_TRAIN))

        def serve(**named: Any) -> dict[str, Any]:
            data = like(case.data, {name: named[signature_name(name)] for name in inputs})
            return {FEATURES: module.features(data)}

        serving = tf.function(serve, autograph=False).get_concrete_function(**artifact.served(inputs, SOLE))
        artifact.save(module, path, serving, gradients=True)
    return _leaves(trunk, module)


def _leaves(trunk: Trunk, module: Any) -> dict[str, str]:
    found = {plain_name(module.rng): "key"}
    for variable, state in zip(module.state_vars, state_leaves(trunk.state), strict=True):
        name = plain_name(variable)
        if name in found:
            raise CaseError(
                f"case {trunk.case.name!r}: {found[name]} and {state.leaf} would both be the variable {name}. "
                "Rename a key: Keras knows weights by name."
            )
        found[name] = f"parameters/trunk/{state.leaf}" if state.trainable else f"batch_stats/{state.leaf}"
    return found
