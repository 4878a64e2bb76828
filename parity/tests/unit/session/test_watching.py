"""What pytest shows while items run, in a project whose own tests run beside them: without a framework."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

from parity.core import progress
from parity.core.native_log import LOG

CONFTEST = """
from parity.session import watching
from parity.tests.support import samples


def pytest_sessionstart(session):
    watching.begin(session.config, False)


def pytest_collection_finish(session):
    session.config.option.parity_out = "."
    ours = [item for item in session.items if "ours" in item.nodeid]
    watching.plan(session.config, {samples.planned(item=item.name): item for item in ours})
"""
OURS = """
import os
import pytest

NATIVE = b"E0000 00:00:1795747037.057908    6228 graph_compiler.cc:153] failed to deserialize portable artifact\\n"


@pytest.mark.parametrize("number", range(5))
def test_ours(number):
    os.write(2, NATIVE)
    assert number != int(os.environ.get("FAILS", 9))
    if number == int(os.environ.get("ABORTS", 9)):
        os.write(2, b"F0000 array.cc:52] Check failed: rank == 2\\n")
        os.abort()
"""
OTHER = """
import os


def test_other():
    os.write(2, b"of the other project\\n")
"""
NATIVE = "failed to deserialize portable artifact"


@pytest.fixture
def project(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_ours.py").write_text(OURS)
    (tmp_path / "test_other.py").write_text(OTHER)
    return tmp_path


def run(folder, *options, **variables):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, env={**environment, **variables}, check=False
    )


def log(folder):
    return (folder / LOG).read_text()


@pytest.mark.parametrize("options", [(), ("-qq",), ("--capture=sys",), ("-v",)], ids=["plain", "qq", "sys", "v"])
def test_what_native_code_logs_in_items_that_pass_is_in_the_log_and_not_in_the_terminal(project, options):
    done = run(project, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert NATIVE not in done.stdout + done.stderr
    assert (log(project).count(NATIVE), log(project).count("::test_ours[")) == (5, 5)
    assert "of the other project" not in log(project)


def test_a_user_who_wants_to_see_it_sees_it(project):
    done = run(project, "--capture=sys", TF_CPP_MIN_LOG_LEVEL="0")
    assert done.stderr.count(NATIVE) == 5


def test_an_item_that_fails_shows_it(project):
    done = run(project, FAILS="2")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert done.stdout.count(NATIVE) == 1


@pytest.mark.parametrize("capture", ["fd", "sys"])
def test_a_native_abort_shows_its_last_lines_and_leaves_them_in_the_log(project, capture):
    done = run(project, f"--capture={capture}", ABORTS="3")
    assert done.returncode == -6
    for text in (done.stderr, log(project)):
        assert "Check failed: rank == 2" in text


def test_a_log_that_is_the_output_of_the_process_itself_is_not_emptied(project):
    script = f"echo installed > {LOG}; exec {sys.executable} -m pytest -p no:cacheprovider --capture=sys >> {LOG} 2>&1"
    done = subprocess.run(["sh", "-c", script], cwd=project, timeout=60, check=False)
    assert done.returncode == 0
    assert log(project).startswith("installed\n")
    assert (log(project).count(NATIVE), log(project).count("::test_ours[")) == (5, 5)


def test_pytest_shows_the_dots_of_other_tests_and_none_of_ours(project):
    done = run(project)
    assert "test_other.py .\n" in re.sub(r" *\[ *\d+%\]", "", done.stdout)
    assert "test_ours.py" not in done.stdout
    assert "6 passed" in done.stdout
    assert not re.search(r"[\r\x1b]", done.stdout + done.stderr)


def test_ours_alone_show_neither_a_dot_nor_a_percentage(project):
    done = run(project, "-qq", "test_ours.py")
    assert (done.returncode, done.stdout.strip()) == (0, "")


def test_v_shows_every_item(project):
    done = run(project, "-v")
    assert done.stdout.count("PASSED") == 6


def test_the_counts_reach_the_plan(project):
    state = project / "state.json"
    run(project, FAILS="1", **{progress.WATCHED: str(state)})
    found = json.loads(state.read_text())
    assert (found["done"], found["planned"]) == (5, 5)
    assert "1 failed" in found["text"]


def test_in_a_terminal_one_line_is_redrawn_in_the_place_of_dots(project):
    read, write = pty.openpty()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-qq", "test_ours.py"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen(command, cwd=project, stdout=write, stderr=write, env=environment) as process:
        os.close(write)
        parts = []
        try:
            while part := os.read(read, 65536):
                parts.append(part)
        except OSError:  # Linux, when the other side is closed
            pass
    os.close(read)
    shown = b"".join(parts).decode()
    assert process.returncode == 0
    lines = [re.sub(r"\x1b\[\??[\d;]*\w", "", line) for line in re.split(r"[\r\n]+", shown)]
    assert any("0 of 5" in line for line in lines)
    assert all(len(line) <= 80 and set(line.strip()) != {"."} for line in lines)
    assert NATIVE not in shown
