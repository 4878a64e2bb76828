"""The workflows: a linter finds nothing, and could; their jobs are the cells of tox, their test is the README's."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from parity.cli import main as cli
from parity.core.errors import UsageError
from parity.init import writing
from parity.init.finding import LINEN, Found
from parity.matrix import distribution
from parity.records.cells import Cell
from parity.tests.support.paths import ROOT

GITHUB = ROOT / ".github"
BIN = Path(sys.executable).parent
ROLES = ("exports", "pairs", "verifications")
MOST_JOBS = 256
DEFECTS = {
    "an unknown key": ("runs-on: ubuntu-latest", "run-on: ubuntu-latest", "'run-on' was unexpected"),
    "an input in a script": ('--label "$LABEL"', "--label ${{ inputs.label }}", "template-injection"),
    "more permissions than needed": ("contents: read", "contents: write", "excessive-permissions"),
    "credentials left in the checkout": ("persist-credentials: false", "fetch-depth: 1", "artipacked"),
    "somebody's action by a tag": ("actions/checkout@v5", "somebody/checkout@v5", "unpinned-uses"),
}


def lint(folder):
    program = BIN / "zizmor"
    assert program.is_file(), f"{program} is not there; install zizmor: pip install --group dev"
    command = [program, "--offline", "--no-progress", "--strict-collection", "--color=never", folder]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def workflow(name):
    return yaml.safe_load((GITHUB / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))


def test_the_linter_finds_nothing_in_the_workflows():
    done = lint(GITHUB)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("workflows/atlas.yml", "workflows/tests.yml", "actions/cell/action.yml", "actions/parity/action.yml"):
        assert re.search(rf"completed \S*{name}", done.stderr)


@pytest.mark.parametrize("defect", DEFECTS)
def test_the_linter_finds_a_planted_defect(tmp_path, defect):
    sound, unsound, output = DEFECTS[defect]
    copy = tmp_path / ".github"
    (copy / "workflows").mkdir(parents=True)
    (copy / "zizmor.yml").write_bytes((GITHUB / "zizmor.yml").read_bytes())
    text = (GITHUB / "workflows" / "atlas.yml").read_text(encoding="utf-8")
    assert sound in text
    (copy / "workflows" / "atlas.yml").write_text(text.replace(sound, unsound), encoding="utf-8")
    done = lint(copy)
    assert done.returncode != 0
    assert output in done.stdout + done.stderr


CELL = "py312-jax0.12.0.1-tf2.21.0"


@pytest.mark.parametrize("within", ["", "models/of 2"])
def test_the_linter_finds_nothing_in_the_workflow_that_init_writes(tmp_path, monkeypatch, within):
    monkeypatch.setattr(distribution, "portable", lambda folder: ("parity==0.1.0", None))
    (tmp_path / ".git").mkdir()
    files = writing.render(tmp_path / within, Found(LINEN), [CELL, "latest"])
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (tmp_path / ".github" / "zizmor.yml").write_bytes((GITHUB / "zizmor.yml").read_bytes())
    (folder / "parity.yml").write_bytes(files[writing.workflow(tmp_path / within)])
    done = lint(tmp_path / ".github")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("baseline", ["", "baselines/old.json"])
def test_the_shell_of_the_action_gives_parity_commands_that_it_takes(tmp_path, baseline):
    """Each script is run with programs that only note what they are asked; the run of the cell fails."""
    for program, code in (("pip", 0), ("parity", 1)):
        file = tmp_path / program
        file.write_text(f'#!/bin/sh\necho {program} "$@" >> noted\nexit {code}\n')
        file.chmod(0o755)
    inputs = {"cell": CELL, "case": "model.py:case", "options": "--level=quick --probe=rng", "baseline": baseline}
    action = yaml.safe_load((GITHUB / "actions" / "parity" / "action.yml").read_text(encoding="utf-8"))
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    known = {"PATH": path, "GITHUB_ACTION_PATH": "/action", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    codes = []
    for step in action["runs"]["steps"]:
        if "run" not in step or ("inputs.baseline" in step.get("if", "") and ("!= ''" in step["if"]) != bool(baseline)):
            continue
        names = {name: re.fullmatch(r"\$\{\{ inputs\.(\w+) \}\}", value)[1] for name, value in step["env"].items()}
        given = {name: inputs.get(key, "") for name, key in names.items()}
        script = ["bash", "-e", "-o", "pipefail", "-c", step["run"]]
        codes.append(subprocess.run(script, cwd=tmp_path, env={**known, **given}, check=False).returncode)
    install, *commands = [line.split() for line in (tmp_path / "noted").read_text().splitlines()]
    assert install[-1] == "/action/../../..[matrix,report,test]"
    parsed = [cli.parser(command[1]).parse_known_args(command[1:]) for command in commands]
    run, further = parsed[0]
    assert (run.cells, run.here, further) == ([CELL], True, ["--case=model.py:case", "--level=quick", "--probe=rng"])
    judged, unknown = parsed[1]
    assert (judged.command, unknown) == ("gate" if baseline else "report", [])
    assert codes == [0, 0 if baseline else 1, 1]


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """What the step `list` of the workflow puts out."""
    out = tmp_path_factory.mktemp("list") / "output"
    [step] = [step for step in workflow("atlas")["jobs"]["list"]["steps"] if step.get("id") == "list"]
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "LABEL": "atlas", "GITHUB_OUTPUT": str(out)}
    subprocess.run(["bash", "-e", "-c", step["run"]], cwd=ROOT, env=env, check=True, timeout=60)
    name, _, value = out.read_text().partition("=")
    assert name == "cells"
    return json.loads(value)


def test_the_jobs_are_the_cells_that_tox_lists(listed):
    command = [sys.executable, "-m", "tox", "list", "--no-desc", "-q", "-m", "atlas"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert len(names) > 50
    assert [name for name in names if is_cell(name)] == [name for name in names if name != "atlas"]
    assert sorted(name for role in ROLES for name in listed[role]) == sorted(name for name in names if name != "atlas")


def is_cell(name):
    try:
        return bool(Cell.parse(name))
    except UsageError:
        return False


def test_every_role_has_a_job_matrix_of_its_cells_that_github_takes(listed):
    assert tuple(listed) == ROLES
    jobs = workflow("atlas")["jobs"]
    for role in ROLES:
        assert jobs[role]["strategy"] == {
            "fail-fast": False,
            "matrix": {"cell": f"${{{{ fromJSON(needs.list.outputs.cells).{role} }}}}"},
        }
        assert 0 < len(listed[role]) <= MOST_JOBS
    assert set(jobs["atlas"]["needs"]) == {"list", *ROLES}


def test_every_python_of_the_cells_is_set_up_where_they_run_and_where_they_are_joined(listed):
    wanted = {Cell.parse(name).python for role in ROLES for name in listed[role]}
    action = yaml.safe_load((GITHUB / "actions" / "cell" / "action.yml").read_text(encoding="utf-8"))
    for steps in (action["runs"]["steps"], workflow("atlas")["jobs"]["atlas"]["steps"]):
        [versions] = [
            s["with"]["python-version"] for s in steps if s.get("uses", "").startswith("actions/setup-python")
        ]
        assert wanted <= set(versions.split())


def test_the_tests_are_run_by_the_command_of_the_readme():
    command = [step["run"] for step in workflow("tests")["jobs"]["tests"]["steps"] if "run" in step][-1]
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert command in readme
    assert command.endswith("tox run -qq -e tests")
