"""The contracts that pyproject.toml states about imports hold, and a planted breach of each is found and named."""

import re
import shutil
import subprocess
import sys

import pytest

from parity.tests.support.paths import PACKAGE, ROOT

LAYERS = "layers: imports point down"
ROW = "within a row: one direction"
PLAIN = "plain: no numpy, no framework"
JAX_SIDE = "JAX's side does not import TensorFlow"
TENSORFLOW_SIDE = "TensorFlow's side does not import JAX"
BREACHES = {
    "upwards": (LAYERS, "core/failures.py", "import parity.gate"),
    "sideways": (LAYERS, "cases/specs.py", "import parity.gate.policy"),
    "out of a sealed row": (LAYERS, "upgrade/pairs.py", "import parity.studies.handover"),
    "upwards within a row": (ROW, "session/selection.py", "import parity.suites.running"),
    "numpy in a plain room": (PLAIN, "core/failures.py", "import numpy"),
    "a framework in a plain room": (PLAIN, "gate/policy.py", "import jax"),
    "tensorflow on JAX's side": (JAX_SIDE, "cases/training.py", "import tensorflow"),
    "jax on TensorFlow's side": (TENSORFLOW_SIDE, "export/artifact.py", "import jax"),
}


def lint(folder):
    program = f"{sys.prefix}/bin/lint-imports"
    command = [program, "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def broken(done):
    return re.findall(r"^(.+) BROKEN", done.stdout, re.MULTILINE)


def copy(folder):
    """The package without its tests, and the contracts, in a folder of their own."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(PACKAGE, folder / "parity", ignore=shutil.ignore_patterns("__pycache__", "tests"))
    return folder / "parity"


def plant(package, file, statement):
    path = package / file
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{statement}\n", encoding="utf-8")


@pytest.fixture(scope="module")
def unsound(tmp_path_factory):
    """What the linter finds where all breaches are planted, and a room that has no layer."""
    package = copy(tmp_path_factory.mktemp("unsound"))
    for _, file, statement in BREACHES.values():
        plant(package, file, statement)
    (package / "attic").mkdir()
    (package / "attic" / "__init__.py").touch()
    return lint(package.parent)


def test_every_contract_is_kept(tmp_path):
    done = lint(copy(tmp_path).parent)
    assert (done.returncode, broken(done)) == (0, []), done.stdout + done.stderr


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_found_and_named(unsound, breach):
    contract, file, statement = BREACHES[breach]
    assert unsound.returncode == 1
    assert contract in broken(unsound)
    importer, imported = f"parity.{file[:-3].replace('/', '.')}", statement.removeprefix("import ")
    of_contract = " ".join(unsound.stdout.rpartition(f"\n{contract}\n---")[2].partition("\n---")[0].split())
    assert f"{importer} -> {imported}" in of_contract


def test_a_room_without_a_layer_is_found_and_named(unsound):
    assert "attic" in unsound.stdout


def test_numpy_by_way_of_another_module_is_found(tmp_path):
    package = copy(tmp_path)
    plant(package, "records/run.py", "import parity.cases.specs")
    done = lint(tmp_path)
    assert PLAIN in broken(done)
    assert "parity.records.run -> parity.cases.specs" in done.stdout


def test_every_contract_has_a_breach():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[tool.importlinter]")[2]
    assert {contract for contract, _, _ in BREACHES.values()} == set(re.findall(r'^name = "(.*)"$', text, re.MULTILINE))


def test_there_are_at_most_ten_rows_and_no_module_beside_the_rooms():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    rows = text.partition("layers = [")[2].partition("]")[0].strip().splitlines()
    assert len(rows) <= 10
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_every_room_says_what_it_is_for():
    rooms = [path.parent for path in PACKAGE.glob("*/__init__.py") if path.parent.name != "tests"]
    short = {
        room.name for room in rooms if len((room / "__init__.py").read_text(encoding="utf-8").split('"""')[1]) < 40
    }
    assert short == set()
