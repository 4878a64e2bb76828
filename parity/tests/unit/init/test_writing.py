"""The files that `parity init` writes: complete, of the library that was found, and never in place of others."""

import ast
import configparser
from itertools import pairwise

import pytest

from parity import records
from parity.cli import main as cli
from parity.compat import known_issues
from parity.core.errors import NotComparableError, UsageError
from parity.init import pairs, writing
from parity.init.finding import EQUINOX, FUNCTIONS, HAIKU, LINEN, NNX, Found
from parity.matrix import distribution, resolving
from parity.matrix.project import read
from parity.records import ERROR, Stopped
from parity.upgrade.pairs import Pair

yaml = pytest.importorskip("yaml")
OLD, NEW = Pair("0.9.2", "2.20.0"), Pair("0.12.0.1", "2.21.0")
CELLS = ["py312-jax0.9.2-tf2.20.0", "py312-jax0.12.0.1-tf2.21.0", "latest"]


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A parity that was installed from a wheel on this machine."""
    path = tmp_path / "parity-0.1.0-py3-none-any.whl"
    path.write_bytes(b"a wheel")
    monkeypatch.setattr(distribution, "portable", lambda folder: ("", path))
    return path


@pytest.fixture
def project(tmp_path, wheel):
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def begin(project, **options):
    return list(writing.begin(project, OLD, NEW, "3.12", **options))


WRITTEN = {
    "tox.ini", "known_issues.toml", "baselines/README.md", ".github/workflows/parity.yml", "parity_case.py",
    "wheels/parity-0.1.0-py3-none-any.whl",
}  # fmt: skip


def test_it_writes_every_file_and_says_what_to_do_next(project):
    lines = begin(project)
    assert files(project) == WRITTEN
    assert {line.removeprefix("wrote ") for line in lines if line.startswith("wrote ")} == WRITTEN
    steps = "\n".join(lines)
    order = [steps.index(step) for step in ("\n  tox\n", "parity baseline accept", "parity upgrade --case parity_case")]
    assert all(first < second for first, second in pairwise(order))


def test_the_tox_file_runs_the_pairs_and_latest_with_the_case_and_the_issues(project):
    begin(project)
    settings = configparser.RawConfigParser()
    settings.read(project / "tox.ini")
    assert settings["tox"]["env_list"].split() == CELLS
    assert settings["testenv"]["deps"] == ("{tox_root}{/}wheels{/}parity-0.1.0-py3-none-any.whl[report,test,cell]")
    command = settings["testenv"]["commands"].split()
    assert command[:3] == ["parity", "cell", "{env_name}"]
    assert {"--case=parity_case.py:case", "--known-issues=known_issues.toml", "--project"} <= set(command)
    assert command[-1] == "{posargs}"
    top = cli.parser("cell")
    arguments, further = top.parse_known_args([part.replace("{env_name}", CELLS[0]) for part in command[1:-1]])
    assert (arguments.name, further) == (CELLS[0], ["--case=parity_case.py:case", "--known-issues=known_issues.toml"])


def test_the_workflow_runs_each_cell_and_gates_it_against_the_pair_in_use(project):
    begin(project)
    workflow = yaml.safe_load((project / ".github/workflows/parity.yml").read_text())
    job = workflow["jobs"]["parity"]
    assert job["strategy"]["matrix"]["cell"] == CELLS
    assert job["env"]["BASELINE"] == f"baselines/{CELLS[0]}.json"
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs[0].endswith('"wheels/parity-0.1.0-py3-none-any.whl"')
    assert [run.split()[:2] for run in runs[1:]] == [["tox", "run"], ["parity", "gate"]]
    assert job["steps"][1]["with"]["python-version"].split() == ["3.12"]


def test_in_a_folder_of_a_repository_the_workflow_is_where_github_looks_and_runs_in_the_folder(tmp_path, wheel):
    folder = tmp_path / "of many" / "models" / "mine"
    folder.mkdir(parents=True)
    (tmp_path / "of many" / ".git").mkdir()
    lines = begin(folder)
    assert "wrote ../../.github/workflows/parity-models-mine.yml" in lines
    workflow = yaml.safe_load((tmp_path / "of many/.github/workflows/parity-models-mine.yml").read_text())
    job = workflow["jobs"]["parity"]
    assert job["defaults"]["run"]["working-directory"] == "models/mine"
    gate, upload = job["steps"][-2:]
    assert f"hashFiles('models/mine/baselines/{CELLS[0]}.json')" in gate["if"]
    assert upload["with"]["path"] == "models/mine/reports/${{ matrix.cell }}"
    assert files(folder) == WRITTEN - {".github/workflows/parity.yml"}
    with pytest.raises(UsageError, match=r"parity-models-mine\.yml"):
        begin(folder)


def test_in_the_root_of_a_repository_the_workflow_has_no_folder(project):
    (project / ".git").write_text("gitdir: elsewhere")
    assert "wrote .github/workflows/parity.yml" in begin(project)
    text = (project / ".github/workflows/parity.yml").read_text()
    assert "working-directory" not in text
    assert "path: reports/" in text


def test_the_known_issues_are_a_file_that_a_run_takes(project):
    begin(project)
    assert known_issues.load(project / "known_issues.toml") == known_issues.load()


@pytest.mark.parametrize("library", [LINEN, NNX, EQUINOX, HAIKU, FUNCTIONS])
def test_a_case_is_of_the_library_that_was_found(library):
    text = writing.skeleton(Found(library, (), ("Mine in model.py",)))
    tree = ast.parse(text)
    maker = "Case" if library == FUNCTIONS else f"from_{library}"
    assigned = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}
    assert assigned["case"].func.id == maker
    assert "Mine in model.py" in ast.get_docstring(tree)
    assert "$" not in text


def test_a_project_with_cases_gets_no_other(project):
    (project / "my model.py").write_text("import parity\ncase = parity.Case()\nother = parity.Case()\n")
    begin(project)
    assert not (project / "parity_case.py").exists()
    assert "--case='my model.py:case' --case='my model.py:other'" in (project / "tox.ini").read_text()


@pytest.mark.parametrize("name", ["tox.ini", "known_issues.toml", ".github/workflows/parity.yml", "parity_case.py"])
def test_where_a_file_exists_nothing_is_written(project, name):
    (project / name).parent.mkdir(parents=True, exist_ok=True)
    (project / name).write_text("mine")
    with pytest.raises(UsageError, match=rf"{name} exists") as raised:
        begin(project)
    assert ("--tox" in str(raised.value)) == (name == "tox.ini")
    assert (files(project), (project / name).read_text()) == ({name}, "mine")


def test_beside_a_tox_file_of_the_project_there_is_another_name(project):
    (project / "tox.ini").write_text("mine")
    lines = begin(project, tox="parity.ini")
    assert files(project) == WRITTEN | {"parity.ini"}
    assert "  tox -c parity.ini" in lines
    assert "tox run -c parity.ini -e" in (project / ".github/workflows/parity.yml").read_text()


def test_one_pair_is_listed_once(project):
    list(writing.begin(project, NEW, NEW, "3.12"))
    settings = configparser.RawConfigParser()
    settings.read(project / "tox.ini")
    assert settings["tox"]["env_list"].split() == CELLS[1:]


def test_the_pair_in_use_is_pinned_or_locked(project):
    (project / "requirements.txt").write_text("jax[cuda12]==0.9.2\ntensorflow-cpu==2.20.0\nflax==0.10.*\n")
    assert pairs.in_use(read(project)) == OLD
    (project / "requirements.txt").write_text("numpy\n")
    lock = '[[package]]\nname = "jax"\nversion = "0.9.2"\n[[package]]\nname = "tensorflow"\nversion = "2.20.0"\n'
    (project / "uv.lock").write_text(lock)
    assert pairs.in_use(read(project)) == OLD


@pytest.mark.parametrize(
    "stopped", [Stopped(ERROR, "resolver", "numpy<1"), Stopped(records.MISSING, "unknown", "down")]
)
def test_requirements_that_cannot_be_resolved_and_an_index_that_is_down_end_it(project, monkeypatch, stopped):
    monkeypatch.setattr(pairs.installation, "refusal", lambda code, log: stopped)
    monkeypatch.setattr(resolving, "explained", lambda found, *of: found)
    done = pairs.resolving.processes.subprocess.CompletedProcess([], 1, "", "")
    monkeypatch.setattr(pairs.resolving.processes, "run", lambda *of, **named: done)
    with pytest.raises(NotComparableError, match=rf"{stopped.evidence}.*--from") as raised:
        list(writing.begin(project))
    assert raised.value.exit_code == 3
    assert files(project) == set()


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is no folder"):
        list(writing.begin(tmp_path / "absent"))
