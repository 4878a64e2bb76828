"""`parity doctor` reports a broken case as a run does, in place of a prediction about the pair."""

import pytest

from parity.tests.support import samples

CASES = """
import dataclasses
from parity.tests.support import tiny

def init(key):
    raise ValueError("no file with weights")

broken = dataclasses.replace(tiny.tiny, name="broken", init=init)

def sized(state, data):
    output = tiny.predict(state, data)
    return output if data.shape[0] > 5 else output + 0

fixed_size = dataclasses.replace(tiny.tiny, name="fixed_size", predict=sized)
"""


@pytest.fixture
def folder(tmp_path, frameworks):
    (tmp_path / "planted.py").write_text(CASES, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("case", "cause"),
    [
        ("planted.py:broken", "no file with weights"),
        ("planted.py:fixed_size", "'fixed_size' cannot be exported: InconclusiveDimensionOperation"),
        ("planted.py:absent", "'absent' is not in it"),
        ("absent.py:case", "absent.py"),
    ],
)
def test_a_broken_case_is_a_usage_error_with_its_cause(folder, case, cause):
    done = samples.inside("doctor", "--case", case, cwd=folder)
    assert done.returncode == 2, done.stdout + done.stderr
    assert cause in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
