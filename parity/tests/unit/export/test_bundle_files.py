"""A bundle comes back as it was written, or is refused with the file that was not; half a bundle is never left."""

import json
import math
import shutil

import ml_dtypes
import numpy as np
import pytest

from parity.core.errors import RecordError, StorageError, UsageError
from parity.export import bundles
from parity.scoring.rules import Budget
from parity.tests.support import samples
from parity.tests.support.bundle_files import (
    ANSWER,
    BATCHES,
    BUDGETS,
    NAMED,
    SOLE,
    VERSIONS,
    WRITER,
    assert_same,
    fill,
    write,
)


@pytest.fixture
def bundle(tmp_path):
    return write(tmp_path / "bundle")


@pytest.mark.parametrize("signature", [SOLE, NAMED], ids=["one array", "named arrays"])
def test_a_bundle_comes_back_as_it_was_written(tmp_path, signature):
    path = write(tmp_path / "new" / "folder" / "bundle", signature)
    opened = bundles.open_bundle(path)
    assert opened.signature == signature
    assert (opened.batch_sizes, opened.versions, opened.writer) == ((3,), VERSIONS, WRITER)
    assert opened.budgets == tuple(BUDGETS)
    assert opened.saved_model.joinpath("saved_model.pb").stat().st_size == 2560
    assert (opened.path / "inference").is_dir()
    assert [p.name for p in path.parent.iterdir()] == ["bundle"]


def test_an_opened_bundle_returns_the_inputs_it_was_written_with(tmp_path, bundle):
    batch = bundles.open_bundle(bundle).batch(3)
    assert_same({"data": batch.data, "labels": batch.labels}, {n: vars(BATCHES["tiny"])[n] for n in ("data", "labels")})
    batch = bundles.open_bundle(write(tmp_path / "named", NAMED)).batch(3)
    assert_same(batch.data, BATCHES["named"].data)
    assert_same(batch.labels, BATCHES["named"].labels)


@pytest.mark.parametrize("side", ["answers", "oracle"])
def test_answers_come_back_bit_by_bit(bundle, side):
    assert_same(bundles.open_bundle(bundle).answer(side, "predict", 3), ANSWER)


def test_budgets_come_back_by_leaf(bundle):
    opened = bundles.open_bundle(bundle)
    assert opened.budget("predict", 3) == {"output": Budget(1e-7, math.inf, "measured, “quoted”")}
    assert opened.budget("predict", 4) == {}


def test_a_bundle_can_be_moved_and_needs_no_framework(tmp_path):
    write(tmp_path / "written", NAMED).rename(tmp_path / "moved")
    code = (
        "import sys; from pathlib import Path; from parity.export.bundles import open_bundle\n"
        "batch = open_bundle(Path(sys.argv[1])).batch(3)\n"
        "print(batch.data['item'].dtype, {'jax', 'tensorflow'} & {*sys.modules})"
    )
    assert samples.python("-c", code, tmp_path / "moved").stdout == "bfloat16 set()\n"


def test_an_answer_that_was_not_stored_is_a_record_error(bundle):
    with pytest.raises(RecordError, match=r"rng-b3\.npz"):
        bundles.open_bundle(bundle).answer("answers", "rng", 3)


FILES = [
    "saved_model/saved_model.pb",
    "inference/variables/variables.index",
    "inputs/b3.npz",
    "answers/predict-b3.npz",
    "budgets.json",
]


def assert_damaged(path, message):
    with pytest.raises(RecordError, match=message) as raised:
        bundles.open_bundle(path)
    assert raised.value.exit_code == 4


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    assert_damaged(bundle, f"{name} is missing")


@pytest.mark.parametrize("name", [n for n in FILES if "variables" not in n])
def test_a_truncated_file_is_named(bundle, name):
    whole = (bundle / name).read_bytes()
    (bundle / name).write_bytes(whole[:-1])
    assert_damaged(bundle, f"{name} has {len(whole) - 1} bytes, the manifest says {len(whole)}")


@pytest.mark.parametrize("name", [n for n in FILES if "variables" not in n])
def test_an_altered_file_of_the_same_size_is_named(bundle, name):
    data = bytearray((bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / name).write_bytes(data)
    assert_damaged(bundle, f"{name} was altered")


def test_a_manifest_cut_off_anywhere_is_named(bundle):
    manifest = bundle / "manifest.json"
    whole = manifest.read_bytes()
    for cut in [*range(0, len(whole) - 2, 97), len(whole) - 2]:
        manifest.write_bytes(whole[:cut])
        assert_damaged(bundle, "manifest.json is damaged")


DAMAGE = {
    "no files": lambda m: m.pop("files"),
    "files of another type": lambda m: m.update(files=["a"]),
    "no fingerprint": lambda m: m["files"].update({"budgets.json": {}}),
    "no signature": lambda m: m.pop("signature"),
    "no schema": lambda m: m.pop("schema"),
    "no batch sizes": lambda m: m.update(batch_sizes=None),
    "empty batch sizes": lambda m: m.update(batch_sizes=[]),
    "versions that are none": lambda m: m.update(versions=["jax"]),
    "no probes": lambda m: m["signature"].update(probes=[]),
    "no limit": lambda m: m["signature"].update(limit="nan"),
    "an infinite limit": lambda m: m["signature"].update(limit="inf"),
    "budgets of another kind": lambda m: m["signature"].update(budgets_of="taste"),
    "a limit of nothing": lambda m: m["signature"].update(limit=0),
    "a shape without batch size": lambda m: m["signature"]["data"].update(shape=[2]),
    "an unknown dtype": lambda m: m["signature"]["data"].update(dtype="float31"),
    "a state leaf of another kind": lambda m: m["signature"].update(state=[{"name": "kernel"}]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_manifest_is_named(bundle, damage):
    manifest = json.loads((bundle / "manifest.json").read_text())
    DAMAGE[damage](manifest)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert_damaged(bundle, "manifest.json is damaged")


@pytest.mark.parametrize("manifest", ["[]", "null", '"text"', "3", "[" * 100_000])
def test_a_manifest_of_another_kind_is_named(bundle, manifest):
    (bundle / "manifest.json").write_text(manifest)
    assert_damaged(bundle, "manifest.json is damaged")


def test_a_newer_bundle_is_refused(bundle):
    (bundle / "manifest.json").write_text(json.dumps({"schema": bundles.SCHEMA + 1, "all": "different"}))
    assert_damaged(bundle, r"bundle has bundle schema 2; this parity reads up to 1\. Upgrade parity")


def test_a_folder_without_manifest_is_no_bundle(tmp_path, bundle):
    (bundle / "manifest.json").unlink()
    assert_damaged(bundle, "is not a bundle: .*manifest.json")
    assert_damaged(tmp_path / "nowhere", "is not a bundle: .*nowhere/manifest.json")
    file = tmp_path / "file"
    file.write_text("")
    assert_damaged(file, "is not a bundle: .*file/manifest.json")


def test_arrays_damaged_after_the_bundle_was_opened_are_named(bundle):
    opened = bundles.open_bundle(bundle)
    path = bundle / "answers" / "predict-b3.npz"
    whole = path.read_bytes()
    damaged = [whole[:cut] for cut in range(0, len(whole), 61)]
    damaged += [whole[:i] + bytes([whole[i] ^ 255]) + whole[i + 1 :] for i in range(0, len(whole), 7)]
    text = []
    for data in damaged:
        path.write_bytes(data)
        try:
            opened.answer("answers", "predict", 3)
        except RecordError as error:
            text.append(str(error))
    assert len(text) > len(damaged) // 2
    assert all("predict-b3.npz" in message for message in text)


def test_arrays_keep_their_order_and_dtype(tmp_path):
    narrow = np.arange(3).astype(ml_dtypes.bfloat16)
    stored = {"000": np.zeros(2, np.float32), "001": narrow, "002": np.ones(1, np.uint32)}
    bundles.save_arrays(tmp_path / "kept.npz", stored)
    found = bundles.load_arrays(tmp_path / "kept.npz")
    assert [(name, array.dtype.name) for name, array in found.items()] == [
        ("000", "float32"), ("001", "bfloat16"), ("002", "uint32"),
    ]  # fmt: skip
    np.testing.assert_array_equal(found["001"], narrow)


def test_no_pickle_is_read(bundle):
    path = bundle / "answers" / "predict-b3.npz"
    np.savez(path, output=np.array([{}], dtype=object))
    with pytest.raises(RecordError, match="allow_pickle=False"):
        bundles.load_arrays(path)


@pytest.mark.parametrize("taken", ["a folder", "a file", "a bundle"])
def test_a_path_that_is_taken_is_refused_before_any_work(tmp_path, taken):
    path = tmp_path / "taken"
    {"a folder": path.mkdir, "a file": path.touch, "a bundle": lambda: write(path)}[taken]()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=r"taken exists\. Expected a new folder"):
        write(path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_nothing(tmp_path, interruption):
    def interrupted():
        with bundles.create(tmp_path / "bundle", SOLE, (3,), VERSIONS, WRITER) as folder:
            fill(folder, SOLE)
            assert list(tmp_path.iterdir()) == [folder]
            raise interruption

    with pytest.raises(interruption):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_parent_that_is_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot write the bundle .*file/bundle"):
        write(tmp_path / "file" / "bundle")


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from parity.export import bundles
from parity.core.errors import StorageError
from parity.tests.support.bundle_files import SOLE, fill

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    with bundles.create(Path(sys.argv[1]), SOLE, (3,), {}, {"why": "x" * int(sys.argv[3])}) as folder:
        fill(folder, SOLE)
        bundles.save_answer(folder, "answers", "eval_loss", 3, {"gradient": np.zeros(int(sys.argv[4]))})
except StorageError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("limit", "manifest", "answer"),
    [(1_000, 0, 0), (20_000, 0, 10_000), (20_000, 30_000, 0)],
    ids=["the model", "an answer", "the manifest"],
)
def test_a_full_disk_leaves_nothing(tmp_path, limit, manifest, answer):
    path = tmp_path / "bundle"
    done = samples.python("-c", FULL, path, limit, manifest, answer)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("cannot write ")
    assert str(path) in done.stdout or "manifest.json" in done.stdout
    assert "File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_room_enough_leaves_the_bundle(tmp_path):
    done = samples.python("-c", FULL, tmp_path / "bundle", 200_000, 30_000, 10_000)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert bundles.open_bundle(tmp_path / "bundle").answer("answers", "eval_loss", 3)["gradient"].size == 10_000


def test_a_copy_opens_and_so_does_one_with_a_further_file(tmp_path, bundle):
    copied = shutil.copytree(bundle, tmp_path / "copy")
    (copied / "README").touch()
    assert bundles.open_bundle(copied).signature == SOLE
