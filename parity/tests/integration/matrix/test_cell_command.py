"""A whole cell: `parity cell` in an environment of its own, with releases that are planted to misbehave.

The releases are wheels of a few bytes in a folder, which uv resolves and installs as it does real ones. This jax runs
what the variable PLANTED says when it is imported, and so within the `parity run` of a cell.
"""

import functools
import os
import signal
import site
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from parity import records
from parity.core import failures
from parity.matrix import cell_run, installation
from parity.records import ABORTED, COMPLETE, CRASH, ERROR, MISSING, PASS, TIMEOUT, Stopped, cells
from parity.records.cells import outcome
from parity.tests.support import samples, wheels
from parity.tests.support.bundle_files import write as write_bundle

pytestmark = pytest.mark.slow

PLANTED = "jax1.0-tf1.0"
BROKEN = "jax2.0-tf2.0"
"""A jax without files, so that the real one is found, and a tensorflow that cannot be imported."""
APART = "jax3.0-tf1.0"
LATER = "jax1.1-tf1.0"
"""Not installed by any other test."""
NOWHERE = "jax9.9-tf9.9"


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """The folder of all wheels that there are."""
    return wheels.write(tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of a new environment, which finds beside its own packages those of the tests."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([installation.uv(), "venv", "-q", "-p", sys.executable, folder], check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    also = "".join(f"; site.addsitedir({path!r})" for path in site.getsitepackages())
    (packages / "tests.pth").write_text(f"import site{also}\n", encoding="utf-8")
    return folder / "bin" / "python"


def start(python, releases, folder, name, *options, planted="", offline=True, **changes):
    """`parity cell` in that environment; PLANTED is what its jax does."""
    given = {key: value for key, value in os.environ.items() if not key.startswith("UV_")}
    where = {"UV_CONFIG_FILE": str(releases / "uv.toml")} if offline else {"UV_NO_CONFIG": "1"}
    command = [python, "-I", "-m", "parity", "cell", name, "--reports", folder / "reports", *options]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
        env={
            **given, **where, "PLANTED": planted, "UV_HTTP_RETRIES": "0", "TOX_ENV_NAME": name,
            "TOX_ENV_DIR": str(python.parents[1]), **changes,
        },
    )  # fmt: skip


@pytest.fixture
def cell(python, releases, tmp_path):
    """Starts `parity cell`."""
    return functools.partial(start, python, releases, tmp_path)


@pytest.fixture
def run_cell(cell, tmp_path):
    """Runs `parity cell` to its end: its exit code, its output, and the record."""

    def run(name, *options, **changes):
        with cell(name, *options, **changes) as process:
            output, _ = process.communicate(timeout=120)
        return process.returncode, output, records.read(tmp_path / "reports" / name)

    return run


BEGUN = """
import os, signal, sys, time
from pathlib import Path
from parity.records import Recorder
from parity.tests.support import samples, wheels

out, cell = (next(a for a in sys.argv if a.startswith(option)).partition("=")[2] for option in ("--out=", "--cell="))
recorder = Recorder(Path(out), samples.run(cell=cell))
for number in range(3):
    recorder.add(samples.planned(item=f"question {number}"))
recorder.add(samples.check(item="question 0"))
"""
"""A run that has planned three questions, and has asked one."""
PASSES = f"""{BEGUN}
for number in (1, 2):
    recorder.add(samples.check(item=f"question {{number}}"))
recorder.seal("complete", {{}})
os._exit(0)
"""
WAITS = f"""{BEGUN}
os.write(2, b"waiting\\n")
try:
    time.sleep(600)
except KeyboardInterrupt:
    os.write(2, b"parity: interrupted\\n")
    os._exit(130)
"""


def statuses(run):
    return [check.status for check in run.all_checks()]


def text_of(folder):
    return (folder / "run.json").read_text(encoding="utf-8")


def stamp(folder):
    return (folder / "run.json").stat().st_mtime_ns


def wait_for(process, words):
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"it ended without saying {words!r}")


# What becomes of a cell


def test_releases_without_a_common_set_are_an_error_with_the_resolvers_reason_and_an_answer(run_cell, tmp_path):
    code, output, run = run_cell(APART)
    assert (code, run.state) == (1, ABORTED)
    assert (run.stopped.status, run.stopped.failure) == (ERROR, failures.RESOLVER)
    for named in ("jax==3.0", f"{wheels.TENSORFLOW}==1.0", "ml-dtypes>=0.3,<0.5"):
        assert named in run.stopped.evidence
    assert f"{APART}: error, resolver: Because" in output
    assert "No solution found" in (tmp_path / "reports" / APART / "log.txt").read_text(encoding="utf-8")
    assert (tmp_path / "reports" / APART / "index.html").is_file()
    row = cells.row(run)
    assert (row["jax"], row["tensorflow"], row["class"]) == ("3.0", "1.0", "resolver")
    before = stamp(tmp_path / "reports" / APART)
    assert run_cell(APART)[0] == 1
    assert stamp(tmp_path / "reports" / APART) == before


@pytest.mark.parametrize(
    ("changes", "evidence"),
    [
        ({"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple"}, "Connection refused"),
        ({"UV_OFFLINE": "1"}, "was not found in the cache"),
        ({"UV_OFFLINE": "1", "UV_FIND_LINKS": "/nowhere/at/all"}, "No such file or directory"),
    ],
    ids=["no-index", "offline", "no-folder"],
)
def test_what_cannot_be_fetched_is_missing_and_no_answer_of_a_resolver(run_cell, tmp_path, changes, evidence):
    code, _, run = run_cell(NOWHERE, offline=False, UV_CACHE_DIR=str(tmp_path / "cache"), **changes)
    assert (code, run.stopped.status, run.stopped.failure) == (1, MISSING, failures.UNKNOWN)
    assert run.stopped.evidence.startswith("the releases could not be installed: ")
    assert evidence in run.stopped.evidence
    assert not {"127.0.0.1", "http", "/nowhere"} & set(run.stopped.evidence.replace("/", " /").split())
    assert "127.0.0.1" not in text_of(tmp_path / "reports" / NOWHERE)


@pytest.mark.parametrize("code", [403, 404])
def test_an_index_without_any_of_the_packages_is_no_answer_of_a_resolver(run_cell, tmp_path, code):
    class Closed(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(code)

        def log_message(self, *output):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Closed) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/simple"
        _, _, run = run_cell(NOWHERE, offline=False, UV_DEFAULT_INDEX=address, UV_CACHE_DIR=str(tmp_path / "cache"))
        server.shutdown()
    assert (run.stopped.status, run.stopped.failure) == (MISSING, failures.UNKNOWN)
    assert "was not found in the package registry" in run.stopped.evidence
    assert "127.0.0.1" not in text_of(tmp_path / "reports" / NOWHERE)


def test_a_cell_that_could_not_be_fetched_is_run_by_the_next_start(run_cell):
    assert run_cell(LATER, offline=False, UV_DEFAULT_INDEX="http://127.0.0.1:9/simple")[0] == 1
    code, output, run = run_cell(LATER, planted=PASSES)
    assert (code, outcome(run).status, statuses(run)) == (0, PASS, [PASS] * 3)
    assert "3 checks passed" in output


NATIVE = "E0000 00:00:17.5 42 graph_compiler.cc:153] failed to deserialize portable artifact"


@pytest.fixture(scope="module")
def passed(python, releases, tmp_path_factory):
    """A cell that is installed and passes, in spite of a native log line: its output, and the folder of its record."""
    folder = tmp_path_factory.mktemp("passed")
    planted = PASSES.replace("os._exit", f"os.write(2, b'{NATIVE}\\n'); os._exit")
    with start(python, releases, folder, PLANTED, "--fresh", planted=planted) as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return output, folder / "reports" / PLANTED


def test_keras_2_comes_with_a_pair_whatever_it_says_it_requires(passed, python):
    items = "from importlib.metadata import version; print(version('tf-keras'))"
    assert subprocess.check_output([python, "-I", "-c", items], text=True) == "1.0.5\n"


def test_an_install_is_one_line_and_all_of_it_is_in_the_log_and_with_v_in_the_terminal(passed, run_cell):
    output, folder = passed
    log = (folder / "log.txt").read_text(encoding="utf-8")
    [line] = [line for line in output.splitlines() if line.startswith("Installed")]
    assert line.startswith("Installed jax 1.0 and tensorflow 1.0 in ")
    assert (" environment at: " in log, " environment at: " in output) == (True, False)
    assert not set(output) & {"\r", "\x1b"}
    _, output, _ = run_cell(PLANTED, "--fresh", "-v", planted=PASSES)
    assert " environment at: " in output


def test_a_cell_in_order_ends_with_its_verdict_and_its_report(passed):
    output, folder = passed
    lines = output.splitlines()
    assert len(lines) <= 25
    assert lines[-1] == f"Report: {folder / 'index.html'}"
    assert " ".join(records.read(folder).verdict().split()) in " ".join(output.split())


def test_native_log_lines_of_a_cell_that_passes_are_in_its_log_alone(passed):
    output, folder = passed
    assert NATIVE not in output
    assert NATIVE in (folder / "log.txt").read_text(encoding="utf-8")


def test_a_framework_that_cannot_be_imported_is_an_error_that_names_what_is_lacking(run_cell, tmp_path):
    code, output, run = run_cell(BROKEN)
    assert code == 1
    log = (tmp_path / "reports" / BROKEN / "log.txt").read_text(encoding="utf-8")
    assert "tf-keras==2.0" in log  # which there is not, and which stops nothing
    assert (run.stopped.status, run.stopped.failure) == (ERROR, failures.IMPORT)
    assert "libplanted.so.1: cannot open shared object file" in run.stopped.evidence
    assert "tensorflow cannot be imported" in output
    assert run.environment["versions"]["jax"] == run.environment["cell"]["installed"]["jax"] == "2.0"


def test_a_native_abort_within_a_run_keeps_what_was_seen_and_its_last_words(run_cell, tmp_path):
    words = "F0000 00:00:17.5 42 array.cc:52] Check failed: rank == 2 (1 vs. 2)"
    code, output, run = run_cell(PLANTED, planted=f"{BEGUN}\nos.write(2, b'{words}\\n'); os.abort()")
    assert (code, statuses(run)) == (1, [PASS, CRASH, MISSING])
    assert run.stopped == Stopped(CRASH, failures.CRASH, "ended by SIGABRT: Check failed: rank == 2 (1 vs. 2)")
    assert words in output
    assert words in (tmp_path / "reports" / PLANTED / "log.txt").read_text(encoding="utf-8")
    code, _, run = run_cell(PLANTED, planted=PASSES)
    assert (code, run.stopped, statuses(run)) == (0, None, [PASS] * 3)


def test_nothing_limits_the_time_of_a_run_unless_it_is_asked_for(monkeypatch, tmp_path):
    given = []
    monkeypatch.setattr(cell_run, "run_cell", lambda *arguments: given.append(arguments[3]) or [])
    for options in ([], ["--time-limit=7"]):
        samples.inside("cell", PLANTED, "--into-this-environment", *options, cwd=tmp_path)
    assert given == [None, 7.0]


def test_a_hang_ends_with_the_time_limit_and_is_run_by_the_next_start(run_cell):
    code, _, run = run_cell(PLANTED, "--time-limit=4", planted=f"{BEGUN}\ntime.sleep(600)")
    assert (code, statuses(run)) == (1, [PASS, TIMEOUT, MISSING])
    assert (run.stopped.status, run.stopped.failure) == (TIMEOUT, failures.TIMEOUT)
    assert run.stopped.evidence.startswith("no end after 4 s in ")
    code, _, run = run_cell(PLANTED, planted=PASSES)
    assert (code, run.stopped, statuses(run)) == (0, None, [PASS] * 3)


# tox sends an interrupt of its own to what the terminal has sent one already.
@pytest.mark.parametrize(
    ("number", "times"), [(signal.SIGINT, 3), (signal.SIGTERM, 1)], ids=["interrupts", "terminate"]
)
def test_an_interrupted_cell_is_sealed_as_missing_and_run_by_the_next_start(cell, run_cell, tmp_path, number, times):
    with cell(PLANTED, "-v", planted=WAITS) as process:
        wait_for(process, "waiting")
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.05)
        output, _ = process.communicate(timeout=60)
    # A request that comes when everything is sealed ends the process at once.
    assert process.returncode in (130, -signal.SIGINT)
    assert output.endswith("parity: interrupted\n") or process.returncode < 0
    run = records.read(tmp_path / "reports" / PLANTED / "run.json")
    assert run.stopped == Stopped(MISSING, "", "interrupted")
    assert statuses(run) == [PASS, MISSING, MISSING]
    code, _, run = run_cell(PLANTED, planted=PASSES)
    assert (code, statuses(run)) == (0, [PASS] * 3)


def test_a_cell_in_the_background_that_ignores_interrupts_passes_a_request_to_terminate_on_at_once(cell, tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = cell(PLANTED, "-v", planted=WAITS)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        wait_for(process, "waiting")
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        began = time.monotonic()
        process.terminate()
        process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert records.read(tmp_path / "reports" / PLANTED / "run.json").stopped.evidence == "interrupted"


def test_an_interrupt_while_releases_are_installed_is_sealed_as_well(cell, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        with cell(NOWHERE, offline=False, UV_DEFAULT_INDEX=address, UV_CACHE_DIR=str(tmp_path / "cache")) as process:
            silent.accept()
            process.terminate()
            output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    run = records.read(tmp_path / "reports" / NOWHERE / "run.json")
    assert run.stopped == Stopped(MISSING, "", "interrupted")


def test_a_cell_that_is_killed_itself_leaves_what_was_seen_and_is_run_by_the_next_start(cell, run_cell, tmp_path):
    with cell(PLANTED, "-v", planted=WAITS) as process:
        wait_for(process, "waiting")
        process.kill()
        process.communicate(timeout=60)
    run = records.read(tmp_path / "reports" / PLANTED)
    assert (run.cell, run.state, statuses(run)) == (PLANTED, ABORTED, [PASS, MISSING, MISSING])
    assert outcome(run) == cells.Outcome(MISSING, "", "the run was aborted, 2 of 3 questions not asked")
    code, _, run = run_cell(PLANTED, planted=PASSES)
    assert (code, run.state, statuses(run)) == (0, COMPLETE, [PASS] * 3)


# A second start


def test_a_second_start_runs_only_what_has_other_inputs_or_is_asked_for_afresh(run_cell, tmp_path):
    first = run_cell(PLANTED, planted=PASSES)[2]
    before = stamp(tmp_path / "reports" / PLANTED)
    code, output, _ = run_cell(PLANTED, planted="os.abort()")
    assert (code, stamp(tmp_path / "reports" / PLANTED)) == (0, before)
    assert f"{PLANTED} is up to date" in output
    for options in (["--batch-size=20"], ["--fresh"]):
        code, _, run = run_cell(PLANTED, *options, planted=PASSES)
        assert code == 0
        assert stamp(tmp_path / "reports" / PLANTED) > before
        before = stamp(tmp_path / "reports" / PLANTED)
        assert (run.inputs == first.inputs) == (options == ["--fresh"])


def test_what_is_verified_is_verified_again_when_the_bundle_is_another(cell, tmp_path):
    reports = tmp_path / "reports"
    exported = samples.run(cell="jax0.9.2-export", mode=records.EXPORT)
    records.seal(reports / "jax0.9.2-export", exported)
    (reports / "bundles").mkdir()
    bundle = write_bundle(reports / "bundles" / "jax0.9.2")
    split = reports / "split-jax0.9.2-tf2.0"

    def verify():
        with cell("tf2.0-verify") as process:
            output, _ = process.communicate(timeout=120)
        assert process.returncode == 1, output  # the reading for the fleet is never made
        return records.read(split), stamp(split)

    run, _ = verify()
    assert (run.mode, outcome(run).failure) == (records.SPLIT, failures.IMPORT)
    assert records.read(reports / "fleet-jax0.9.2-tf2.0").mode == records.FLEET
    run.state, run.stopped, run.checks = COMPLETE, None, [samples.check()]
    records.seal(split, run)
    first = stamp(split)
    assert verify()[1] == first
    manifest = bundle / "manifest.json"
    manifest.write_text(manifest.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert verify()[1] > first


ARCHIVES = """
import os, sys
from pathlib import Path
from parity.tests.support.bundle_files import write
write(Path(sys.argv[2]))
os._exit(0)
"""


def test_what_is_archived_is_replayed_without_any_export_and_never_replaced(cell, run_cell, tmp_path):
    archive = tmp_path / "archive"
    code, output, run = run_cell("jax1.0-archive", "--archive", archive, planted=ARCHIVES)
    assert (code, run.mode, outcome(run).status) == (0, records.EXPORT, PASS), output
    kept = {path.name: path.read_bytes() for path in archive.iterdir()}
    assert set(kept) == {"jax1.0.tar.xz", "SHA256SUMS"}
    for options in ([], ["--fresh"]):
        with cell("jax1.0-archive", "--archive", archive, *options, planted=ARCHIVES) as process:
            assert "archived bundles are immutable" in process.communicate(timeout=60)[0]
        assert process.returncode == 2
    assert {path.name: path.read_bytes() for path in archive.iterdir()} == kept
    with cell("tf2.0-verify", "--archive", archive) as process:
        output, _ = process.communicate(timeout=120)
    assert (process.returncode, "archive-jax1.0-tf2.0: error, import: " in output) == (1, True), output
    assert records.read(tmp_path / "reports" / "archive-jax1.0-tf2.0").mode == records.ARCHIVE


def test_a_cell_of_another_python_is_refused(cell):
    with cell("py399-jax1.0-tf1.0") as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "is a cell of Python 3.99" in output
    assert "tox run -e py399-jax1.0-tf1.0" in output


# Which environment


def versions_in(python):
    frozen = [installation.uv(), "pip", "freeze", "-q", "--python", python]
    return subprocess.run(frozen, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "changes",
    [{"TOX_ENV_NAME": "tests"}, {"TOX_ENV_NAME": "", "TOX_ENV_DIR": ""}, {"TOX_ENV_DIR": "/nowhere"}],
    ids=["of-another-name", "not-of-tox", "another-folder"],
)
def test_nothing_is_installed_into_an_environment_that_was_not_made_for_the_cell(cell, python, tmp_path, changes):
    before = versions_in(python)
    with cell(LATER, planted=PASSES, **changes) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"tox run -e {LATER}" in output
    assert "--into-this-environment" in output
    assert versions_in(python) == before
    assert not (tmp_path / "reports").exists()
    with cell(LATER, "--into-this-environment", planted=PASSES, **changes) as process:
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert records.read(tmp_path / "reports" / LATER).environment["cell"]["installed"]["jax"] == "1.1"


def test_a_record_is_made_again_when_another_release_of_flax_is_installed(run_cell, releases, python):
    install = [installation.uv(), "pip", "install", "-q", "--python", python, "--no-index", "-f", releases]
    wheels.wheel(releases, "flax", "99.1")
    for version in ("99.0", "99.1"):
        subprocess.run([*install, f"flax=={version}"], check=True)
        first, second = (run_cell(PLANTED, "--quiet", planted=PASSES)[2] for _ in range(2))
        assert first == second
        assert first.environment["cell"]["installed"]["flax"] == version
