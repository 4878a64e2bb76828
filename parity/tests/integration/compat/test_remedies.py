"""Inside `readable_by`, jax writes what that TensorFlow reads; outside, what it wrote before."""

import re
import sys
import threading

import jax
import numpy as np
import pytest
import tensorflow as tf
from jax._src.export import _export
from packaging.version import Version

from parity.compat import readers, writer
from parity.compat.readers import Limits, limits_of
from parity.compat.remedies import readable_by
from parity.core.errors import RemedyError, UsageError
from parity.tests.support import samples

pytestmark = pytest.mark.usefixtures("frameworks")

OPTIONS = ("jax_export_calling_convention_version", "jax_use_shardy_partitioner")


def written():
    found = writer.describe()
    return found.stablehlo, found.calling_convention


def state():
    """What a block changes."""
    return _export.hlo, *(getattr(jax.config, option) for option in OPTIONS), written()


def at_most(requirement):
    """What jax has to write to be readable."""
    limits, (stablehlo, convention) = limits_of(requirement), written()
    return min(stablehlo, limits.stablehlo, key=Version), min(convention, limits.calling_convention)


@pytest.fixture
def unchanged():
    """Whatever a test does, afterwards jax writes what it wrote."""
    before = state()
    yield before
    assert state() == before


@pytest.mark.parametrize("release", readers.table())
def test_inside_the_block_jax_writes_what_the_release_reads(unchanged, release):
    expected = at_most(f"tensorflow=={release}")
    with readable_by(f"tensorflow=={release}"):
        assert written() == expected


def test_the_oldest_release_asks_for_another_program_than_the_default(unchanged):
    with readable_by("tensorflow==2.17.1"):
        assert written() != unchanged[-1]


def test_a_program_keeps_its_meaning(unchanged):
    from jax import export

    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    with readable_by("tensorflow==2.17.1"):
        exported = export.export(jax.jit(lambda x: jax.nn.softmax(x @ x.T)))(x)
    assert exported.calling_convention_version == 9
    assert b"StableHLO_v1.1.1" in exported.mlir_module_serialized
    again = export.deserialize(exported.serialize())
    np.testing.assert_allclose(again.call(x), jax.nn.softmax(x @ x.T), rtol=1e-6)


def test_jax2tf_writes_it_into_a_saved_model(unchanged, tmp_path):
    from jax.experimental import jax2tf

    def save(path):
        module = tf.Module()
        converted = jax2tf.convert(lambda x: x @ x.T, polymorphic_shapes=["(b, 3)"], with_gradient=False)
        spec = tf.TensorSpec((None, 3), tf.float32)
        module.f = tf.function(converted, autograph=False, input_signature=[spec])
        tf.saved_model.save(module, str(path))
        return set(re.findall(rb"StableHLO_v[\d.]*\d", (path / "saved_model.pb").read_bytes()))

    default = save(tmp_path / "default")
    with readable_by("tensorflow==2.17.1"):
        assert save(tmp_path / "readable") == {b"StableHLO_v1.1.1"}
    assert save(tmp_path / "after") == default != {b"StableHLO_v1.1.1"}
    x = tf.constant([[1.0, 2.0, 3.0]])
    assert tf.saved_model.load(str(tmp_path / "readable")).f(x).numpy().tolist() == [[14.0]]


def test_what_was_there_is_restored_after_an_exception(unchanged):
    with pytest.raises(ZeroDivisionError), readable_by("tensorflow==2.17.1"):
        1 / 0  # noqa: B018 - raises


def test_what_the_user_had_set_is_restored(unchanged):
    jax.config.update("jax_use_shardy_partitioner", not unchanged[2])
    try:
        with readable_by("tensorflow==2.17.1"):
            assert written() == ("1.1.1", 9)
        assert jax.config.jax_use_shardy_partitioner is not unchanged[2]
    finally:
        jax.config.update("jax_use_shardy_partitioner", unchanged[2])


@pytest.mark.parametrize("order", [("2.18.1", "2.21.0"), ("2.21.0", "2.18.1"), ("2.18.1", "2.18.1")])
def test_of_nested_blocks_the_oldest_wins(unchanged, order):
    outer, inner = (f"tensorflow=={release}" for release in order)
    oldest, first = at_most("tensorflow==2.18.1"), at_most(outer)
    with readable_by(outer):
        with readable_by(inner):
            assert written() == oldest
        assert written() == first


def test_an_inner_block_that_raises_leaves_the_outer_one(unchanged):
    with readable_by("tensorflow==2.20.0"):
        before = written()
        with pytest.raises(ZeroDivisionError), readable_by("tensorflow==2.17.1"):
            1 / 0  # noqa: B018 - raises
        assert written() == before


def test_threads_are_in_a_block_one_at_a_time(unchanged):
    found, expected = {}, {}
    releases = list(readers.table())
    for release in releases:
        expected[release] = at_most(f"tensorflow=={release}")
    barrier = threading.Barrier(len(releases))

    def export(release):
        barrier.wait()
        with readable_by(f"tensorflow=={release}"):
            found[release] = written()

    threads = [threading.Thread(target=export, args=(release,)) for release in releases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert found == expected


class Unknown:
    """A part of a jax that is not known yet: everything as it is, but for `changed`; what is None is gone."""

    def __init__(self, **changed):
        self._changed = changed

    def __getattr__(self, name):
        if name not in self._changed:
            return getattr(self.real, name)
        if self._changed[name] is None:
            raise AttributeError(name)
        return self._changed[name]


class Dialect(Unknown):
    real = _export.hlo


class Config(Unknown):
    real = jax.config


CHOOSERS = ("get_version_from_compatibility_requirement", "get_minimum_version")
newer_convention = pytest.mark.skipif(
    jax.config.jax_export_calling_convention_version <= 9, reason="this jax writes calling convention 9 by itself"
)


@pytest.fixture
def outlived():
    """Refused clearly, and nothing is left changed."""

    def check(output):
        before = _export.hlo if hasattr(_export, "hlo") else None
        options = [getattr(jax.config, option) for option in OPTIONS]
        with pytest.raises(RemedyError) as caught, readable_by("tensorflow==2.17.1"):
            pytest.fail("the block was entered")
        assert output in str(caught.value)
        assert str(caught.value).startswith(f"the remedy does not fit jax {jax.__version__}: ")
        assert "Expected jax 0.4.30 to 0.12; export with one of those" in str(caught.value)
        assert (_export.hlo if hasattr(_export, "hlo") else None) is before
        assert [getattr(jax.config, option) for option in OPTIONS] == options

    return check


def test_an_export_module_without_the_dialect_raises_remedy_error(monkeypatch, outlived):
    monkeypatch.delattr(_export, "hlo")
    outlived("no longer chooses a StableHLO version through `hlo`")


def test_a_moved_export_module_raises_remedy_error(monkeypatch, outlived):
    monkeypatch.delattr(jax._src.export, "_export")
    monkeypatch.setitem(sys.modules, "jax._src.export._export", None)
    outlived("import of jax._src.export._export halted")


def test_a_dialect_without_version_choosers_raises_remedy_error(monkeypatch, outlived):
    monkeypatch.setattr(_export, "hlo", Dialect(**dict.fromkeys(CHOOSERS)))
    outlived("no longer chooses a StableHLO version through `hlo`")


def test_an_exporter_that_ignores_the_version_limit_raises_remedy_error(monkeypatch, outlived):
    """It asks another dialect than the one that it shows."""
    serialise, own = _export._module_to_bytecode, writer.describe().stablehlo

    def ignoring(module):
        capped, _export.hlo = _export.hlo, Dialect.real
        try:
            return serialise(module)
        finally:
            _export.hlo = capped

    monkeypatch.setattr(_export, "_module_to_bytecode", ignoring)
    outlived(f"it still writes StableHLO {own} in calling convention 9, expected at most 1.1.1 and 9")


def test_a_program_without_a_version_raises_remedy_error(monkeypatch, outlived):
    serialise = _export._module_to_bytecode
    monkeypatch.setattr(_export, "_module_to_bytecode", lambda m: serialise(m).replace(b"StableHLO_v", b"StableHLO  "))
    outlived("what it writes names no StableHLO version")


@newer_convention
def test_an_exporter_that_ignores_the_option_raises_remedy_error(monkeypatch, outlived):
    monkeypatch.setattr(jax, "config", Config(update=lambda option, value: None))
    outlived("it still writes StableHLO 1.1.1 in calling convention 10, expected at most 1.1.1 and 9")


def test_a_version_chooser_with_another_signature_raises_remedy_error(monkeypatch, outlived):
    def fails(*arguments, **named):
        raise TypeError("takes 3 arguments")

    monkeypatch.setattr(_export, "hlo", Dialect(**dict.fromkeys(CHOOSERS, fails)))
    outlived("an export fails with TypeError: takes 3 arguments")


@newer_convention
@pytest.mark.parametrize("option", OPTIONS)
def test_a_jax_without_the_option_raises_remedy_error(monkeypatch, option):
    monkeypatch.setattr(jax, "config", Config(**{option: None}))
    with pytest.raises(RemedyError, match=f"an option is not there: {option}"), readable_by("tensorflow==2.17.1"):
        pytest.fail("the block was entered")


def test_without_jax_a_clear_error():
    code = """
import sys
sys.modules["jax"] = None
from parity.core.errors import NotComparableError
from parity.compat.remedies import readable_by
try:
    with readable_by("tensorflow==2.17.1"):
        print("entered")
except NotComparableError as error:
    print(error)
"""
    done = samples.python("-c", code)
    assert done.stdout.startswith("jax cannot be imported: import of jax halted")
    assert "readable_by changes what jax writes" in done.stdout
    assert "install the jax that exports" in done.stdout


@pytest.mark.parametrize(
    "requirement",
    [
        "",
        "2.17.1",
        "tensorflow",
        "tensorflow>=2.17.1",
        "tensorflow==2.17.*",
        "tensorflow==2.17.1,!=2.18.1",
        "tensorflow===2.17.1",
        "jax==0.10.2",
        "tf==2.17.1",
        "tensorflow==",
        "tensorflow==new",
        "tensorflow 2.17.1",
    ],
)
def test_a_malformed_requirement_is_refused(unchanged, requirement):
    with pytest.raises(UsageError) as caught, readable_by(requirement):
        pytest.fail("the block was entered")
    assert str(caught.value) == f"{requirement!r}: expected one TensorFlow release, such as 'tensorflow==2.17.1'."


@pytest.mark.parametrize("release", ["2.15.1", "2.99.0", "3.0.0", "3"])
def test_an_unknown_release_is_refused_with_those_that_are_known(unchanged, release):
    with pytest.raises(UsageError, match="not known") as caught, readable_by(f"tensorflow=={release}"):
        pytest.fail("the block was entered")
    assert ", ".join(readers.table()) in str(caught.value)
    assert "the release that is installed here" in str(caught.value)


@pytest.mark.parametrize(
    ("requirement", "limits"),
    [
        ("tensorflow==2.17.1", Limits("1.1.1", 9)),
        ("tensorflow==2.17.0", Limits("1.1.1", 9)),
        ("tensorflow==2.18.9", Limits("1.7.3", 9)),
        ("tensorflow==2.20", Limits("1.12.1", 10)),
        ("tensorflow==2.21.0rc1", Limits("1.13.7", 10)),
        ("tensorflow-cpu==2.19.1", Limits("1.9.1", 9)),
        ("TensorFlow_CPU == 2.19.0", Limits("1.9.1", 9)),
        ("tensorflow[and-cuda]==2.20.0", Limits("1.12.1", 10)),
    ],
)
def test_a_release_has_the_limits_of_its_line(requirement, limits):
    assert limits_of(requirement) == limits


def test_the_oldest_release_reads_least():
    limits = limits_of(readers.oldest())
    for other in readers.table().values():
        assert Version(limits.stablehlo) <= Version(other.stablehlo)
        assert limits.calling_convention <= other.calling_convention


def test_the_table_of_readers_agrees_with_the_installed_tensorflow():
    from parity.compat import reader

    says, has = reader.describe(), limits_of(f"tensorflow=={tf.__version__}")
    if says.stablehlo is not None:
        assert has.stablehlo == says.stablehlo
    if says.calling_convention is not None:
        assert has.calling_convention == says.calling_convention


def test_reading_the_table_needs_no_framework():
    code = (
        "import sys; from parity.compat import readers; readers.table(); "
        "print({'jax', 'tensorflow'} & set(sys.modules))"
    )
    assert samples.python("-c", code).stdout == "set()\n"
