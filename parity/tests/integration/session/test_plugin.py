"""The pytest plugin in the projects of users: probes of their own, options that select nothing, and no interference."""

import shlex

import pytest

from parity import records
from parity.report import panels
from parity.tests.support import samples

pytestmark = pytest.mark.slow

CASE = """
import dataclasses
from parity.tests.support import tiny

case = dataclasses.replace(tiny.tiny, name="mine", probes=("predict",), accuracy=None)
"""

PROBES = """
import numpy as np
import pytest

from parity.probes.declaration import Probe, every_runtime
from parity.probes.evaluation import score
from parity.session.asserting import assert_in_order


def confidence(answers):
    return {leaf: np.exp(a).max(axis=-1) for leaf, a in answers["predict"].items()}


def biased(answers):
    # Wrong in the oracle alone: float32 answers and their budgets agree with each other.
    return {leaf: a * a.dtype.type(1.01 if a.dtype == np.float32 else 1) for leaf, a in answers["predict"].items()}


@pytest.mark.parity_probe(Probe(name="confidence", plan=every_runtime, evaluation="predict", derive=confidence))
def test_confidence(subject, runtime, batch, record):
    assert_in_order(record(score(subject, "confidence", runtime, batch.size)))


@pytest.mark.parity_probe(Probe(name="biased", plan=every_runtime, evaluation="predict", derive=biased))
def test_biased(subject, runtime, batch, record):
    assert_in_order(record(score(subject, "biased", runtime, batch.size)))
"""

OPTIONS = (
    "--parity-runtime=jax_float64", "--parity-runtime=tf_graph", "--parity-batch-size=13", "--parity-case=mine.py:case",
)  # fmt: skip


def run(folder, *options):
    return samples.pytest_inside(*options, cwd=folder)


@pytest.fixture
def project(tmp_path, frameworks):
    (tmp_path / "mine.py").write_text(CASE)
    (tmp_path / "test_mine.py").write_text(PROBES)
    return tmp_path


def test_a_probe_that_is_declared_beside_a_test_is_planned_scored_and_recorded(project):
    done = run(project, *OPTIONS, "--parity-out=out", "test_mine.py")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    found = records.read(project / "out")
    assert {(item.test, item.probe, item.runtime, item.batch_size) for item in found.plan} == {
        (probe, probe, runtime, 13) for probe in ("confidence", "biased") for runtime in ("jax_float64", "tf_graph")
    }
    assert {(c.probe, c.runtime): c.status for c in found.checks} == {
        ("confidence", "jax_float64"): records.PASS,
        ("confidence", "tf_graph"): records.PASS,
        ("biased", "jax_float64"): records.FAIL,
        ("biased", "tf_graph"): records.PASS,
    }
    assert all(c.score is not None and c.leaf == "output" for c in found.checks)
    assert {(b.probe, b.batch_size) for b in found.budgets} == {("confidence", 13), ("biased", 13)}
    assert found.state == records.COMPLETE
    [bad] = [check for check in found.checks if check.status == records.FAIL]
    *command, options = bad.repeat.split(maxsplit=3)
    again = run(project, *shlex.split(options))
    assert (command, again.returncode) == (["python", "-m", "pytest"], pytest.ExitCode.TESTS_FAILED), again.stdout
    assert "1 failed" in again.stdout
    assert bad.item in again.stdout


def test_such_a_probe_is_selected_by_its_name(project):
    done = run(project, *OPTIONS, "--parity-probe=confidence", "--parity-out=out", "test_mine.py")
    assert done.returncode == pytest.ExitCode.OK, done.stdout + done.stderr
    found = records.read(project / "out")
    assert {item.probe for item in found.plan} == {c.probe for c in found.checks} == {"confidence"}
    assert {item.runtime for item in found.plan} == {"jax_float64", "tf_graph"}


def test_a_panel_that_fails_leaves_summary_record_page_and_the_exit_code_of_the_verdict(project, monkeypatch):
    (project / "broken.py").write_text("ORDER = 45\ndef view(cell): return 1 / 0")
    monkeypatch.setattr(panels, "__path__", [*panels.__path__, str(project)])
    panels.modules.cache_clear()
    done = run(project, *OPTIONS, "--parity-probe=confidence", "--parity-out=out", "test_mine.py")
    monkeypatch.undo()
    panels.modules.cache_clear()
    assert done.returncode == pytest.ExitCode.OK, done.stdout + done.stderr
    assert "are in parity: " in done.stdout
    assert done.stdout.count("The panel broken failed: ZeroDivisionError") == 1
    assert "The panel broken failed: ZeroDivisionError" in (project / "out" / "index.html").read_text()
    assert records.read(project / "out").in_order()


RAISES = """
import pytest
from parity import assert_in_order, score


@pytest.mark.parity_probe("predict")
def test_top_value(subject, runtime, batch, record):
    assert_in_order(record(score(subject, "predict", runtime, batch.size)))
    raise RuntimeError("after its checks")
"""


def test_an_error_after_checks_in_order_is_recorded_and_repeated_by_the_tests_own_name(project):
    (project / "test_mine.py").write_text(RAISES)
    done = run(project, *OPTIONS, "--parity-out=out", "test_mine.py")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    found = records.read(project / "out")
    assert not found.in_order()
    bad = [check for check in found.checks if check.status == records.ERROR]
    assert {check.leaf for check in bad} == {"*"}
    assert "after its checks" in bad[0].message
    assert "test_mine.py::test_top_value[" in bad[0].repeat


STUMBLES = """
import numpy as np
import pytest

from parity import Probe, assert_in_order, every_runtime, score


def confidence(answers):
    return {leaf: np.exp(a).max(axis=-1) for leaf, a in answers["predict"].items()}


def misspelt(answers):
    return {"output": answers["predikt"]}


def nothing(answers):
    return None


def narrow(answers):
    if answers["predict"]["output"].dtype == np.float32:
        raise ValueError("float32")
    return answers["predict"]


def probe(function):
    return Probe(name=function.__name__, plan=every_runtime, evaluation="predict", derive=function)


@pytest.mark.parity_probe(probe(confidence))
def test_confidence(subject, runtime, batch, record):
    assert_in_order(record(score(subject, "confidence", runtime, batch.size)))


@pytest.mark.parity_probe(probe(misspelt))
def test_misspelt(subject, runtime, batch, record):
    assert_in_order(record(score(subject, "misspelt", runtime, batch.size)))


@pytest.mark.parity_probe(probe(nothing))
def test_nothing(subject, runtime, batch, record):
    assert_in_order(record(score(subject, "nothing", runtime, batch.size)))


@pytest.mark.parity_probe(probe(narrow))
def test_narrow(subject, runtime, batch, record):
    assert_in_order(record(score(subject, "narrow", runtime, batch.size)))


@pytest.mark.parity_probe(probe(confidence))
def test_silent(subject, runtime, batch):
    pass


@pytest.mark.parity_probe("predict")
def test_skipped(subject, runtime, batch):
    pytest.skip("not today")
"""


@pytest.fixture(scope="module")
def stumbles(tmp_path_factory, frameworks):
    """A run of probes of which only one can be derived, and of tests that record nothing."""
    folder = tmp_path_factory.mktemp("stumbles")
    (folder / "mine.py").write_text(CASE)
    (folder / "test_mine.py").write_text(STUMBLES)
    done = run(folder, *OPTIONS, "--parity-out=out", "test_mine.py")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    return records.read(folder / "out").checks, done


def test_a_derivation_that_raises_is_an_error_of_its_own_probe_alone(stumbles):
    checks, _ = stumbles
    found = {(c.probe, c.runtime): c.status for c in checks if c.status != records.MISSING}
    assert found == {
        (probe, runtime): records.PASS if probe == "confidence" else records.ERROR
        for probe in ("confidence", "misspelt", "nothing", "narrow")
        for runtime in ("jax_float64", "tf_graph")
    }


@pytest.mark.parametrize(
    ("probe", "parts"),
    [
        ("misspelt", ["'misspelt'", "tf_graph", "KeyError", "test_mine.py:13", "misspelt", "predikt"]),
        ("narrow", ["'narrow'", "tf_graph", "ValueError", "float32", "test_mine.py:22"]),
        ("nothing", ["'nothing'", "NoneType"]),
    ],
)
def test_its_text_names_the_probe_the_runtime_the_exception_and_the_line(stumbles, probe, parts):
    [message] = [check.message for check in stumbles[0] if (check.probe, check.runtime) == (probe, "tf_graph")]
    assert [part for part in parts if part not in message] == []


def test_a_test_that_records_nothing_is_missing_with_the_reason(stumbles):
    checks, done = stumbles
    missing = {c.probe: c.message for c in checks if (c.runtime, c.status) == ("tf_graph", records.MISSING)}
    assert set(missing) == {"confidence", "predict"}, "the silent test is seen beside another one of its probe"
    assert "record(" in missing["confidence"]
    assert "not today" in missing["predict"]
    assert done.stdout.count("FAILED test_mine.py::test_silent") == 2


BROKEN = """
import numpy as np

from parity import Batch, Dataset, Spec
from parity.tests.support import tiny


def dataset():
    return Dataset(*(Batch(np.pad(part.data, [(0, 0), (0, 1)]), part.labels) for part in
                     (tiny.dataset().train, tiny.dataset().test)))


def predict(state, data):
    return data @ state[0]["hidden"]["kernel"]


wide = tiny.case(name="wide", predict=predict, data=Spec("b", 5), dataset=dataset, accuracy=None, probes=("predict",),
                 loss=lambda params, other, key, data, labels, train: (predict((params, other), data).mean(), other))
"""


def test_a_spec_that_the_model_cannot_take_is_a_usage_error_with_its_line(tmp_path, frameworks):
    (tmp_path / "mine.py").write_text(BROKEN)
    chosen = ("--pyargs", "parity.suites", *OPTIONS[:3], "--parity-probe=predict", "--parity-out=out")
    done = run(tmp_path, *chosen, "--parity-case=mine.py:wide")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout + done.stderr
    [message] = [line for line in done.stdout.splitlines() if "(5,) and (4,)" in line]
    parts = ("'wide'", "float32[b, 5]", "mine.py:14 in predict")
    assert [part for part in parts if part not in message] == []


@pytest.mark.parametrize("function", ["dataset", "init"])
def test_a_function_of_a_case_that_raises_is_a_usage_error_with_its_line(tmp_path, frameworks, function):
    text = CASE.replace("case = ", f"def {function}(*key):\n    raise KeyError('no file')\n\n\ncase = ")
    (tmp_path / "mine.py").write_text(text.replace('name="mine"', f'name="mine", {function}={function}'))
    done = run(tmp_path, "--pyargs", "parity.suites", *OPTIONS, "--parity-probe=predict", "--parity-out=out")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout + done.stderr
    assert done.stdout.count(f"{function} raised KeyError: 'no file', at mine.py:6 in {function}") == 1
    assert done.stdout.count("raised KeyError") == 1


def test_a_probe_with_the_name_of_another_is_a_usage_error(project):
    (project / "test_mine.py").write_text(PROBES.replace("confidence", "predict"))
    done = run(project, *OPTIONS, "test_mine.py")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout + done.stderr
    assert "'predict'" in done.stdout + done.stderr


@pytest.mark.parametrize("mark", ["'confidense'", "", "'predict', 'rng'"])
def test_a_mark_with_no_probe_is_a_usage_error(project, mark):
    text = f"import pytest\n\n\n@pytest.mark.parity_probe({mark})\ndef test_smell(record):\n    pass\n"
    (project / "test_mine.py").write_text(text)
    done = run(project, *OPTIONS, "test_mine.py")
    text = done.stdout + done.stderr
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, text
    assert "test_smell" in text
    assert "Traceback" not in text
    assert "StopIteration" not in text


def test_options_that_select_nothing_together_end_with_code_5_and_name_runtimes_and_probes(project):
    done = run(project, "--pyargs", "parity.suites", *OPTIONS[:1], *OPTIONS[2:], "--parity-probe=artifact")
    text = done.stdout + done.stderr
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, text
    [line] = [line for line in text.splitlines() if line.startswith("parity: ")]
    assert "jax_float64" in line
    assert "artifact" in line
    assert "mine" in line
    assert "tf_graph" not in line


CONFTEST = """
import pytest


@pytest.fixture
def subject():
    return "their subject"


@pytest.fixture
def batch():
    return "their batch"


@pytest.fixture
def record():
    return "their record"


@pytest.fixture
def item():
    return 42
"""

THEIRS = """
import sys


def test_fixtures(subject, batch, record, item):
    assert (subject, batch, record, item) == ("their subject", "their batch", "their record", 42)


def test_imports():
    imported = {name.partition(".")[0] for name in sys.modules}
    assert not imported & {"jax", "tensorflow", "numpy"}
    assert not [name for name in sys.modules if name.startswith(("parity.runtimes", "parity.probes", "parity.cases"))]
    ours = {name for name in sys.modules if name.partition(".")[0] == "parity"}
    assert ours == {"parity", "parity.core", "parity.core.ledger", "parity.session", "parity.session.plugin"}
"""


def test_beside_xdist_the_suites_run_in_a_process_of_their_own(project):
    (project / "test_theirs.py").write_text("def test_one():\n    pass\n\n\ndef test_two():\n    pass\n")
    options = ["-n2", *OPTIONS, "--parity-runtime=jax", "--parity-out=out", "test_theirs.py", "test_mine.py"]
    done = samples.python("-m", "pytest", "-p", "no:cacheprovider", *options, cwd=project)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].strip("= ").startswith("2 passed")
    found = records.read(project / "out")
    assert found.state == records.COMPLETE
    assert {item.probe for item in found.plan} == {"confidence", "biased"}


def test_another_projects_tests_are_left_alone(tmp_path):
    """The plugin is loaded wherever parity is installed, and the names of its fixtures are common."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_theirs.py").write_text(THEIRS)
    others = ["-p", "no:jaxtyping"]  # the plugin of a package that Equinox needs imports numpy
    done = samples.python("-m", "pytest", "-p", "no:cacheprovider", *others, "-q", cwd=tmp_path)
    assert done.returncode == pytest.ExitCode.OK, done.stdout + done.stderr
    *results, summary = done.stdout.splitlines()
    assert "2 passed" in summary
    assert "parity" not in "".join(results)
    assert done.stderr == ""
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".py") == ["conftest.py", "test_theirs.py"]
    assert not (tmp_path / "run.json").exists()
