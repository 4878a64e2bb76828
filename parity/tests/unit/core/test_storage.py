"""A disk that is full, a write that is interrupted, and what lies in the way: nothing is lost, nothing half-written."""

import pytest

from parity import records
from parity.core import storage
from parity.core.errors import StorageError, UsageError
from parity.records import Recorder
from parity.tests.support import samples


def old(path):
    path.write_text("old", encoding="utf-8")
    return path


def test_a_full_disk_is_a_storage_error_and_memory_keeps_the_check(tmp_path):
    run = samples.run()
    recorder = Recorder(tmp_path, run)
    recorder._lines.close()
    recorder._lines = open("/dev/full", "w")  # noqa: PTH123, SIM115
    with pytest.raises(StorageError, match=r"cannot write .*run\.jsonl: No space left on device\. .*--out"):
        recorder.add(samples.check(leaf="first"))
    recorder.add(samples.check(leaf="second"))
    assert [c.leaf for c in run.checks] == ["first", "second"]
    assert [c.leaf for c in records.read(recorder.seal(records.ABORTED, {})).checks] == ["first", "second"]


def test_a_full_disk_at_the_start_is_a_storage_error(tmp_path):
    (tmp_path / "run.jsonl").symlink_to("/dev/full")
    with pytest.raises(StorageError, match=r"run\.jsonl: No space left on device"):
        Recorder(tmp_path, samples.run())


def test_an_old_record_that_is_a_link_is_replaced_not_followed(tmp_path):
    (tmp_path / "run.json").symlink_to("/dev/full")
    recorder = Recorder(tmp_path, samples.run())
    recorder.add(samples.check())
    recorder.seal(records.COMPLETE, {})
    assert records.read(tmp_path).checks == [samples.check()]


def test_an_old_record_that_cannot_be_removed_is_a_storage_error(tmp_path):
    (tmp_path / "run.json").mkdir()
    with pytest.raises(StorageError, match=r"Is a directory"):
        Recorder(tmp_path, samples.run())


LIMITED = """
import resource, sys
from pathlib import Path
from parity.core import failures, storage
from parity import records
from parity.core.errors import StorageError
from parity.tests.support import samples

resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
folder = Path(sys.argv[1])
try:
    {act}
except StorageError as error:
    print(error)
"""


def limited(folder, act):
    """What a process that may write 20,000 bytes a file prints, when its disk is full."""
    done = samples.python("-c", LIMITED.format(act=act), folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = old(tmp_path / "run.json")
    output = limited(tmp_path, 'storage.write_atomically(folder / "run.json", "new" * 10_000)')
    assert output.startswith(f"cannot write {path}: File too large. ")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_fills_during_a_run_leaves_the_checks_before(tmp_path):
    act = (
        "recorder = records.Recorder(folder, samples.run())\n"
        '    while True: recorder.add(samples.check(message="é" * 99))'
    )
    assert f"cannot write {tmp_path / 'run.jsonl'}" in limited(tmp_path, act)
    seen = records.read(tmp_path)
    assert len(seen.checks) > 10
    assert {c.message for c in seen.checks} == {"é" * 99}


def test_a_disk_that_is_full_at_the_seal_leaves_the_stream(tmp_path):
    act = (
        'recorder = records.Recorder(folder, samples.run())\n    recorder.add(samples.check(leaf="seen"))\n'
        '    recorder.run.cell = "x" * 30_000\n    recorder.seal(records.COMPLETE, {})'
    )
    assert f"cannot write {tmp_path / 'run.json'}" in limited(tmp_path, act)
    assert [p.name for p in tmp_path.iterdir()] == ["run.jsonl"]
    assert [c.leaf for c in records.read(tmp_path).checks] == ["seen"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    path = old(tmp_path / "run.json")
    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        storage.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_a_file_is_a_usage_error(tmp_path):
    file = old(tmp_path / "file")
    for folder in (file, file / "below"):
        with pytest.raises(UsageError, match="is a file; --out expects a folder") as raised:
            Recorder(folder, samples.run())
        assert raised.value.exit_code == 2
    assert file.read_text() == "old"
