"""What an adapter cannot make a case of is refused by name, and a model in the wrong place names its adapter."""

import sys

import equinox as eqx
import haiku as hk
import jax
import pytest
from flax import linen, nnx

from parity import Case, Spec, from_equinox, from_haiku, from_linen, from_nnx
from parity.cases import checking, training
from parity.cases.loading import load, prepared
from parity.core.errors import CaseError
from parity.tests.support import library_cases as library

ADAPTERS = {"from_linen": from_linen, "from_nnx": from_nnx, "from_equinox": from_equinox, "from_haiku": from_haiku}


class UnknownFlag(linen.Module):
    @linen.compact
    def __call__(self, x, learning):
        return linen.Dense(library.CLASSES)(x)


class Normalised(eqx.Module):
    norm: eqx.nn.BatchNorm

    def __call__(self, x):
        return x


def refusal(make):
    with pytest.raises(CaseError) as caught:
        make()
    return str(caught.value)


def made(adapter, model, loss=library.CROSS_ENTROPY, **changes):
    return lambda: ADAPTERS[adapter]("mine", model, loss, **{**library.CLASSIFIER, **changes})


def linen_net(loss=library.CROSS_ENTROPY, **changes):
    return made("from_linen", library.LinenNet(), loss, **changes)


def begun(make):
    """The case, used as far as its first training step is traced."""

    def checked():
        case = prepared(make())
        checking.check(case, training.begin(case), case.dataset())

    return checked


def plain(init):
    """A case made by hand, whose init is wrong."""
    probes = {"probes": ("predict",), "data": Spec("b", 6), "labels": Spec("b", dtype="int32")}
    return lambda: Case("mine", init, lambda *a: 0, lambda *a: 0, dataset=library.dataset, **probes)


def equinox_net(key):
    return library.EquinoxNet(key)


def normalised():
    return Normalised(eqx.nn.BatchNorm(library.WIDTH, "batch", mode="batch"))


def nnx_net():
    return library.NnxNet(nnx.Rngs(0))


REFUSED = {
    "a misspelt loss": (
        linen_net("softmax_crossentropy"), ["'softmax_crossentropy'", "Did you mean softmax_cross_entropy"],
    ),
    "a loss of more": (linen_net("ctc_loss"), ["'ctc_loss'", "squared_error"]),
    "no loss": (linen_net(3), ["the loss is 3"]),
    "a loss that is a pair": (begun(linen_net(lambda o, y: (o.mean(), 1))), ["the loss returns a tuple", "scalar"]),
    "a loss of other shapes": (begun(linen_net("squared_error")), ["(2, 3)", "(2,)", "labels int32[b]"]),
    "hits per class": (begun(linen_net(accuracy=lambda o, y: o > 0)), ["[2, 3]", "one hit per example"]),
    "a misspelt field": (linen_net(frozzen=()), ["'frozzen'", "Did you mean frozen"]),
    "no spec": (linen_net(data=(3, 4)), ["expected a Spec"]),
    "inputs of other names": (
        made("from_linen", library.LinenNamed(), data={"wide": Spec("b", 4), "other": Spec("b", 2)}),
        ["deep, wide", "other, wide", "call="],
    ),
    "an input missing": (made("from_linen", library.LinenNamed()), ["deep, wide", "one input"]),
    "a flag of another name": (made("from_linen", UnknownFlag()), ["learning", "is_training", "call="]),
    "a flag of another name, haiku": (made("from_haiku", lambda x, learning: x), ["learning", "wrap it"]),
    "a width that the model contradicts": (
        made("from_nnx", library.NnxNet, data=Spec("b", 5)), ["float32[b, 5]", "(6,)", "(5,)"],
    ),
    "batches for a module of examples": (
        made("from_equinox", lambda key: eqx.nn.MLP(6, 3, 4, 1, key=key), batched=True), ["float32[b, 6]", "(2,)"],
    ),
    "examples for a module of batches": (
        made("from_equinox", library.EquinoxBatched, **library.NAMED), ["batched=True"],
    ),
    "a state that is not taken": (lambda: made("from_equinox", normalised())(), ["Normalised", "'state'"]),
    "a class for a module": (made("from_linen", library.LinenNet), ["LinenNet", "such as Model()"]),
    "a class for a function": (made("from_haiku", hk.Linear), ["Linear", "lambda x: Model()(x)"]),
    "a number for a model": (made("from_nnx", 3), ["from_nnx got 3"]),
    "a function that makes none": (made("from_equinox", lambda key: 3), ["returns 3"]),
    "nnx for linen": (lambda: made("from_linen", nnx_net())(), ["from_linen got NnxNet", "parity.from_nnx"]),
    "linen for nnx": (made("from_nnx", library.LinenNet()), ["from_nnx got LinenNet", "parity.from_linen"]),
    "haiku for equinox": (made("from_equinox", hk.transform(library.haiku_tied)), ["parity.from_haiku"]),
    "equinox for haiku": (lambda: made("from_haiku", equinox_net(jax.random.PRNGKey(0)))(), ["parity.from_equinox"]),
    "frozen is one name": (linen_net(frozen="scale"), ["frozen='scale'"]),
    "frozen is misspelt": (begun(linen_net(frozen=("Dense_0/kernal",))), ["Dense_0/kernal", "Dense_0/kernel"]),
    "nothing is frozen": (begun(linen_net(frozen=lambda leaf: False)), ["no leaf is frozen"]),
    "a linen module as init": (plain(library.LinenNet()), ["init is LinenNet()", "parity.from_linen"]),
    "an nnx class as init": (plain(library.NnxNet), ["parity.from_nnx"]),
    "a haiku function as init": (plain(hk.transform(library.haiku_tied)), ["parity.from_haiku"]),
    "equinox parameters": (
        begun(plain(lambda key: (equinox_net(key), {}))), ["axis_name", "equinox.partition", "parity.from_equinox"],
    ),
    "equinox parameters with an activation": (
        begun(plain(lambda key: ({"net": eqx.nn.MLP(6, 3, 4, 1, key=key)}, {}))),
        ["net/activation", "equinox.partition", "parity.from_equinox"],
    ),
    "nnx parameters": (begun(plain(lambda key: (nnx_net(), {}))), ["typed PRNG key", "parity.from_nnx"]),
    "linen parameters": (begun(plain(lambda key: (library.LinenNet(), {}))), ["parity.from_linen"]),
    "a module alone": (begun(plain(lambda key: nnx_net())), ["init returns NnxNet", "parity.from_nnx"]),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_a_case_is_refused_by_name_with_the_way_out(what):
    make, words = REFUSED[what]
    text = refusal(make)
    assert [word for word in ["'mine'", *words] if word not in text] == []
    assert "\n" not in text


PACKAGES = {"from_linen": "flax.linen", "from_nnx": "flax.nnx", "from_equinox": "equinox", "from_haiku": "haiku"}
EXTRAS = {"from_linen": "jax", "from_nnx": "jax", "from_equinox": "equinox", "from_haiku": "haiku"}


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_package_that_is_missing_is_named_with_its_extra(adapter, monkeypatch):
    monkeypatch.setitem(sys.modules, PACKAGES[adapter], None)
    text = refusal(made(adapter, None))
    assert adapter in text
    assert PACKAGES[adapter] in text
    assert f"parity[{EXTRAS[adapter]}]" in text


BROKEN = """\
from parity.tests.support import library_cases as library

def broken(x):
    raise KeyError("width")

case = library.from_haiku("mine", broken, "squared_error", **library.CLASSIFIER)
"""


def test_an_error_inside_a_model_names_its_line(tmp_path):
    (tmp_path / "broken_model.py").write_text(BROKEN, encoding="utf-8")
    text = refusal(lambda: load(f"{tmp_path / 'broken_model.py'}:case"))
    assert "KeyError" in text
    assert "broken_model.py:4 in broken" in text
