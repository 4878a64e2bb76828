"""Cells on a Dask cluster: each is one task, built and run as a tox environment by the worker that takes it.

Client and workers share no files. The files that git tracks go to the workers; records and bundles come back.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from uuid import uuid4

from parity import __version__, records
from parity.core import processes
from parity.core.errors import NotComparableError, UsageError
from parity.core.failures import CRASH
from parity.core.storage import output_folder
from parity.matrix import tox
from parity.matrix.cell_run import summary
from parity.matrix.tasks import BUNDLES, up_to_date
from parity.records import MISSING, Stopped, cells
from parity.records.cells import ARCHIVE, EXPORT, VERIFY, Cell

try:
    from distributed import Client, Future, KilledWorker, get_worker
except ImportError:
    raise UsageError("--cluster needs dask.distributed. Install it: pip install 'parity[cluster]'") from None

PATIENCE_S = 10
"""How long a scheduler may take to answer, and to have a worker."""
_POLL_S = 0.2
_EXTRAS = "matrix and cluster: pip install 'parity[matrix,cluster]'"


def run_on_cluster(
    address: str, project: Path, names: list[str], options: list[str], show: Callable[[str], Any]
) -> None:
    """Run cells of `project` on the workers of the scheduler at `address`; their records come into `reports`.

    Another worker runs a cell again whose worker is lost. After an interrupt the workers stop, and nothing partial
    comes back.

    Args:
        address: of the scheduler, such as tcp://10.0.0.1:8786.
        project: a git checkout with a tox.ini.
        names: of the cells. Those that are up to date are not run, except with the option `--fresh`.
        options: options of `parity cell`.
        show: takes a line for each record.

    Raises:
        UsageError: `project` is not a git checkout, nothing answers at `address`, parity or tox is missing there, or a
            cell archives.
        NotComparableError: the scheduler is gone.
    """
    for name in names:
        if Cell.parse(name).role == ARCHIVE:
            raise UsageError(f"{name} writes into the project, which no worker has. Run it here: tox run -e {name}")
    reports = output_folder(project / "reports")
    source = pack(project, _tracked(project))
    roles = tox.by_role(names)
    with _client(address) as client:
        sent = client.submit(_identity, source, pure=False)
        for stage in ([*roles["exports"], *roles["pairs"]], roles["verifications"]):
            waiting = [name for name in stage if not _show_up_to_date(project, name, options, show)]
            reads = any(Cell.parse(name).role == VERIFY for name in waiting)
            exports = client.submit(_identity, pack(reports, _exports(reports)), pure=False) if reads else None

            def submit(name: str, exports: Future | None = exports) -> Future:
                key, first = f"{name}-{uuid4().hex}", name.endswith(EXPORT)
                return client.submit(_run_cell, sent, exports, name, options, key=key, priority=first)

            lost = []
            for name, future in _ended(client, {name: submit(name) for name in waiting}, show):
                if future.cancelled() or isinstance(future.exception(), KilledWorker):
                    lost.append(name)
                else:
                    _receive(project, name, future, show)
            # A lost worker takes its other cells with it. When a cell runs alone, no other cell can be the cause.
            for name in lost:
                for _, future in _ended(client, {name: submit(name)}, show):
                    _receive(project, name, future, show)


def _identity(packed: bytes) -> bytes:
    """Return the argument: files as the result of a task, which Dask makes again where a worker is lost."""
    return packed


def pack(folder: Path, paths: Iterable[Path]) -> bytes:
    """Return the files at `paths`, relative to `folder`, as a compressed tar archive."""
    packed = io.BytesIO()
    # Weights are nearly incompressible: a higher level would gain nothing.
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for path in paths:
            tar.add(folder / path, path, recursive=False)
    return packed.getvalue()


def unpack(packed: bytes, folder: Path) -> None:
    """Write packed files into `folder`, and nothing outside of it."""
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # not in the first releases of Python 3.10
        tar.extractall(folder)


def _files(folder: Path, within: Path) -> list[Path]:
    """Return the files in `within`, relative to `folder`."""
    return sorted(path.relative_to(folder) for path in within.rglob("*") if path.is_file())


def _tracked(project: Path) -> list[Path]:
    """Return the files that git tracks in `project` and that are there, except the records."""
    command = ["git", "ls-files", "-z", "--", ".", ":!reports"]
    try:
        done = processes.run(command, cwd=project)
        done.check_returncode()
    except (OSError, subprocess.CalledProcessError):
        raise UsageError(
            f"{project} is not a git checkout. Expected one, because the files that git tracks are sent to the workers."
        ) from None
    return [Path(name) for name in done.stdout.split("\0") if name and (project / name).is_file()]


def _exports(reports: Path) -> list[Path]:
    """Return the files of every export in `reports`: its record and its bundle."""
    exported = sorted(reports.glob(f"*-{EXPORT}"))
    folders = [(record, reports / BUNDLES / f"jax{Cell.parse(record.name).jax}") for record in exported]
    return [file for pair in folders for folder in pair for file in _files(reports, folder)]


@contextlib.contextmanager
def _client(address: str) -> Iterator[Client]:
    try:
        client = Client(address, timeout=PATIENCE_S)
    except (OSError, ValueError, asyncio.TimeoutError) as error:
        raise UsageError(
            f"no scheduler answers at {address}: {error}. Expected the address that `dask scheduler` prints when it "
            "starts, such as tcp://10.0.0.1:8786."
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE_S)
        except asyncio.TimeoutError:
            raise UsageError(
                f"the scheduler at {address} has no worker. Start one: dask worker {address} --nthreads 1"
            ) from None
        _check_installed(client)
        yield client


def _check_installed(client: Client) -> None:
    """Raise a UsageError unless the scheduler has this parity, and every worker this parity and tox."""
    found: dict[tuple[str, str], Any] = {}
    for package in ("parity", "tox"):
        # A function of the standard library: one of parity could not be called where parity is missing.
        on_workers = client.run(metadata.version, package, on_error="return")
        found |= {(f"the worker {at}", package): version for at, version in on_workers.items()}
    try:
        found["the scheduler", "parity"] = client.run_on_scheduler(metadata.version, "parity")
    except metadata.PackageNotFoundError as error:
        found["the scheduler", "parity"] = error
    for (where, package), version in found.items():
        missing = isinstance(version, Exception)
        if missing or (package == "parity" and version != __version__):
            has = f"no {package}" if missing else f"{package} {version}"
            raise UsageError(f"{where} has {has}. Expected parity {__version__} with its extras {_EXTRAS}")


def _ended(client: Client, waiting: dict[str, Future], show: Callable[[str], Any]) -> Iterator[tuple[str, Future]]:
    """Yield names and futures as they end, for as long as there is a scheduler; say when no worker is left."""
    deserted = False
    while waiting:
        done = {name: future for name, future in waiting.items() if future.done()}
        workers = True
        with contextlib.suppress(OSError, RuntimeError):  # the connection may come back
            workers = bool(done or client.nthreads())
        if client.status not in ("running", "connecting"):
            raise NotComparableError(
                "the scheduler is gone. Cells that ended are recorded; run the same command again."
            )
        if not workers and not deserted:
            show("No worker is left; waiting for one. Start it with: dask worker ADDRESS --nthreads 1")
        deserted = not workers
        waiting = {name: future for name, future in waiting.items() if name not in done}
        yield from done.items()
        if not done:
            time.sleep(_POLL_S)


def _show_up_to_date(project: Path, name: str, options: list[str], show: Callable[[str], Any]) -> bool:
    """Show the records of the cell `name` and return true, if all of them are up to date."""
    reports, further = project / "reports", [option for option in options if option != "--fresh"]
    runs = [up_to_date(task, reports) for task in tox.tasks_of(project, name, reports, further)]
    current = "--fresh" not in options and all(runs)
    for run in runs:
        if current and run is not None:
            show(f"{summary(run)} (up to date)")
    return current


def _receive(project: Path, name: str, future: Future, show: Callable[[str], Any]) -> None:
    """Put the records of a cell that has ended where a run on this machine puts them."""
    reports, stopped = project / "reports", None
    try:
        for folder in _put(future.result(), name, reports):
            show(summary(records.read(folder)))
        return
    except KilledWorker as error:
        times, last = error.allowed_failures + 1, error.last_worker.address
        stopped = Stopped(CRASH, CRASH, f"{times} workers were lost while they ran it alone, last {last}")
    except Exception as error:  # a worker may lack anything: space, a module, its exports
        stopped = Stopped(MISSING, "", f"no worker could run it: {error!r}")
    finally:
        future.release()
    for task in tox.tasks_of(project, name, reports):
        show(tox.seal_stopped(task, reports, stopped))


def _run_cell(source: bytes, exports: bytes | None, name: str, options: list[str]) -> bytes:
    """Run the cell `name` in a folder of its own, on a worker, and return the files that it left in `reports`."""
    worker = get_worker()
    key = worker.get_current_task()

    def cancelled() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    with tempfile.TemporaryDirectory(dir=worker.local_directory, prefix="cell-", ignore_cleanup_errors=True) as folder:
        project = Path(folder)
        unpack(source, project)
        reports = output_folder(project / "reports")
        if exports is not None:
            unpack(exports, reports)
        before = set(_files(reports, reports))
        tox.run_cells(project, [name], options, 1, lambda line: None, cancelled=cancelled)
        return pack(reports, [path for path in _files(reports, reports) if path not in before])


def _put(packed: bytes, name: str, reports: Path) -> list[Path]:
    """Put the bundle and the records of the cell `name` into `reports`, each folder whole, and return the records.

    A record from before stays where the new one is only missing.
    """
    with tempfile.TemporaryDirectory(dir=reports, prefix=".") as scratch:
        arrived = Path(scratch)
        unpack(packed, arrived)
        found = sorted(path.parent for path in arrived.glob("*/run.json"))
        for path in [*arrived.glob(f"{BUNDLES}/*"), *found]:
            place = reports / path.relative_to(arrived)
            missing = path in found and cells.outcome(records.read(path)).status == MISSING
            if not (missing and (place / "run.json").is_file()):
                output_folder(place.parent)
                shutil.rmtree(place, ignore_errors=True)
                path.rename(place)
        if found and name not in {path.name for path in found}:
            shutil.rmtree(reports / name, ignore_errors=True)  # the record that nothing had been exported
    return [reports / path.name for path in found]
