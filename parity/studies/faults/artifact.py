"""Faults in the files that are handed over."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import tensorflow as tf

from parity.cases.specs import by_name, outputs
from parity.export import artifact
from parity.studies.faults import Fault, Plant
from parity.studies.faults.bench import Bench, take_place
from parity.studies.faults.plants import grouped, on_disk

DATA, INDEX = "variables/variables.data-00000-of-00001", "variables/variables.index"
GRAPH = "saved_model.pb"
TESTS = ("predict", "eval_loss", "artifact")


def _old_export(*models: str) -> Plant:
    """Put what an export before the training wrote in place of the newest."""
    return lambda bench: bench.rewritten(
        lambda folder, _: bench.export_again(folder, bench.subject.trained.initial, *models)
    )


def _signed(make: Callable[[Any], Any]) -> Plant:
    """`inference` saved again with another `serving_default`, or with none."""

    def plant(bench: Bench) -> AbstractContextManager[None]:
        [spec] = by_name(artifact.tensor_specs(bench.case.data)).values()

        def edit(folder: Path) -> None:
            module = artifact.load(folder / "inference")
            serve = make(module)
            given = {"serving_default": tf.function(serve).get_concrete_function(data=spec)} if serve else {}
            tf.saved_model.save(module, str(folder / "again"), signatures=given)
            take_place(folder / "again", folder / "inference")

        return bench.rewritten(lambda folder, _: edit(folder))

    return plant


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _cut(folder: Path) -> None:
    path = folder / "saved_model" / GRAPH
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def _flip(folder: Path) -> None:
    path = folder / "saved_model" / DATA
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(bytes(whole))


FAULTS = grouped(
    "artifact",
    Fault("an old export served", "saved_model/, inference/", _old_export("saved_model", "inference"), TESTS),
    Fault("the server's copy older than the trainer's", "inference/", _old_export("inference"), TESTS),
    Fault(
        "a signature that gives probabilities", "inference/, serving_default",
        _signed(lambda module: lambda data: {k: tf.exp(v) for k, v in outputs(module.predict(data)).items()}), TESTS,
    ),
    Fault(
        "a signature that names its output otherwise", "inference/, serving_default",
        _signed(lambda module: lambda data: {"logits": module.predict(data)}), TESTS,
    ),
    Fault("no signature to call", "inference/, serving_default", _signed(lambda module: None), TESTS),
    Fault(
        "the file of the weights missing", f"saved_model/{DATA}", on_disk(_remove(f"saved_model/{DATA}")), TESTS,
        quick=True,
    ),
    Fault("the index of the weights missing", f"inference/{INDEX}", on_disk(_remove(f"inference/{INDEX}")), TESTS),
    Fault("the graph cut off", f"saved_model/{GRAPH}", on_disk(_cut), TESTS),
    Fault("one bit of the weights altered", f"saved_model/{DATA}", on_disk(_flip), TESTS),
)  # fmt: skip
