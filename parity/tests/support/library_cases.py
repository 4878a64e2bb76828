"""Models as users of four libraries write them, each made a case by its adapter; loaded as a user's file."""

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

from parity import Batch, Dataset, Spec, Training, from_equinox, from_haiku, from_linen, from_nnx

EXAMPLES, WIDTH, CLASSES, TOKENS = 300, 6, 3, 11
CROSS_ENTROPY = "softmax_cross_entropy_with_integer_labels"


def dataset():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(EXAMPLES, WIDTH)).astype(np.float32)
    labels = (data @ rng.normal(size=(WIDTH, CLASSES))).argmax(-1).astype(np.int32)
    return Dataset(Batch(data[:240], labels[:240]), Batch(data[240:], labels[240:]))


def of(inputs, labels=None):
    """A dataset of the same examples with other inputs."""

    def made():
        plain = dataset()
        return Dataset(
            *(Batch(inputs(b.data), labels(b.data) if labels else b.labels) for b in (plain.train, plain.test))
        )

    return made


CLASSIFIER = {
    "data": Spec("b", WIDTH),
    "labels": Spec("b", dtype="int32"),
    "dataset": dataset,
    "training": Training(epochs=2, epochs_after=1, batch_size=40),
}
TOKEN = {
    "data": Spec("b", dtype="int32"),
    "labels": Spec("b", dtype="int32"),
    "dataset": of(
        lambda x: np.abs(x[:, 0] * 5).astype(np.int32) % TOKENS, lambda x: (x[:, 0] * 5).astype(np.int32) % TOKENS
    ),
    "training": Training(epochs=2, epochs_after=1, batch_size=40),
}
NAMED = {
    **CLASSIFIER,
    "data": {"wide": Spec("b", 4), "deep": Spec("b", 2)},
    "dataset": of(lambda x: {"wide": x[:, :4], "deep": x[:, 4:]}),
}


# --- Linen ------------------------------------------------------------------------------------------------------------


class LinenNet(linen.Module):
    """Three further collections and two streams of random numbers; something is sown."""

    @linen.compact
    def __call__(self, x, train):
        x = linen.Dense(8)(x)
        x = linen.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        steps = self.variable("counts", "steps", lambda: jnp.zeros((), jnp.int32))
        size = self.variable("averages", "size", lambda: jnp.ones(()))
        if train:
            steps.value += 1
            size.value = 0.9 * size.value + 0.1 * jnp.abs(x).mean()
            x += 0.1 * jax.random.normal(self.make_rng("noise"), x.shape)
        self.sow("intermediates", "x", x)
        self.sow("losses", "x", jnp.sum(x))
        x = linen.Dropout(0.1, deterministic=not train)(linen.tanh(x))
        return linen.Dense(CLASSES)(x * self.param("scale", linen.initializers.ones, ()))


linen_net = from_linen("linen_net", LinenNet(), CROSS_ENTROPY, **CLASSIFIER)


class LinenTied(linen.Module):
    def setup(self):
        self.embedding = linen.Embed(TOKENS, 4)

    def __call__(self, ids):
        return self.embedding.attend(jnp.tanh(self.embedding(ids)))


linen_tied = from_linen("linen_tied", LinenTied(), CROSS_ENTROPY, **TOKEN)


class LinenNamed(linen.Module):
    deterministic: bool = True

    @linen.compact
    def __call__(self, deep, wide):
        x = jnp.concatenate([linen.Dense(4)(deep), wide], -1)
        return linen.Dense(CLASSES)(linen.Dropout(0.1, deterministic=self.deterministic)(jnp.tanh(x)))


linen_named = from_linen("linen_named", LinenNamed(), CROSS_ENTROPY, **NAMED)


class LinenDict(linen.Module):
    @linen.compact
    def __call__(self, batch, deterministic=True):
        x = jnp.tanh(linen.Dense(4)(jnp.concatenate([batch["deep"], batch["wide"]], -1)))
        return {"logits": linen.Dense(CLASSES)(linen.Dropout(0.1)(x, deterministic=deterministic)), "hidden": x}


def on_logits(outputs, labels):
    return -jax.nn.log_softmax(outputs["logits"])[jnp.arange(labels.shape[0]), labels]


linen_dict = from_linen("linen_dict", LinenDict(), on_logits, **NAMED)


def in_another_way(module, data, train):
    return module({"wide": data, "deep": data}, deterministic=not train)["logits"]


linen_call = from_linen("linen_call", LinenDict(), CROSS_ENTROPY, call=in_another_way, **CLASSIFIER)


class LinenPartly(linen.Module):
    """A layer that is frozen, an integer among the parameters, boxes of metadata, and a pair in a collection."""

    @linen.compact
    def __call__(self, x, train=False):
        box = linen.with_partitioning(linen.initializers.lecun_normal(), ("in", "out"))
        x = jnp.tanh(jax.lax.stop_gradient(linen.Dense(8, name="fixed", kernel_init=box)(x)))
        shift = self.param("shift", lambda key: jnp.arange(8))
        pair = self.variable("memory", "pair", lambda: (jnp.zeros(8), jnp.zeros(8)))
        if train:
            pair.value = (x.mean(0), 0.9 * pair.value[1] + x.mean(0))
        return linen.Dense(CLASSES)(jnp.roll(x, 1, -1) + shift + pair.value[1])


linen_partly = from_linen("linen_partly", LinenPartly(), CROSS_ENTROPY, frozen=("fixed/*",), **CLASSIFIER)


# --- NNX --------------------------------------------------------------------------------------------------------------


class NnxNet(nnx.Module):
    def __init__(self, rngs):
        listed = getattr(nnx, "List", list)  # needed since flax 0.12
        self.layers = listed([nnx.Linear(WIDTH, 8, rngs=rngs), nnx.Linear(8, 8, rngs=rngs)])
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.output = nnx.Linear(8, CLASSES, rngs=rngs)
        self.scale = nnx.Param(jnp.ones(()))

    def __call__(self, x):
        for layer in self.layers:
            x = jnp.tanh(layer(x))
        return self.output(self.dropout(self.norm(x))) * self.scale[...]


nnx_net = from_nnx("nnx_net", NnxNet, CROSS_ENTROPY, **CLASSIFIER)


class NnxTied(nnx.Module):
    def __init__(self, tokens, rngs):
        self.first = nnx.Embed(tokens, 4, rngs=rngs)
        self.last = self.first

    def __call__(self, ids, train: bool):
        self.sow(nnx.Intermediate, "ids", ids)
        return self.last.attend(jnp.tanh(self.first(ids) * (1.1 if train else 1.0)))


nnx_tied = from_nnx("nnx_tied", lambda rngs: NnxTied(TOKENS, rngs), CROSS_ENTROPY, **TOKEN)


class NnxPartly(nnx.Module):
    """Only the low-rank part is trained; integer weights; a dropout that takes its random numbers from the call."""

    def __init__(self, rngs):
        self.lora = nnx.LoRA(WIDTH, 2, 8, base_module=nnx.Linear(WIDTH, 8, rngs=rngs), rngs=rngs)
        self.codes = nnx.Param(jnp.arange(8))
        self.dropout = nnx.Dropout(0.1)
        self.output = nnx.Linear(8, CLASSES, rngs=rngs)

    def __call__(self, x, *, rngs=None):
        return self.output(self.dropout(jnp.tanh(self.lora(x)) + self.codes[...], rngs=rngs))


nnx_partly = from_nnx(
    "nnx_partly",
    NnxPartly,
    CROSS_ENTROPY,
    trained=nnx.LoRAParam,
    frozen=("*kernel", "*bias"),
    **CLASSIFIER,
)


# --- Equinox ----------------------------------------------------------------------------------------------------------


class EquinoxNet(eqx.Module):
    hidden: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    output: eqx.nn.Linear
    activation: object
    scale: jax.Array

    def __init__(self, key):
        first, second = jax.random.split(key)
        self.hidden = eqx.nn.Linear(WIDTH, 8, key=first)
        self.norm = eqx.nn.BatchNorm(8, "batch", mode="batch")
        self.dropout = eqx.nn.Dropout(0.1)
        self.output = eqx.nn.Linear(8, CLASSES, key=second)
        self.activation = jax.nn.tanh
        self.scale = jnp.ones(())

    def __call__(self, x, state, *, key=None):
        x, state = self.norm(self.hidden(x), state)
        return self.output(self.dropout(self.activation(x), key=key)) * self.scale, state


equinox_net = from_equinox("equinox_net", EquinoxNet, CROSS_ENTROPY, **CLASSIFIER)
equinox_pair = from_equinox("equinox_pair", eqx.nn.make_with_state(EquinoxNet), CROSS_ENTROPY, **CLASSIFIER)
equinox_stack = from_equinox(
    "equinox_stack",
    lambda key: eqx.nn.Sequential(
        [
            eqx.nn.Linear(WIDTH, 8, key=key), eqx.nn.BatchNorm(8, "batch", mode="ema"), eqx.nn.Lambda(jax.nn.tanh),
            eqx.nn.Dropout(0.1), eqx.nn.Linear(8, CLASSES, key=key),
        ]
    ),
    CROSS_ENTROPY, **CLASSIFIER,
)  # fmt: skip


class EquinoxDropout(eqx.Module):
    """Takes one example, and a key if there is one."""

    output: eqx.nn.Linear
    dropout: eqx.nn.Dropout

    def __init__(self, key):
        self.output, self.dropout = eqx.nn.Linear(WIDTH, CLASSES, key=key), eqx.nn.Dropout(0.5)

    def __call__(self, x, key=None):
        return self.output(self.dropout(x, key=key))


equinox_mlp = from_equinox(
    "equinox_mlp", lambda key: eqx.nn.MLP(WIDTH, CLASSES, 8, 1, key=key), CROSS_ENTROPY, **CLASSIFIER
)


class EquinoxBatched(eqx.Module):
    """Takes whole batches by name; integers, numpy arrays and numbers beside weights; a key that it always needs."""

    weights: list
    order: jax.Array
    table: np.ndarray
    power: int

    def __init__(self, key):
        self.weights = [jax.random.normal(key, (WIDTH, CLASSES)), {"bias": jnp.zeros(CLASSES)}]
        self.order, self.table, self.power = jnp.arange(WIDTH)[::-1], np.arange(CLASSES), 2

    def __call__(self, wide, deep, key):
        first, _ = jax.random.split(key)
        x = jnp.concatenate([wide, deep], -1)[:, self.order] + 1e-3 * jax.random.normal(first, (1, WIDTH))
        return x**self.power @ self.weights[0] + self.weights[1]["bias"] + self.table


equinox_batched = from_equinox("equinox_batched", EquinoxBatched, CROSS_ENTROPY, batched=True, **NAMED)


class EquinoxRows(eqx.Module):
    """A frozen layer, whose gradient is stopped; called by a function that gives it what it needs."""

    fixed: eqx.nn.Linear
    output: eqx.nn.Linear

    def __init__(self, key):
        first, second = jax.random.split(key)
        self.fixed, self.output = eqx.nn.Linear(WIDTH, 8, key=first), eqx.nn.Linear(8, CLASSES, key=second)

    def rows(self, x):
        return jax.vmap(self.output)(jnp.tanh(jax.lax.stop_gradient(jax.vmap(self.fixed)(x))))


def rows(module, data, key, train):
    return module.rows(data + 0.1 * jax.random.normal(key, data.shape) if train else data)


equinox_call = from_equinox(
    "equinox_call", EquinoxRows, CROSS_ENTROPY, call=rows, frozen=lambda leaf: leaf.startswith("fixed"), **CLASSIFIER
)


# --- Haiku ------------------------------------------------------------------------------------------------------------


def haiku_function(x, is_training):
    x = jnp.tanh(hk.BatchNorm(True, True, 0.9)(hk.Linear(8)(x), is_training))
    if is_training:
        x = hk.dropout(hk.next_rng_key(), 0.1, x)
    return hk.nets.MLP([8, CLASSES])(x)


haiku_net = from_haiku("haiku_net", haiku_function, CROSS_ENTROPY, **CLASSIFIER)


def haiku_tied(ids):
    embedding = hk.Embed(TOKENS, 4)
    return jnp.tanh(embedding(ids)) @ embedding.embeddings.T


haiku_stateless = from_haiku("haiku_stateless", hk.transform(haiku_tied), CROSS_ENTROPY, **TOKEN)


def haiku_inputs(wide, deep):
    codes = hk.get_parameter("codes", (4,), jnp.int32, init=jnp.ones)
    return hk.Linear(CLASSES)(jnp.concatenate([wide + codes, deep], -1))


haiku_named = from_haiku("haiku_named", hk.transform_with_state(haiku_inputs), CROSS_ENTROPY, **NAMED)
