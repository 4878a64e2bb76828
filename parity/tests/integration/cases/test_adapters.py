"""Models of four libraries become cases: what they hold is found, and they pass a run without a word more."""

import jax
import numpy as np
import pytest
from jax import export

from parity import Case
from parity.cases import checking, keys, training
from parity.cases.adapters.calling import Call
from parity.cases.case import PROBES
from parity.cases.functions import named, pure_functions
from parity.cases.loading import load
from parity.probes import artifact
from parity.probes import training as training_probe
from parity.records import PASS
from parity.tests.support import field_cases, library_cases
from parity.tests.support.families import further
from parity.tests.support.scores import results

CASES = sorted(name for name, made in vars(library_cases).items() if isinstance(made, Case))
NO_STATE = tuple(probe for probe in PROBES if probe != "batch_stats")


def begun(name):
    """The case as it is loaded, and its state before training."""
    case = keys.as_data(getattr(library_cases, name))
    return case, training.begin(case)


def leaves(tree):
    return {leaf: f"{array.dtype.name}{list(array.shape)}" for leaf, array in named(tree).items()}


@pytest.mark.parametrize("name", CASES)
def test_a_case_is_what_its_specs_say_for_any_number_of_examples(name):
    case, state = begun(name)
    checking.check(case, state, case.dataset())
    (size,) = export.symbolic_shape("b")
    batch = case.dataset().test.map(lambda array: jax.ShapeDtypeStruct((size, *array.shape[1:]), array.dtype))
    for evaluation in ("predict", "train"):
        export.export(jax.jit(pure_functions(case)[evaluation]))(*state, batch.data, batch.labels)


HELD = {
    "linen_net": (
        {"BatchNorm_0/scale": "float32[8]", "Dense_0/kernel": "float32[6, 8]", "scale": "float32[]"},
        {
            "averages/size": "float32[]", "batch_stats/BatchNorm_0/mean": "float32[8]",
            "batch_stats/BatchNorm_0/var": "float32[8]", "counts/steps": "int32[]",
        },
    ),
    "linen_tied": ({"embedding/embedding": "float32[11, 4]"}, {}),
    "linen_partly": (
        {"fixed/kernel": "float32[6, 8]"},
        {"memory/pair/0": "float32[8]", "memory/pair/1": "float32[8]", "params/shift": "int32[8]"},
    ),
    "nnx_net": (
        {"layers/0/kernel": "float32[6, 8]", "layers/1/bias": "float32[8]", "scale": "float32[]"},
        {
            "dropout/rngs/count": "uint32[]", "dropout/rngs/key": "uint32[2]", "norm/mean": "float32[8]",
            "norm/var": "float32[8]",
        },
    ),
    "nnx_tied": ({"first/embedding": "float32[11, 4]"}, {}),
    "equinox_net": (
        {"hidden/weight": "float32[8, 6]", "scale": "float32[]"},
        {
            "norm/batch_counter": "int32[]", "norm/batch_state_index/0": "float32[8]",
            "norm/batch_state_index/1": "float32[8]",
        },
    ),
    "equinox_batched": (
        {"weights/0": "float32[6, 3]", "weights/1/bias": "float32[3]"}, {"order": "int32[6]", "table": "int32[3]"}
    ),
    "equinox_mlp": ({"layers/0/weight": "float32[8, 6]"}, {}),
    "haiku_stateless": ({"embed/embeddings": "float32[11, 4]"}, {}),
    "haiku_named": ({"linear/w": "float32[6, 3]"}, {"params/~/codes": "int32[4]"}),
}  # fmt: skip
"""Some of the parameters, and all of the other state."""


@pytest.mark.parametrize("name", HELD)
def test_what_a_model_holds_is_parameters_or_other_state_by_its_name_in_the_model(name):
    params, other = HELD[name]
    case, state = begun(name)
    assert params.items() <= leaves(state.params).items()
    assert leaves(state.other) == other
    assert case.probes == (PROBES if other else NO_STATE)


def test_only_what_is_said_to_be_trained_is_a_parameter():
    _, state = begun("nnx_partly")
    assert set(leaves(state.params)) == {"lora/lora_a", "lora/lora_b"}


def test_the_accuracy_is_derived_from_a_named_loss_alone():
    assert {name for name in CASES if "accuracy" not in getattr(library_cases, name).probes} == {"linen_dict"}
    case, state = begun("equinox_mlp")
    batch = case.dataset().test
    hits = case.predict(state[:2], batch.data).argmax(-1) == batch.labels
    assert float(case.accuracy(state[:2], batch.data, batch.labels)) == pytest.approx(hits.mean())


def moved(name, train):
    """What the loss changes in the other state, and its value, with the first of two keys and with the second."""
    case, state = begun(name)
    batch = case.dataset().test.take(20)
    loss = jax.jit(case.loss, static_argnums=5)
    found = [loss(*state[:2], jax.random.PRNGKey(k), batch.data, batch.labels, train) for k in (0, 1)]
    before, after = named(state.other), named(found[0][1])
    return {leaf for leaf in before if not np.array_equal(before[leaf], after[leaf])}, [
        float(loss) for loss, _ in found
    ]


STATISTICS = {
    "linen_net": {"averages/size", "batch_stats/BatchNorm_0/mean", "batch_stats/BatchNorm_0/var", "counts/steps"},
    "nnx_net": {"dropout/rngs/count", "norm/mean", "norm/var"},
    "equinox_net": {"norm/batch_counter", "norm/batch_state_index/0", "norm/batch_state_index/1"},
    "haiku_net": {
        f"batch_norm/~/{of}_ema/{leaf}" for of in ("mean", "var") for leaf in ("average", "counter", "hidden")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", STATISTICS)
def test_training_updates_the_state_and_evaluation_does_not(name):
    assert moved(name, True)[0] == STATISTICS[name]
    assert moved(name, False)[0] == set()


@pytest.mark.parametrize("name", ["linen_net", "linen_named", "nnx_partly", "equinox_net", "equinox_call", "haiku_net"])
def test_training_draws_from_the_key_and_evaluation_does_not(name):
    _, (first, second) = moved(name, True)
    assert first != second
    _, (first, second) = moved(name, False)
    assert first == second


def test_each_example_of_an_equinox_module_has_a_key_of_its_own():
    def apart(outputs, labels):
        return outputs.var(0)

    plain = library_cases.CLASSIFIER
    case = library_cases.from_equinox("apart", library_cases.EquinoxDropout, apart, **plain)
    params, other = case.init(jax.random.PRNGKey(0))
    same = np.ones((30, library_cases.WIDTH), np.float32)
    of = {
        train: float(case.loss(params, other, jax.random.PRNGKey(0), same, None, train)[0]) for train in (True, False)
    }
    assert of[True] > 0.01
    assert of[False] < 1e-6


def statuses(subject):
    found = {
        (probe, runtime, result.leaf): result.status
        for runtime in ("jax", "jax_float64", "saved_model")
        for probe in subject.case.probes
        for result in results(subject, probe, runtime)
    }
    found |= {("artifact", "", result.leaf): result.status for result in artifact.results(subject)}
    return found | {("training", "", r.leaf): r.status for r in training_probe.results(subject.trained)}


@pytest.mark.slow
@pytest.mark.parametrize("name", further(["linen_partly", "nnx_net", "equinox_net", "haiku_net"], {"nnx_net"}))
def test_a_model_of_a_library_passes(subject_of, name):
    found = statuses(subject_of(load(f"{library_cases.__file__}:{name}")))
    assert {key: status for key, status in found.items() if status != PASS} == {}
    assert len(found) > 40


def test_an_nnx_module_that_was_split_by_hand_is_trained_though_its_keys_do_not_move(subject_of):
    subject = subject_of(load(f"{field_cases.__file__}:nnx_keys"))
    assert {result.status for result in training_probe.results(subject.trained)} == {PASS}


@pytest.mark.parametrize("adapter", ["nnx", "equinox"])
def test_a_model_takes_keys_of_the_kind_that_is_jax_default(adapter):
    with jax.default_prng_impl("rbg"):
        make, net = {
            "nnx": (library_cases.from_nnx, library_cases.NnxNet),
            "equinox": (library_cases.from_equinox, library_cases.EquinoxNet),
        }[adapter]
        case = keys.as_data(make("rbg", net, library_cases.CROSS_ENTROPY, **library_cases.CLASSIFIER))
        checking.check(case, training.begin(case), case.dataset())


NAMED = {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("function", "data", "expected"),
    [
        (lambda x: x, 1, ((1,), {})),
        (lambda x, train: x, 1, ((1,), {})),
        (lambda x, *, key=None: x, 1, ((1,), {})),
        (lambda a, b: a, NAMED, ((), NAMED)),
        (lambda b, a, mask=None, deterministic=True: a, NAMED, ((), NAMED)),
        (lambda batch: batch, NAMED, ((NAMED,), {})),
        (lambda batch, scale=1: batch, NAMED, ((NAMED,), {})),
        (lambda **inputs: inputs, NAMED, ((), NAMED)),
        (lambda *inputs: inputs, NAMED, ((NAMED,), {})),
        (lambda x, y: x, (1, 2), ((1, 2), {})),
        (lambda x, y=None: x, [1], ((1,), {})),
    ],
)
def test_inputs_are_passed_as_the_model_names_them(function, data, expected):
    assert Call.of("mine", function, data, ("key",)).inputs(data) == expected


def test_the_mode_is_passed_by_every_name_that_it_has():
    call = Call.of("mine", lambda x, train, deterministic, use_running_average=None: x, 1)
    assert call.mode(True) == {"train": True, "deterministic": False, "use_running_average": False}
    assert call.mode(False) == {"train": False, "deterministic": True, "use_running_average": True}
