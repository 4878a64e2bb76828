"""The `parity` command in a process of its own: what it imports, what it says, and how it exits."""

import importlib
import json
import os
import pkgutil
import re
import signal
import subprocess
import sys
import typing

import pytest

from parity import cli as cli_package
from parity import records
from parity.cli import doctor, study
from parity.cli import main as cli
from parity.tests.support import samples
from parity.tests.support.bundle_files import write as write_bundle
from parity.tests.support.pages import HOSTILE, Page, assert_links_lead_somewhere, assert_self_contained, full_run
from parity.tests.support.samples import parity

COMMANDS = [name for names in cli.COMMANDS.values() for name in names]
NARROW = {**os.environ, "COLUMNS": "80"}
HEAVY = {"numpy", "jax", "tensorflow", "pytest", "rich", "jinja2", "vl_convert"}


def imported(done):
    """The top-level modules that a process under -X importtime imported."""
    lines = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {name.partition(".")[0] for name in lines}


@pytest.mark.parametrize("arguments", [(), *((name,) for name in COMMANDS)], ids=lambda a: a[0] if a else "parity")
def test_help_is_there_and_imports_nothing_heavy(arguments):
    done = samples.python("-X", "importtime", "-m", "parity", *arguments, "--help", env=NARROW)
    assert done.returncode == 0
    assert done.stdout.startswith(" ".join(["usage: parity", *arguments]))
    assert "argparse" in imported(done)
    assert not imported(done) & HEAVY
    assert len(max(done.stdout.splitlines(), key=len)) <= 80


def test_every_module_with_a_command_is_registered():
    modules = [module.name for module in pkgutil.iter_modules(cli_package.__path__)]
    found = {name for name in modules if hasattr(importlib.import_module(f"parity.cli.{name}"), "add")}
    assert found == set(COMMANDS)
    assert len(COMMANDS) <= 15


def test_help_names_every_command_and_exit_code():
    text = parity("--help", env=NARROW).stdout
    assert [
        found[1] for found in re.finditer(r"^  ([a-z]+)  ", text.partition("options:")[0], re.MULTILINE)
    ] == COMMANDS
    for code in (0, 1, 2, 3, 4, 70, 130):
        assert re.search(rf"^  {code} ", text.partition("exit codes:")[2], re.MULTILINE)


@pytest.mark.parametrize("name", study.STUDIES)
def test_help_of_a_study_is_80_columns_wide_and_imports_no_framework(name):
    done = samples.python("-X", "importtime", "-m", "parity", "study", name, "--help", env=NARROW)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: parity study {name}")
    assert not imported(done) & {"jax", "tensorflow", "pytest"}
    assert len(max(done.stdout.splitlines(), key=len)) <= 80


def test_no_other_command_imports_the_studies():
    code = "import sys; from parity.cli import main; main.parser(); print([m for m in sys.modules if 'studies' in m])"
    assert samples.python("-c", code).stdout == "[]\n"


def test_the_version_option_prints_the_version():
    assert parity("--version").stdout == "parity 0.1.0\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("guess",),
        ("report",),
        ("export",),
        ("run",),
        ("doctor", "--loud"),
        ("report", "run.json", "--loud"),
        ("study",),
        ("study", "guess"),
        ("study", "handover"),
        ("study", "faults", "--loud"),
        ("study", "false-alarms"),
    ],
    ids=" ".join,
)
def test_unknown_or_missing_arguments_exit_2(arguments):
    done = parity(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: parity" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def record(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(records.dumps(full_run()), encoding="utf-8")
    return path


def test_a_report_is_one_file_that_asks_for_nothing(tmp_path, record):
    out = tmp_path / "pages" / "report.html"
    out.parent.mkdir()
    done = parity("report", record, "--out", out)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"Report: {out}\n", "")
    assert list(out.parent.iterdir()) == [out]
    page = assert_self_contained(out.read_text(encoding="utf-8"))
    assert {"html", "title", "table", "svg"} <= page.tags
    assert records.read(record).verdict() in page.text


def test_a_report_stands_beside_its_first_run(tmp_path, record):
    assert parity("report", tmp_path, record).returncode == 0
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert html.count("<article>") == 2
    assert_links_lead_somewhere(html)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["index.html", "run.json"]


def test_a_report_shows_every_status_and_what_went_wrong(record):
    parity("report", record)
    html = record.with_name("index.html").read_text(encoding="utf-8")
    text = Page(html).text
    for status in records.STATUSES:
        assert re.search(rf"\S {status}\b", text)
    assert "[1, 2]: plain 1, JAX nan, oracle 3" in text
    assert_links_lead_somewhere(html)


def test_a_hostile_record_renders_inert(tmp_path):
    (tmp_path / "run.json").write_text(records.dumps(full_run(HOSTILE)), encoding="utf-8")
    assert parity("report", tmp_path).returncode == 0
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    page = assert_self_contained(html)
    assert page.text.count("<script>alert(1)</script>") == page.text.count("{{ 7 * 7 }}") > 20


def test_every_string_of_a_record_is_in_the_hostile_one():
    run = full_run(HOSTILE)
    for name, cls in records.EVENTS.values():
        hints = typing.get_type_hints(cls)
        strings = [n for n, hint in hints.items() if hint is str or str in typing.get_args(hint)]
        for field in strings:
            assert any(HOSTILE in getattr(row, field) for row in getattr(run, name)), (name, field)


def assert_exits(code, done, *output):
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("parity: ")
    assert len(done.stderr.splitlines()) == 1
    for words in output:
        assert words in done.stderr


def test_a_report_on_no_record_exits_4(tmp_path):
    assert_exits(4, parity("report", tmp_path / "nowhere.json"), "nowhere.json", "parity run")
    assert_exits(4, parity("report", tmp_path), str(tmp_path / "run.json"))
    assert list(tmp_path.iterdir()) == []


def test_a_report_on_a_record_cut_off_exits_4(record):
    text = record.read_text(encoding="utf-8")
    record.write_text(text[: len(text) // 2], encoding="utf-8")
    assert_exits(4, parity("report", record), str(record), "cut off")


def test_a_report_on_a_newer_record_exits_4(record):
    newer = {**json.loads(record.read_text(encoding="utf-8")), "schema": records.SCHEMA + 1}
    record.write_text(json.dumps(newer), encoding="utf-8")
    assert_exits(4, parity("report", record), str(record), "schema 3", "Upgrade parity")


def test_one_unreadable_record_of_two_writes_no_page(tmp_path, record):
    assert_exits(4, parity("report", record, tmp_path / "nowhere.json"), "nowhere.json")
    assert list(tmp_path.iterdir()) == [record]


def test_a_report_to_a_folder_exits_2(tmp_path, record):
    assert_exits(2, parity("report", record, "--out", tmp_path), f"{tmp_path} is a folder", "index.html")


def test_a_report_makes_the_folder_it_is_written_to(tmp_path, record):
    assert parity("report", record, "--out", tmp_path / "new" / "page.html").returncode == 0
    assert (tmp_path / "new" / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("command", ["run", "verify"])
def test_an_out_that_is_a_file_exits_2(tmp_path, command):
    file = tmp_path / "file"
    file.write_text("kept")
    bundle = [write_bundle(tmp_path / "bundle")] if command == "verify" else []
    done = parity(command, *bundle, "--out", file)
    assert done.returncode == 2
    assert f"{file} is a file; --out expects a folder. Name another, or remove it." in done.stderr
    assert "Traceback" not in done.stderr
    assert file.read_text() == "kept"


def test_verify_on_a_damaged_bundle_exits_4_before_any_framework_starts(tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    path = bundle / "saved_model" / "saved_model.pb"
    path.write_bytes(path.read_bytes()[:-1])
    done = samples.python("-X", "importtime", "-m", "parity", "verify", bundle)
    assert done.returncode == 4
    assert "saved_model/saved_model.pb has 2559 bytes, the manifest says 2560" in done.stderr
    assert not imported(done) & {"jax", "tensorflow"}


def test_verify_on_what_is_no_bundle_exits_4(tmp_path):
    assert_exits(4, parity("verify", tmp_path), "is not a bundle", "parity export")


def test_export_onto_what_exists_exits_2_before_any_framework_starts(tmp_path):
    done = samples.python("-X", "importtime", "-m", "parity", "export", tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path} exists" in done.stderr
    assert not imported(done) & {"jax", "tensorflow"}


def test_an_internal_error_exits_70(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "main", lambda *_: 1 / 0)
    assert cli.main(["doctor"]) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_an_interruption_exits_130(tmp_path):
    pipe = tmp_path / "run.json"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "parity", "show", str(pipe)]
    # The pipe opens as soon as the command reads it, and the command then waits for a record.
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, pipe.open("w"):
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, "parity: interrupted\n")


def test_a_reader_that_goes_away_gets_no_traceback():
    read, write = os.pipe()
    os.close(read)
    code = "import sys; from parity.cli import main as cli; sys.exit(cli.main(['doctor']))"
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, "Traceback" in done.stderr, "BrokenPipe" in done.stderr) == (141, False, False)
