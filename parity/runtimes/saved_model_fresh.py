"""The SavedModel in a new process in which JAX cannot be imported: it reads a bundle and writes answers.

The process takes one request a line on its standard input, and prints one line when the answer is written. It starts on
the announced requests while this process is busy with others.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.compat.causes import as_reply, of_reply
from parity.core.processes import JsonProcess, block_jax, replies
from parity.runtimes._supplied import processed
from parity.runtimes.base import (
    ARTIFACT,
    FIRST_CPU,
    STORED_BATCHES,
    VIRTUAL_CPUS,
    Answers,
    Capabilities,
    Model,
    Request,
    Runtime,
    Variable,
    Variables,
)

if TYPE_CHECKING:
    from parity.cases.specs import Batch
    from parity.export.bundles import Bundle
    from parity.runtimes.saved_model import SavedModel

SAVE_AGAIN, VARIABLES = "save_again", "variables"
"""Requested like an evaluation: load the SavedModel and save it again; load it and return its variables."""


TRAINABLE = "trainable"


class SavedModelFresh(Runtime):
    """Answer from a process of its own, which the first request starts."""

    name = "saved_model_fresh"
    capabilities = Capabilities(
        source=ARTIFACT,
        batch=STORED_BATCHES,
        further_devices=True,
        own_process=True,
        without_jax=True,
        saves_again=True,
        variables=True,
        requires=("tensorflow",),
        timing_worker="parity.latency.in_tensorflow:open_saved_model",
    )

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._scratch = tempfile.TemporaryDirectory(prefix="parity-fresh-")
        self._process: JsonProcess | None = None
        self._sent: set[Request] = set()
        self._answered: dict[Request, dict[str, Any]] = {}

    @classmethod
    def devices(cls) -> list[str]:
        """Return the virtual CPUs, and the GPUs that this process's TensorFlow sees as well."""
        from parity.export import artifact

        return artifact.devices()

    def announce(self, requests: Iterable[Request]) -> None:
        """Send the requests at once."""
        for request in requests:
            self._send(request)

    def compute(self, evaluation: str, batch: Batch, device: str) -> Answers:
        """Return the answer that the process wrote; the batch is the bundle's of those sizes."""
        from parity.export import bundles, supplied

        lengths = bundles.Bundle(self.model.require_bundle(), self.model.signature, (), {}, {}, ()).lengths(batch)
        reply = self._reply(Request(evaluation, batch.size, device, lengths))
        return processed(self.model, split_by_probe(supplied.load_texts(Path(reply["path"]))))

    def save_again(self) -> Path:
        """Return a folder with the SavedModel as the process loads it and saves it again.

        This process cannot do it: the model's second-order gradients, which are not in a SavedModel, are still
        registered under their names where it was converted, and TensorFlow fails to save those with a loaded model.
        """
        return Path(self._reply(Request(SAVE_AGAIN, 0, FIRST_CPU))["path"])

    def variables(self) -> Variables:
        """Return the variables as the process loads them."""
        from parity.export import bundles

        found = split_by_probe(bundles.load_arrays(Path(self._reply(Request(VARIABLES, 0, FIRST_CPU))["path"])))
        return {leaf: Variable(v, kind == TRAINABLE) for kind, leaves in found.items() for leaf, v in leaves.items()}

    def close(self) -> None:
        """End the process and remove its answers."""
        if self._process is not None:
            self._process.close()
        self._scratch.cleanup()

    def _reply(self, request: Request) -> dict[str, Any]:
        self._send(request)
        while request not in self._answered:
            assert self._process is not None
            reply = self._process.receive()
            self._answered[Request(**reply["request"])] = reply
        reply = self._answered[request]
        if "failure" in reply:
            raise of_reply("in a process without jax", reply)
        return reply

    def _send(self, request: Request) -> None:
        if request in self._sent:
            return
        if self._process is None:
            bundle = self.model.require_bundle()
            arguments = ["-m", SavedModelFresh.__module__, str(bundle), self._scratch.name]
            self._process = JsonProcess("the fresh process", arguments)
        self._process.send(asdict(request))
        self._sent.add(request)


def split_by_probe(arrays: dict[str, Any]) -> Answers:
    """Return arrays named `probe/leaf` as answers by probe."""
    answers: Answers = {}
    for name, array in arrays.items():
        probe, _, leaf = name.partition("/")
        answers.setdefault(probe, {})[leaf] = array
    return answers


def serve(bundle_path: Path, folder: Path) -> None:
    """Answer the requests on standard input until it closes."""
    block_jax()
    written = replies()
    from parity.export import artifact, bundles
    from parity.runtimes.saved_model import SavedModel

    artifact.configure_devices(VIRTUAL_CPUS)
    bundle = bundles.open_bundle(bundle_path)
    runtime = SavedModel(Model(bundle.signature, None, None, bundle_path))
    for line in sys.stdin:
        request = Request(**json.loads(line))
        reply: dict[str, Any] = {"request": asdict(request)}
        try:
            reply["path"] = str(_serve(request, runtime, bundle, folder))
        except Exception as error:
            reply |= as_reply(error)
        written.write(json.dumps(reply) + "\n")
        written.flush()


def _serve(request: Request, runtime: SavedModel, bundle: Bundle, folder: Path) -> Path:
    from parity.export import bundles, supplied

    if request.evaluation == SAVE_AGAIN:
        supplied.save_again(bundle.path, folder / SAVE_AGAIN)
        return folder / SAVE_AGAIN
    if request.evaluation == VARIABLES:
        path = folder / f"{VARIABLES}.npz"
        kinds = {True: TRAINABLE, False: "other"}
        bundles.save_arrays(path, {f"{kinds[v.trainable]}/{leaf}": v.value for leaf, v in runtime.variables().items()})
        return path
    batch = bundle.batch(request.batch_size, request.lengths)
    runtime.stored = supplied.made_inputs(bundle.path, batch.size, request.lengths)
    ask = (
        runtime.evaluate if supplied.interface_of(bundle.path) is None else runtime.compute
    )  # the case has to see them
    answers = ask(request.evaluation, batch, request.device)
    named = "-".join((request.evaluation, f"b{batch.size}", request.lengths, request.device.replace(":", "")))
    path = folder / f"{named}.npz"
    supplied.save_texts(path, {f"{p}/{leaf}": a for p, answer in answers.items() for leaf, a in answer.items()})
    return path


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))
