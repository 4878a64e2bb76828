"""`parity matrix --here`: named cells on this machine, in environments of the parity that runs."""

import pytest

from parity import records
from parity.cli import main as cli
from parity.matrix import settings, tox
from parity.records import FAIL, PASS
from parity.tests.support import samples

CELLS = ["py312-jax0.9.2-tf2.20.0", "latest"]


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """What is run in an empty project, whose cells leave a record with the status that is planted."""
    planted, asked = {}, []

    def run_cells(project, names, options, jobs, show, reports, settings):
        asked.append((names, options, settings))
        for name in names:
            if planted.get(name, PASS):
                check = samples.check(status=planted.get(name, PASS))
                records.seal(reports / name, samples.run(cell=name, checks=[check]))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tox, "run_cells", run_cells)
    return planted, asked


def test_the_cells_run_with_the_options_in_environments_of_this_parity(ran, tmp_path):
    _, asked = ran
    assert cli.main(["matrix", *CELLS, "--here", "--case=mine.py:case"]) == 0
    [(names, options, built)] = asked
    assert (names, options) == (CELLS, ["--case=mine.py:case"])
    assert built[:2] == ["-c", str(tmp_path / settings.WORK / "tox.ini")]
    text = (tmp_path / settings.WORK / "tox.ini").read_text()
    assert "deps = parity[report,test,cell] @ file://" in text
    assert "--project {tox_root}" in text


@pytest.mark.parametrize("status", [FAIL, None])
def test_a_cell_that_fails_or_leaves_no_record_fails(ran, status):
    ran[0][CELLS[1]] = status
    assert cli.main(["matrix", *CELLS, "--here"]) == 1


@pytest.mark.parametrize("names", [[], ["nonsense"]])
def test_without_cells_it_is_a_wrong_use(ran, names):
    assert cli.main(["matrix", *names, "--here"]) == 2
    assert ran[1] == []
