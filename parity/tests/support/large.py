"""An atlas by hand that is as large as the report has to bear: 60 cells with 600 checks each, and their costs."""

import random

from parity.records import atlas, cells
from parity.tests.support import samples

JAX = ("0.4.30", "0.4.38", "0.5.3", "0.6.2", "0.7.2", "0.8.3", "0.9.2", "0.10.2", "0.11.2", "0.12.0.1")
TENSORFLOW = ("2.16.2", "2.17.1", "2.18.1", "2.19.1", "2.20.0", "2.21.0")
RUNTIMES = ("tf_graph", "tf_xla", "saved_model", "saved_model_fresh")
PROBES = ("predict", "eval_loss", "train_loss", "eval_gradient", "train_gradient")
LEAVES = ("Conv_0/kernel", "Conv_0/bias", "BatchNorm_0/scale", "BatchNorm_0/bias", "Dense_0/kernel")
SIZES = (1, 13, 64, 256, 500, 1024)
PLACES = [(p, r, n, leaf) for p in PROBES for r in RUNTIMES for n in SIZES for leaf in LEAVES]
STEPS = ("predict", "eval", "forward-backward", "train step")


def runs(jax=JAX, tensorflow=TENSORFLOW, places=PLACES):
    """A run per pair; one check in twenty fails with the newest jax, and the scores are as varied as measured ones."""
    chance = random.Random(0)
    return [_run(one, other, places, chance) for one in jax for other in tensorflow]


def _run(jax, tensorflow, places, chance):
    made = []
    for probe, runtime, size, leaf in places:
        score = chance.lognormvariate(0, 1.2)
        bad = jax == JAX[-1] and chance.random() < 0.05
        items = {"item": f"test_{probe}[reference-{runtime}-b{size}]", "probe": probe, "runtime": runtime}
        judged = {"status": "fail" if bad else "pass", "score": 1000 * score if bad else score}
        known = {"batch_size": size, "leaf": leaf, "jax_score": chance.lognormvariate(0, 0.4), "limit": 64.0}
        made.append(samples.check(**items, **judged, **known, bits_equal=False))
    versions = {"jax": jax, "tensorflow": tensorflow, "flax": "0.12.0", "numpy": "2.3.4"}
    environment = {"versions": versions, "machine": {"python": "3.12.1"}, "prediction": {"status": "pass"}}
    cell = f"py312-jax{jax}-tf{tensorflow}"
    return samples.run(cell=cell, environment=environment, checks=made, spent_s={"training": 30.0, "own code": 6.0})


def of(made):
    """The atlas of runs, with footprints and latencies measured in every cell."""
    chance = random.Random(1)
    return atlas.join(
        [{**cells.row(run), "footprints": _footprints(chance), "latency": _latency(chance)} for run in made]
    )


def _footprints(chance):
    def cost(runtime):
        loads = runtime.startswith("saved_model")
        artifact = {"export_ns": 2e9 * chance.random(), "artifact_bytes": 1_234_567} if loads else {}
        known = {"peak_memory_bytes": int(6e8 * (1 + chance.random())), "load_ns": 1e9 * chance.random()}
        return {
            **known,
            "first_call_ns": 2e9 * chance.random(),
            "import_ns": 3e9,
            "export_ns": None,
            "artifact_bytes": None,
        } | artifact

    return {runtime: cost(runtime) for runtime in ("jax", *RUNTIMES)}


def _latency(chance):
    def ratio():
        value = chance.lognormvariate(0, 0.2)
        return [value, 0.95 * value, 1.05 * value]

    ratios = {step: {runtime: ratio() for runtime in RUNTIMES} for step in STEPS}
    medians = {step: dict.fromkeys(("jax", *RUNTIMES), 1e6) for step in STEPS}
    return {"batch_size": 256, "ratios": ratios, "median_ns": medians}


def write(folder, **items):
    """Write the page of the large atlas into `folder`, with places for the pages of its cells; returns its path."""
    from parity.report import atlas as page

    made = runs(**items)
    for run in made:
        (folder / run.cell).mkdir(parents=True, exist_ok=True)
        (folder / run.cell / page.PAGE).write_text("<!doctype html><title>A cell</title>", encoding="utf-8")
    return page.write(of(made), None, folder, made)
