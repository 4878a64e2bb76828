"""A bundle: an exported case in a folder, with what is needed to judge it where JAX is not installed.

It may also be one compressed file of the same files; see `parity.export.archives`.

    manifest.json            schema, case, versions, specs, state leaves, and every file's size and SHA-256
    saved_model/             the SavedModel with every function
    inference/               the SavedModel with `predict` alone
    remedied/                both once more, exported under a remedy, where one was requested
    inputs/b13.npz           the examples, by batch size; b13-t=8.npz those of further sizes
    answers/, oracle/        JAX's answers in float32 and float64: predict-b13.npz, ...
    budgets.json             the budget of every leaf, and its source

Arrays are stored as .npz without pickle.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from parity import records
from parity.cases.specs import BATCH, Answer, Array, Batch, Spec, Specs, by_name, dtype_of, like
from parity.core import storage
from parity.core.errors import InputError, RecordError, StorageError, UsageError
from parity.export import archives
from parity.records import BudgetRecord
from parity.scoring.rules import Budget, limit_of

SCHEMA = 1
REMEDIED = "remedied"
ROUNDING, PERTURBED_INPUTS = "rounding", "perturbed inputs"
"""What the budgets of a bundle are made of; of perturbed inputs in those that do not say it."""
LIMIT_OF_PERTURBED_INPUTS = 128.0
"""The limit for budgets that come from inputs and parameters off by up to one ulp, as those of archived bundles do.

The highest sound score over ten pairs of releases was 66.9: correct sums of many terms are far off in such budgets.
"""
MANIFEST = "manifest.json"
BUDGETS = "budgets.json"
_TAGGED = re.compile(r"@(b?float|u?int)\d\w*$")


@dataclass(frozen=True)
class StateLeaf:
    """A variable of the artifact, in the order of its `state_vars`: its leaf name, and whether it is a parameter."""

    leaf: str
    trainable: bool


@dataclass(frozen=True)
class Signature:
    """What a process needs to know of a case to evaluate its artifact.

    `limit` is the largest score of all checks, and `limit_reason` is why the case has one of its own.
    """

    case: str
    data: Specs
    labels: Specs
    state: tuple[StateLeaf, ...]
    probes: tuple[str, ...]
    limit: float
    limit_reason: str | None = None
    differentiated: bool = True
    budgets_of: str = ROUNDING

    def to_json(self) -> dict[str, Any]:
        """Return JSON data; a case with a sole array keeps it unnamed."""

        def specs(tree: Specs) -> Any:
            described = {n: {"shape": list(s.shape), "dtype": s.dtype} for n, s in by_name(tree).items()}
            return like(tree, described)

        return {**asdict(self), "data": specs(self.data), "labels": specs(self.labels)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Signature:
        """Invert `to_json`.

        Raises:
            KeyError, TypeError, AttributeError, ValueError, InputError: `data` is no such object.
        """

        def specs(tree: Any) -> Specs:
            if isinstance(tree.get("shape"), list):
                return Spec.stored(tree["shape"], tree["dtype"])
            return {n: Spec.stored(s["shape"], s["dtype"]) for n, s in tree.items()}

        limit = records.number(data["limit"])
        if not any(BATCH in spec.symbols for spec in by_name(specs(data["data"])).values()):
            raise ValueError(f"expected an input that carries the batch size, got {data['data']}")
        if not data["probes"] or not 0 < limit < math.inf:
            raise ValueError(f"expected probes and a positive limit, got {data['probes']} and {limit}")
        budgets_of = data.get("budgets_of", PERTURBED_INPUTS)
        if budgets_of not in (ROUNDING, PERTURBED_INPUTS):
            raise ValueError(f"expected budgets of {ROUNDING} or {PERTURBED_INPUTS}, got {budgets_of!r}")
        return cls(
            case=data["case"],
            data=specs(data["data"]),
            labels=specs(data["labels"]),
            state=tuple(StateLeaf(**leaf) for leaf in data["state"]),
            probes=tuple(data["probes"]),
            limit=limit,
            limit_reason=data["limit_reason"],
            differentiated=bool(data.get("differentiated", True)),  # every case had a gradient once
            budgets_of=budgets_of,
        )


@dataclass(frozen=True)
class Bundle:
    """An opened bundle, every file of which has the size and SHA-256 of the manifest.

    Attributes:
        path: the folder.
        signature: the case.
        batch_sizes: those of the stored inputs.
        versions: the versions of the packages that wrote it, by name.
        writer: what JAX writes by default, and its newer operations by StableHLO version.
        budgets: empty where the bundle was written without answers.
        readable_by: the requirement of the remedy of the exports in `remedied`, or None where there are none.
    """

    path: Path
    signature: Signature
    batch_sizes: tuple[int, ...]
    versions: dict[str, str | None]
    writer: dict[str, Any]
    budgets: tuple[BudgetRecord, ...]
    readable_by: str | None = None

    def limit_of(self, probe: str) -> float:
        """Return the limit of a probe: the case's own, or that of this parity for budgets of this kind."""
        signature = self.signature
        if signature.limit_reason is None and signature.budgets_of != ROUNDING:
            return LIMIT_OF_PERTURBED_INPUTS
        return limit_of(signature.limit if signature.limit_reason is not None else None, probe)

    @property
    def saved_model(self) -> Path:
        """The SavedModel with every function."""
        return self.path / "saved_model"

    def batch(self, size: int, lengths: str = "") -> Batch:
        """Return the examples of that batch size, and of those `Batch.lengths` where they are not the examples' own."""
        arrays = load_arrays(_inputs(self.path, size, lengths))
        named = {
            kind: {k.removeprefix(f"{kind}/"): v for k, v in arrays.items() if k.startswith(f"{kind}/")}
            for kind in ("data", "labels")
        }
        specs = self.signature.data, self.signature.labels
        return Batch(like(specs[0], named["data"]), like(specs[1], named["labels"]), specs)

    def lengths(self, batch: Batch) -> str:
        """Return under which lengths `batch` is stored; empty where they are the examples' own."""
        return batch.lengths if _inputs(self.path, batch.size, batch.lengths).is_file() else ""

    @property
    def has_answers(self) -> bool:
        """Whether it was written with JAX's answers."""
        return (self.path / "answers").is_dir()

    def has_answer(self, side: str, probe: str, size: int) -> bool:
        """Return whether there is the answer that `answer` reads."""
        return self._answer(side, probe, size).is_file()

    def answer(self, side: str, probe: str, size: int) -> Answer:
        """Return JAX's answer: `side` is "answers" for float32, "oracle" for float64.

        Raises:
            RecordError: the bundle was written without answers.
        """
        return load_arrays(self._answer(side, probe, size))

    def _answer(self, side: str, probe: str, size: int) -> Path:
        return self.path / side / f"{probe}-b{size}.npz"

    def budget(self, probe: str, size: int) -> dict[str, Budget]:
        """Return budgets by leaf."""
        return {
            b.leaf: Budget(b.rms, b.max, b.source) for b in self.budgets if (b.probe, b.batch_size) == (probe, size)
        }


def require_new(path: Path) -> None:
    """Refuse a path that exists.

    Raises:
        UsageError: `path` exists.
    """
    if path.exists():
        raise UsageError(f"{path} exists. Expected a new {_kind(path)} for the bundle: remove it, or name another.")


def _kind(path: Path) -> str:
    return "file" if archives.is_packed(path) else "folder"


@contextmanager
def create(
    path: Path,
    signature: Signature,
    batch_sizes: tuple[int, ...],
    versions: dict[str, Any],
    writer: dict[str, Any],
    readable_by: str | None = None,
) -> Iterator[Path]:
    """Yield a folder to fill; at the end it gets its manifest and becomes `path` in one rename.

    A `path` with the suffix of a bundle in one file becomes such a file.

    Raises:
        UsageError: `path` exists.
        StorageError: a write failed; nothing is left behind.
    """
    require_new(path)
    folder = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        yield folder
        files = {p.relative_to(folder).as_posix(): _fingerprint(p) for p in sorted(folder.rglob("*")) if p.is_file()}
        manifest = {
            "schema": SCHEMA,
            "created_at": records.now(),
            "batch_sizes": list(batch_sizes),
            "versions": versions,
            "writer": writer,
            "readable_by": readable_by,
            "signature": signature.to_json(),
            "files": files,
        }
        text = json.dumps(records.encode(manifest), indent=1, allow_nan=False, ensure_ascii=False)
        storage.write_atomically(folder / MANIFEST, text + "\n")
        folder.chmod(0o755)
        require_new(path)
        if archives.is_packed(path):
            archives.pack(folder, path)
            shutil.rmtree(folder, ignore_errors=True)
        else:
            folder.rename(path)
    except BaseException as error:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            what, other = error.strerror or error, _kind(path)
            raise StorageError(
                f"cannot write the bundle {path}: {what}. Free some space, or name another {other}."
            ) from error
        raise


def _inputs(folder: Path, size: int, lengths: str) -> Path:
    return folder / "inputs" / f"{'-'.join(filter(None, (f'b{size}', lengths)))}.npz"


def save_inputs(folder: Path, size: int, batch: Batch, lengths: str = "") -> None:
    """Write the examples of one batch size, and of those lengths where they are not the examples' own."""
    named = {f"data/{k}": v for k, v in by_name(batch.data).items()}
    named |= {f"labels/{k}": v for k, v in by_name(batch.labels).items()}
    save_arrays(_inputs(folder, size, lengths), named)


def save_answer(folder: Path, side: str, probe: str, size: int, answer: Answer) -> None:
    """Write an answer of JAX; see `Bundle.answer`."""
    save_arrays(folder / side / f"{probe}-b{size}.npz", answer)


def save_budgets(folder: Path, budgets: list[BudgetRecord]) -> None:
    """Write the budgets."""
    rows = ",\n".join(json.dumps(records.encode(b), allow_nan=False) for b in budgets)
    (folder / BUDGETS).write_text(f"[\n{rows}\n]\n", encoding="utf-8")


@contextmanager
def opening(path: Path) -> Iterator[Bundle]:
    """Yield the bundle at `path`, a folder or one file, every file of it checked against the manifest.

    Raises:
        RecordError: as `open_bundle`; or the one file is damaged.
        StorageError: there is no room to unpack it.
    """
    with archives.unpacked(path) as folder:
        try:
            bundle = open_bundle(folder)
        except RecordError as error:
            raise RecordError(str(error).replace(str(folder), str(path))) from None
        yield bundle


def open_bundle(path: Path) -> Bundle:
    """Open a bundle in a folder, every file checked against the manifest.

    Raises:
        RecordError: there is no manifest, it is of a newer schema, or a file is missing, truncated or altered.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        schema = manifest["schema"]
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path} is not a bundle: {error}. Expected what parity export writes.") from None
    except (json.JSONDecodeError, KeyError, TypeError, RecursionError) as error:
        raise RecordError(f"{path / MANIFEST} is damaged ({error}). Export the bundle again.") from None
    if not isinstance(schema, int) or schema > SCHEMA:
        raise RecordError(
            f"{path} has bundle schema {schema}; this parity reads up to {SCHEMA}. Upgrade parity to read it."
        )
    try:
        _verify_files(path, manifest["files"])
        signature = Signature.from_json(manifest["signature"])
        sizes, versions = manifest["batch_sizes"], manifest["versions"]
        if not sizes or not isinstance(versions, dict):
            raise ValueError(f"expected batch sizes and an object of versions, got {sizes} and {versions}")
        budgets = path / BUDGETS
        rows = json.loads(budgets.read_text(encoding="utf-8")) if BUDGETS in manifest["files"] else []
        return Bundle(
            path, signature, tuple(sizes), versions, manifest["writer"],
            tuple(msgspec.convert(rows, list[BudgetRecord])), manifest.get("readable_by"),
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, ValueError, InputError, RecursionError) as error:
        raise RecordError(f"{path / MANIFEST} is damaged ({error!r}). Export the bundle again.") from None


def _verify_files(path: Path, files: dict[str, dict[str, Any]]) -> None:
    for name, expected in files.items():
        file = path / name
        if not file.is_file():
            raise RecordError(f"{path}: {name} is missing. Export the bundle again, or copy it whole.")
        size = file.stat().st_size
        if size != expected["bytes"]:
            raise RecordError(f"{path}: {name} has {size} bytes, the manifest says {expected['bytes']}. Copy it again.")
        if storage.sha256(file) != expected["sha256"]:
            raise RecordError(f"{path}: {name} was altered: its SHA-256 is not the manifest's. Copy it again.")


def _fingerprint(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": storage.sha256(path)}


def save_arrays(path: Path, arrays: Answer) -> None:
    """Write arrays by name; numpy has no name of its own for bfloat16, so its bits go under `name@bfloat16`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    named: dict[str, Any] = {}
    for name, array in arrays.items():
        if array.dtype.kind == "V":
            named[f"{name}@{array.dtype.name}"] = array.view(f"u{array.dtype.itemsize}")
        else:
            named[name] = array
    np.savez(path, **named)


def load_arrays(path: Path) -> dict[str, Array]:
    """Read what `save_arrays` wrote.

    Raises:
        RecordError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(_tagged(name, stored[name]) for name in stored.files)
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        raise RecordError(f"cannot read the arrays in {path}: {error}. Export the bundle again.") from None


def _tagged(name: str, array: Array) -> tuple[str, Array]:
    """Return a stored array and its name, in the dtype that the name has as a tag."""
    if array.dtype.kind != "u" or not _TAGGED.search(name):
        return name, array
    plain, _, dtype = name.rpartition("@")
    return plain, array.view(dtype_of(dtype))
