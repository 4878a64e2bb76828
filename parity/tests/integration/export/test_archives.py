"""A bundle in one file comes back as it was, or is refused; and what has been archived is neither replaced nor lost."""

import dataclasses
import io
import os
import re
import tarfile
import tempfile

import pytest

from parity.core import storage
from parity.core.errors import RecordError, UsageError
from parity.export import archives, bundles
from parity.scoring import rules
from parity.session import verification
from parity.tests.support import samples
from parity.tests.support.bundle_files import ANSWER, BUDGETS, SOLE, assert_same, write
from parity.tests.support.paths import ROOT

pytestmark = pytest.mark.slow

NAME = "jax0.9.2.tar.xz"


@pytest.fixture
def packed(tmp_path):
    return write(tmp_path / NAME)


@pytest.fixture
def room(tmp_path, monkeypatch):
    """Where files are unpacked."""
    folder = tmp_path / "room"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def repack(path, change):
    """Pack the files of `path` again, each as `change` has it."""
    with archives.unpacked(path) as folder:
        for file in [p for p in folder.rglob("*") if p.is_file()]:
            change(file)
        path.unlink()
        archives.pack(folder, path)


def open_and_close(path):
    with bundles.opening(path):
        pass


# Bundles in one file


def test_a_bundle_in_one_file_comes_back_as_it_was_written_and_leaves_no_copy(packed, room):
    with bundles.opening(packed) as opened:
        assert (opened.signature, opened.budgets) == (SOLE, tuple(BUDGETS))
        assert_same(opened.answer("oracle", "predict", 3), ANSWER)
        assert opened.saved_model.joinpath("saved_model.pb").stat().st_size == 2560
    assert {p.name for p in packed.parent.iterdir()} == {NAME, "room"}
    assert list(room.iterdir()) == []
    assert packed.stat().st_mode & 0o777 == 0o644


def test_a_bundle_in_a_folder_is_opened_where_it_is(tmp_path):
    path = write(tmp_path / "bundle")
    with bundles.opening(path) as opened:
        assert opened.path == path


def test_equal_files_are_packed_to_equal_bytes(tmp_path, packed):
    before = packed.read_bytes()
    repack(packed, lambda file: (os.utime(file, (1, 1)), file.chmod(0o600)))
    assert packed.read_bytes() == before


def test_a_bundle_is_never_written_over(packed):
    before = packed.read_bytes()
    with pytest.raises(UsageError, match=r"jax0\.9\.2\.tar\.xz exists\. Expected a new file"):
        write(packed)
    assert packed.read_bytes() == before


def test_not_even_one_that_came_while_it_was_made(tmp_path):
    path = tmp_path / NAME
    with (
        pytest.raises(UsageError, match="exists"),
        bundles.create(path, SOLE, (3,), {}, {}),
    ):
        path.write_text("another's")
    assert [(p, p.read_text()) for p in tmp_path.iterdir()] == [(path, "another's")]


def test_a_file_cut_off_or_altered_anywhere_is_refused_by_its_name(packed, room):
    whole = packed.read_bytes()
    damaged = [whole[:cut] for cut in (*range(0, len(whole), 97), *range(len(whole) - 40, len(whole)))]
    damaged += [whole[:i] + bytes([whole[i] ^ 255]) + whole[i + 1 :] for i in range(0, len(whole), 41)]
    for data in damaged:
        packed.write_bytes(data)
        with pytest.raises(RecordError, match=rf"{NAME} is (no bundle in one file, or damaged|not a bundle)"):
            open_and_close(packed)
    assert list(room.iterdir()) == []


def test_a_file_in_it_that_is_not_the_manifests_is_named_with_the_archive(packed):
    repack(packed, lambda file: file.write_bytes(b"x" * 2560) if file.name == "saved_model.pb" else None)
    with pytest.raises(RecordError, match=rf"{NAME}: inference/saved_model.pb was altered"):
        open_and_close(packed)


@pytest.mark.parametrize(
    "kind", ["../evil", "/evil", "a/../../evil", "..\\evil", "link", "hard link", "fifo", "folder"]
)
def test_what_would_write_elsewhere_is_refused_before_anything_is_written(tmp_path, room, kind):
    path = tmp_path / NAME
    types = {"link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "fifo": tarfile.FIFOTYPE, "folder": tarfile.DIRTYPE}
    with tarfile.open(path, "w:xz") as tar:
        entry = tarfile.TarInfo(kind)
        entry.type, entry.linkname = types.get(kind, tarfile.REGTYPE), "/etc/passwd"
        tar.addfile(tarfile.TarInfo("manifest.json"))
        tar.addfile(entry, io.BytesIO())
    with pytest.raises(RecordError, match=r"Expected files with relative names"):
        open_and_close(path)
    assert {p.name for p in tmp_path.rglob("*")} == {NAME, "room"}


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from parity.export import bundles
from parity.core.errors import StorageError
from parity.tests.support.bundle_files import SOLE, fill

noise = np.random.default_rng(0).normal(size=4_000)
path, limit = Path(sys.argv[1]), int(sys.argv[2])
try:
    if path.exists():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with bundles.opening(path):
            pass
    with bundles.create(path, SOLE, (3,), {}, {}) as folder:
        fill(folder, SOLE)
        bundles.save_answer(folder, "answers", "eval_loss", 3, {"gradient": noise})
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
except StorageError as error:
    print(error)
"""


def test_a_full_disk_leaves_nothing(tmp_path, room):
    path = tmp_path / NAME
    environment = {**os.environ, "TMPDIR": str(room)}
    done = samples.python("-c", FULL, path, 20_000, env=environment)
    assert (done.stderr, done.stdout.startswith("cannot write ")) == ("", True)
    assert {p.name for p in tmp_path.rglob("*")} == {"room"}
    assert samples.python("-c", FULL, path, 0).stderr == ""
    done = samples.python("-c", FULL, path, 20_000, env=environment)
    assert (done.stderr, done.stdout.startswith(f"cannot unpack {path}: File too large")) == ("", True)
    assert {p.name for p in tmp_path.rglob("*")} == {"room", NAME}


# Archives


@pytest.fixture
def archive(packed):
    archives.enlist(packed)
    return packed.parent


def test_an_archive_lists_what_is_in_it_as_sha256sum_does(archive):
    digest = storage.sha256(archive / NAME)
    assert (archive / "SHA256SUMS").read_text() == f"{digest}  {NAME}\n"
    assert archives.listed(archive) == {"0.9.2": digest}


def test_what_is_there_and_not_listed_is_not_left_out(archive):
    write(archive / "jax0.10.2.tar.xz")
    assert archives.listed(archive)["0.10.2"] is None
    (archive / NAME).unlink()
    assert set(archives.listed(archive)) == {"0.10.2", "0.9.2"}


DIGEST = "0" * 64


@pytest.mark.parametrize(
    "line",
    [
        "", DIGEST, f"{DIGEST}  ../jax0.1.0.tar.xz", f"{DIGEST} jax0.1.0.tar.xz", f"{DIGEST[1:]}  jax0.1.0.tar.xz",
        f"{DIGEST}  jax0.1.0", f"{DIGEST}  jaxnightly.tar.xz",
        f"{DIGEST}  jax0.9.x.tar.xz", f"{DIGEST}  {NAME}",
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_read_is_refused_by_its_line(archive, line):
    with (archive / "SHA256SUMS").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(RecordError, match=r"SHA256SUMS, line 2: .*Restore the file"):
        archives.listed(archive)


def test_a_file_that_is_named_by_no_release_is_refused(archive):
    (archive / "jax0.9.2 (1).tar.xz").touch()
    with pytest.raises(RecordError, match=r"jax0\.9\.2 \(1\)\.tar\.xz is named by no jax release"):
        archives.listed(archive)


def test_a_line_is_added_after_one_that_does_not_end(archive):
    sums = archive / "SHA256SUMS"
    sums.write_text(sums.read_text().rstrip())
    archives.enlist(write(archive / "jax0.10.2.tar.xz"))
    assert set(archives.listed(archive)) == {"0.9.2", "0.10.2"}


def test_a_bundle_is_verified_against_its_list_of_checksums(archive):
    archives.require_unaltered(archive / NAME)
    sums = archive / "SHA256SUMS"
    sums.write_text(f"{DIGEST}  {NAME}\n")
    with pytest.raises(RecordError, match="was altered"):
        verification.verify(archive / NAME)
    sums.unlink()
    archives.require_unaltered(archive / NAME)


def test_a_folder_without_a_list_is_no_archive(tmp_path):
    with pytest.raises(RecordError, match=r"is no archive: .*Expected a folder of bundles with SHA256SUMS"):
        archives.listed(tmp_path)


@pytest.mark.parametrize("left", ["both", "the file", "the line"])
def test_what_has_been_archived_is_not_replaced(archive, left):
    if left == "the file":
        (archive / "SHA256SUMS").unlink()
    if left == "the line":
        (archive / NAME).unlink()
    with pytest.raises(UsageError, match=r"jax0\.9\.2\.tar\.xz is archived, and archived bundles are immutable"):
        archives.require_new(archive / NAME)
    archives.require_new(archive / "jax0.9.3.tar.xz")
    archives.require_new(archive / "new" / NAME)


# The archive of this project

PROJECT = ROOT
OURS = PROJECT / "fixtures" / "bundles"


@pytest.mark.skipif(not OURS.is_dir(), reason="parity is installed without its project")
def test_every_jax_that_the_atlas_exports_is_archived_within_two_megabytes_and_says_no_path():
    archived = archives.listed(OURS)
    exported = re.findall(r"-jax\{([\d.,]+)\}-\{export,", (PROJECT / "tox.ini").read_text(encoding="utf-8"))
    assert sorted(archived) == sorted(",".join(exported).split(","))
    assert sum(p.stat().st_size for p in OURS.iterdir()) <= 2_000_000
    for jax, digest in archived.items():
        path = archives.path_of(OURS, jax)
        assert storage.sha256(path) == digest
        with bundles.opening(path) as bundle:
            assert (bundle.signature.case, bundle.versions["jax"], bundle.batch_sizes) == ("miniature", jax, (1, 13))
            assert bundle.readable_by == "tensorflow==2.16.2"
            assert len(bundle.signature.probes) == 8
            output = b"".join(p.read_bytes() for p in bundle.path.rglob("*") if p.is_file())
            assert not re.findall(rb"site-packages|/(?:tmp|home|root|Users)/", output)


@pytest.mark.skipif(not OURS.is_dir(), reason="parity is installed without its project")
def test_the_newest_of_them_is_read_here_and_its_record_says_what_it_is(tmp_path, frameworks, capfd):
    """In this process: `test_run` has a verification in its own."""
    from parity import records
    from parity.cli import main as cli

    newest = archives.path_of(OURS, "0.12.0.1")
    assert cli.main(["verify", str(newest), "--out", str(tmp_path / "out")]) == 0
    run = records.read(tmp_path / "out")
    assert (run.mode, run.in_order(), run.environment["versions"]["jax"]) == (records.ARCHIVE, True, "0.12.0.1")
    assert {check.runtime for check in run.checks} == {"saved_model"}
    assert {check.status for check in run.checks if check.status != records.PASS} <= {records.REMEDIED}
    # TensorFlow logs an error for each way in which the default export fails; these are expected.
    assert "failed to deserialize portable artifact" in (tmp_path / "out" / "log.txt").read_text()
    shown = capfd.readouterr()
    assert "failed to deserialize" not in shown.out + shown.err


def test_a_bundle_from_before_is_judged_by_the_limit_of_its_budgets_and_a_case_of_its_own_by_its_own():
    with bundles.opening(OURS / "jax0.9.2.tar.xz") as old:
        assert old.limit_of("predict") == bundles.LIMIT_OF_PERTURBED_INPUTS
        today = dataclasses.replace(old.signature, budgets_of=bundles.ROUNDING)
        assert dataclasses.replace(old, signature=today).limit_of("predict") == rules.LIMITS["predict"]
        own = dataclasses.replace(old.signature, limit=10.0, limit_reason="strict")
        assert dataclasses.replace(old, signature=own).limit_of("predict") == 10.0
