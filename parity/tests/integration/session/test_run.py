"""`parity run`, as a user runs it: real records, and real processes where it is about them."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest

import parity
from parity import records
from parity.cases.case import PROBES
from parity.session import hooks, interrupts
from parity.tests.support import samples
from parity.tests.support.schema import SCHEMA

pytestmark = pytest.mark.slow

ROOT = Path(parity.__file__).parents[1]
IRIS = f"{ROOT / 'fixtures' / 'cases' / 'iris.py'}:case"


def run(*arguments, cwd):
    command = [sys.executable, "-m", "parity", "run", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def iris(tmp_path_factory, frameworks):
    """A user's own case, in a file outside the package, on every runtime, and predictions on another device as well.

    What else a run asks has tests of its own.
    """
    folder = tmp_path_factory.mktemp("iris")
    asked = [option for probe in (*PROBES, "training", "finetuning") for option in ("--probe", probe)]
    options = ["--case", IRIS, "--out", "out", "--level", "full", "--batch-size", 13, *asked]
    done = samples.inside("run", *options, "-k", "not power and not (cpu1 and not predict)", cwd=folder)
    return done, folder / "out"


def test_a_users_case_passes_on_every_runtime(iris):
    done, out = iris
    assert done.returncode == 0, done.stdout + done.stderr
    found = records.read(out)
    assert found.in_order()
    assert {c.runtime for c in found.checks} == {p.runtime for p in found.plan}
    assert "are in parity: all" in done.stdout
    assert "Where " in done.stdout


def test_the_record_fits_its_schema_and_keeps_the_plan(iris):
    _, out = iris
    jsonschema.validate(json.loads((out / "run.json").read_text()), SCHEMA)
    found = records.read(out)
    assert {c.item for c in found.checks} == {p.item for p in found.plan}
    assert len({(c.item, c.leaf) for c in found.checks}) == len(found.checks)
    assert "test_train_gradient[iris-saved_model-b13]" in {p.item for p in found.plan}
    assert [p.test for p in found.plan].index("finetuning") == len(found.plan) - 1  # what trains on comes last
    assert [(p.case, p.function) for p in found.programs] == [("iris", f) for f in ("predict", "loss", "gradient")]
    assert {"predict", "eval_gradient", "train_gradient"} <= {profile.probe for profile in found.profiles}
    assert sorted(p.name for p in out.iterdir()) == ["index.html", "log.txt", "run.json"]


def test_every_check_names_its_devices_and_every_score_its_budget(iris):
    found = records.read(iris[1])
    assert {(c.jax_device, c.tf_device) for c in found.checks} == {
        ("cpu:0", "none"), ("cpu:1", "none"), ("cpu:0", "cpu:0"), ("cpu:1", "cpu:1"),
    }  # fmt: skip
    budgets = {(b.probe, b.batch_size, b.leaf): b for b in found.budgets}
    with_budgets = set(PROBES) - {"accuracy"}
    scored = [c for c in found.checks if c.score and c.runtime == "tf_graph" and c.probe in with_budgets]
    assert scored
    for check in scored:
        assert "8 evaluations" in budgets[check.probe, check.batch_size, check.leaf].source


def test_the_curves_span_the_hand_over(iris):
    curves = {(c.name, c.series): c for c in records.read(iris[1]).curves}
    jax, tensorflow = curves["evaluation loss", "JAX"], curves["evaluation loss", "TensorFlow"]
    assert tensorflow.handover == jax.x[-1] == tensorflow.x[0]


MINE = """
import dataclasses

import jax.numpy as jnp

from parity.cases.case import Limit
from parity.tests.support import tiny


def vector_loss(params, other, key, data, labels, train):
    return tiny.predict((params, other), data), other


def not_a_number(params, other, key, data, labels, train):
    return tiny.loss(params, other, key, data, labels, train)[0] * jnp.log(-1.0), other


def depends_on_a_value(state, data):
    return tiny.predict(state, data) if data[0, 0] > 0 else tiny.predict(state, -data)


def fails(*arguments):
    raise RuntimeError("planted")



case = dataclasses.replace(tiny.tiny, name="mine")
strict = dataclasses.replace(tiny.tiny, name="strict", limit=Limit(1e-6, "to see it fail"))
diverging = dataclasses.replace(tiny.tiny, name="diverging", loss=not_a_number)
vector = dataclasses.replace(tiny.tiny, name="vector", loss=vector_loss)
untraceable = dataclasses.replace(tiny.tiny, name="untraceable", predict=depends_on_a_value)
inaccurate = dataclasses.replace(tiny.tiny, name="inaccurate", accuracy=fails)
without_data = dataclasses.replace(tiny.tiny, name="without_data", dataset=fails)
without_start = dataclasses.replace(tiny.tiny, name="without_start", init=fails)
"""


@pytest.fixture(scope="module")
def failing(tmp_path_factory, frameworks):
    """Two cases that must fail: one has a limit that nothing can meet, the training of the other gives NaN."""
    folder = tmp_path_factory.mktemp("failing")
    (folder / "mine.py").write_text(MINE)
    options = ["--case", "mine.py:strict", "--case", "mine.py:diverging", "--runtime", "tf_graph", "--probe", "predict"]
    return samples.inside("run", *options, "--batch-size", 13, "--out", "out", cwd=folder), folder


def test_a_failure_says_what_where_who_and_how_to_repeat_it(failing):
    done, folder = failing
    assert done.returncode == 1
    text = done.stdout
    for output in (
        "output: score",
        "over the limit 1e-06",
        "worst element [",
        "JAX ",
        "oracle ",
        "moved",
        "repeat: python -m pytest",
    ):
        assert output in text, text
    found = [c for c in records.read(folder / "out").checks if c.case == "strict"]
    [check] = [c for c in found if c.tf_device == "cpu:0"]
    assert (check.status, check.limit, check.limit_reason) == ("fail", 1e-6, "to see it fail")
    assert "to see it fail" in (folder / "out" / "index.html").read_text()


def test_what_the_oracle_would_check_is_left_out_and_said_in_the_record_and_the_terminal(failing):
    done, folder = failing
    [said] = [text for text in records.read(folder / "out").environment["left_out"] if "jax_float64" in text]
    assert " ".join(said.split()) in " ".join(done.stdout.split())


def test_the_command_in_a_failure_repeats_just_that_check(failing):
    done, folder = failing
    line = next(
        line for line in done.stdout.splitlines() if line.startswith("repeat: python -m pytest") and "strict" in line
    )
    again = samples.pytest_inside(*shlex.split(line.removeprefix("repeat: python -m pytest")), cwd=folder)
    assert again.returncode == 1
    assert "1 failed in" in again.stdout, again.stdout
    assert "over the limit 1e-06" in again.stdout


def test_interrupted_in_the_middle(tmp_path):
    """Ctrl-C after the first verdict: sealed as interrupted, with what was seen and what is missing."""
    options = ["--case", IRIS, "--runtime", "jax", "--runtime", "saved_model_fresh", "--probe", "predict", "-v"]
    command = [
        sys.executable,
        "-m",
        "parity",
        "run",
        *options,
        "--batch-size",
        "13",
        "--batch-size",
        "1",
        "--out",
        "out",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    for line in process.stdout:
        if "PASSED" in line:
            os.killpg(process.pid, signal.SIGINT)
            break
    process.communicate()
    assert process.returncode == 130
    found = records.read(tmp_path / "out")
    assert found.state == records.INTERRUPTED
    assert found.counts()["pass"]
    assert found.counts()["missing"]
    assert not found.in_order()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_loses_stops_the_run_before_the_next_test():
    class Lossy:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    config = SimpleNamespace(
        stash=pytest.Stash(), add_cleanup=lambda undo: None, pluginmanager=pytest.PytestPluginManager()
    )
    before = signal.getsignal(signal.SIGINT)
    try:
        interrupts.remember(config)
        hooks.pytest_runtest_setup(SimpleNamespace(config=config))
        Lossy()
        with pytest.raises(KeyboardInterrupt):
            hooks.pytest_runtest_setup(SimpleNamespace(config=config))
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("options", "code", "output"),
    [
        (["-n", "2"], 2, "in one process, without -n"),
        (["--case", "none.py:case"], 2, "no case file none.py"),
        (["--case", "nobody"], 2, "Expected one of miniature, ratings, reference"),
        (["--runtime", "abacus"], 2, "no runtime 'abacus'. Expected one of jax"),
        (["--probe", "smell"], 2, "no probe 'smell'"),
        (["--batch-size", "0"], 2, "batch size '0'. Expected a whole number of at least 1"),
        (["--probe", "rng", "-k", "nothing_is_called_so"], 3, "deselected"),
    ],
)
def test_what_cannot_be_run_is_said(tmp_path, frameworks, options, code, output):
    done = samples.inside("run", "--out", "out", *options, cwd=tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
    assert output in done.stdout + done.stderr


def test_jax_alone_is_no_verdict_and_an_old_report_does_not_stay(tmp_path, frameworks):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "index.html").write_text("of another run")
    options = ["--case", "mine.py:case", "--runtime", "jax", "--probe", "rng", "--batch-size", 13]
    done = samples.inside("run", *options, "--out", "out", cwd=tmp_path)
    assert done.returncode == 3, done.stdout
    assert "TensorFlow was not asked" in done.stdout
    assert "of another run" not in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize("absent", ["jax", "tensorflow"])
def test_a_framework_that_is_not_there(tmp_path, absent):
    code = (
        f"import sys\nsys.modules[{absent!r}] = None\n"
        "from parity.cli.main import main\nraise SystemExit(main(['run', '--out', 'out', '--probe', 'predict']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stdout + done.stderr
    assert f"{absent} cannot be imported" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_an_output_folder_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("mine")
    done = run("--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert "out is a file; --out expects a folder" in done.stdout + done.stderr
    assert (tmp_path / "out").read_text() == "mine"


def test_a_full_disk_ends_the_run_with_a_clear_error(tmp_path, frameworks):
    """The case puts it there when it is loaded: a record that is there before would be moved aside."""
    full = "from pathlib import Path\nPath('out/run.jsonl').symlink_to('/dev/full')\n"
    (tmp_path / "full.py").write_text(MINE + full)
    options = ["--case", "full.py:case", "--probe", "training", "--runtime", "jax"]
    done = samples.inside("run", "--out", "out", *options, cwd=tmp_path)
    assert done.returncode not in (0, 1)
    assert "No space left on device" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_case_whose_training_fails_is_an_error_of_every_item(failing):
    done, folder = failing
    assert done.stdout.count("has non-finite values after training") == 1
    assert "Traceback" not in done.stdout
    assert {c.status for c in records.read(folder / "out").checks if c.case == "diverging"} == {"error"}


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("vector", "expected a float scalar"),
        ("untraceable", "predict raised TracerBoolConversionError"),
        ("inaccurate", "accuracy raised RuntimeError: planted"),
        ("without_data", "dataset raised RuntimeError: planted"),
        ("without_start", "init raised RuntimeError: planted"),
    ],
)
def test_a_mistake_in_a_case_is_one_line_of_wrong_usage_and_leaves_nothing(tmp_path, frameworks, case, said):
    (tmp_path / "mine.py").write_text(MINE)
    options = ["--case", "mine.py:case", "--case", f"mine.py:{case}", "--probe", "predict"]
    done = samples.inside("run", *options, "--out", "out", cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    [line] = [line for line in done.stdout.splitlines() if line.strip()]
    assert said in line
    assert f"'{case}'" in line
    assert not list((tmp_path / "out").iterdir())


def test_in_a_cell_a_case_that_cannot_be_used_is_an_error_of_its_items_alone(tmp_path, frameworks):
    (tmp_path / "mine.py").write_text(MINE)
    options = ["--case", "mine.py:case", "--case", "mine.py:inaccurate", "--probe", "predict", "--runtime", "tf_graph"]
    done = samples.inside("run", *options, "--batch-size", 13, "--cell", "one", "--out", "out", cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    checks = records.read(tmp_path / "out").checks
    assert {check.status for check in checks if check.case == "mine"} == {records.PASS}
    assert {check.status for check in checks if check.case == "inaccurate"} == {records.ERROR}
    assert done.stdout.count("accuracy raised RuntimeError: planted") == 1


def test_a_bundle_is_exported_and_verified_where_jax_is_impossible(tmp_path, frameworks):
    (tmp_path / "mine.py").write_text(MINE)
    export = ("export", "bundle", "--case", "mine.py:case", "--batch-size", 13)
    assert samples.inside(*export, cwd=tmp_path).returncode == 0
    verify = (
        "from parity.core.processes import block_jax\nblock_jax()\n"
        "from parity.cli.main import main\nraise SystemExit(main(['verify', 'bundle', '--out', 'out']))\n"
    )
    done = subprocess.run([sys.executable, "-c", verify], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = records.read(tmp_path / "out")
    assert found.in_order()
    assert {p.probe for p in found.plan} == {c.probe for c in found.checks}
    jsonschema.validate(json.loads((tmp_path / "out" / "run.json").read_text()), SCHEMA)
