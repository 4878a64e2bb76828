"""The matrix on a dask.distributed scheduler: each cell is one task, built and run by whichever worker takes it.

Client and workers share no files. What git tracks goes to the workers, records and bundles come back.
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
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from uuid import uuid4

from parity import __version__, records
from parity.core.errors import NotComparableError, UsageError
from parity.core.failures import CRASH
from parity.core.storage import output_folder
from parity.matrix import running
from parity.matrix.scheduling import Show, run_tox, settled, stages, stop, teller
from parity.records import MISSING, Stopped, cells
from parity.records.cells import ARCHIVE, EXPORT, VERIFY, Cell

try:
    from distributed import Client, Future, KilledWorker, get_worker
except ImportError:
    raise UsageError("--scheduler needs dask.distributed. Install it: pip install 'parity[cluster]'") from None

PATIENCE_S = 10
"""How long a scheduler may take to answer, and to have a worker."""
ATTEMPTS = 5
POLL_S = 0.2
EXTRAS = "matrix and cluster: pip install 'parity[matrix,cluster]'"


class Parcel:
    """Files on their way, and what is said of them: on disk wherever they wait, in memory only while they are sent."""

    def __init__(self, lines: list[str], packed: bytes = b"") -> None:
        self.lines = lines
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  gone with its process, also if that is killed
        self._file.write(packed)

    @classmethod
    def of(cls, folder: Path, paths: Iterable[Path], lines: list[str]) -> Parcel:
        """The files at `paths`, relative to `folder`."""
        parcel = cls(lines)
        # Weights are nearly incompressible: more effort would buy nothing.
        with tarfile.open(fileobj=parcel._file, mode="w:gz", compresslevel=1) as tar:
            for path in paths:
                tar.add(folder / path, path, recursive=False)
        return parcel

    def unpack(self, folder: Path) -> None:
        """Write the files into `folder`."""
        self._file.seek(0)
        with tarfile.open(fileobj=self._file, mode="r:gz") as tar:
            tar.extraction_filter = getattr(tarfile, "data_filter", None)  # not in the first releases of Python 3.10
            tar.extractall(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        self._file.seek(0)
        return Parcel, (self.lines, self._file.read())

    def __sizeof__(self) -> int:
        return self._file.seek(0, io.SEEK_END)  # by which dask shares out its transfers


def run_there(address: str, project: Path, names: list[str], options: list[str], show: Show) -> None:
    """Run cells of `project` on the workers of the scheduler at `address`; their records come into `reports`.

    A cell whose worker is lost is run again by another. After an interrupt the workers end what they do, and nothing
    half-written comes back.

    Raises:
        UsageError: `project` is no git checkout, nothing answers at `address`, parity or tox is missing there, or a
            cell archives.
        NotComparableError: the scheduler is gone.
    """
    for name in names:
        if Cell.parse(name).role == ARCHIVE:
            raise UsageError(f"{name} writes into the project, which no worker has. Run it here: tox run -e {name}")
    output_folder(project / "reports")
    tracked = Parcel.of(project, _tracked(project), [])
    with _client(address) as client:
        matrix = _Matrix(client, project, options, client.submit(_kept, tracked, pure=False), show, len(names))
        for stage in stages(names):
            matrix.run(stage)


def _tracked(project: Path) -> list[Path]:
    """What git tracks in `project`, as it is there now, but for the records."""
    command = ["git", "ls-files", "-z", "--", ".", ":!reports"]
    try:
        listed = subprocess.run(command, cwd=project, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise UsageError(
            f"{project} is no git checkout. Expected one, because what git tracks is sent to the workers."
        ) from None
    return [Path(name) for name in listed.split("\0") if name and (project / name).is_file()]


@contextlib.contextmanager
def _client(address: str) -> Iterator[Client]:
    try:
        client = Client(address, timeout=PATIENCE_S)
    except (OSError, ValueError, asyncio.TimeoutError) as error:
        raise UsageError(
            f"no scheduler answers at {address}: {error}. Expected what `dask scheduler` prints when it starts, "
            "such as tcp://10.0.0.1:8786."
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE_S)
        except asyncio.TimeoutError:
            raise UsageError(
                f"the scheduler at {address} has no worker. Start one: dask worker {address} --nthreads 1"
            ) from None
        _equipped(client)
        yield client


def _equipped(client: Client) -> None:
    """Raise a UsageError unless the scheduler knows this parity, and its workers know it and tox."""
    asked = {"the scheduler": _version_there(client)}
    asked |= {
        f"the worker {at}": said for at, said in client.run(metadata.version, "parity", on_error="return").items()
    }
    for where, said in asked.items():
        if said != __version__:
            has = "no parity" if isinstance(said, Exception) else f"parity {said}"
            raise UsageError(f"{where} has {has}. Expected parity {__version__} with its extras {EXTRAS}")
    for at, said in client.run(metadata.version, "tox", on_error="return").items():
        if isinstance(said, Exception):
            raise UsageError(f"the worker {at} has no tox. Expected parity's extras {EXTRAS}")


def _version_there(client: Client) -> Any:
    try:
        return client.run_on_scheduler(metadata.version, "parity")
    except metadata.PackageNotFoundError as error:
        return error


class _Matrix:
    """A matrix on its way through a cluster; whatever has ended is on this machine's disk, and is not made again."""

    def __init__(
        self, client: Client, project: Path, options: list[str], tracked: Future, show: Show, total: int
    ) -> None:
        self.client, self.project, self.options = client, project, options
        self.tracked, self.show, self.tell = tracked, show, teller(show, total)

    def run(self, stage: list[str]) -> None:
        """Run the cells of one stage; those that are up to date are left as they are."""
        left = []
        for name in stage:
            if done := settled(self.project, name, self.options):
                self.tell(done)
            else:
                left.append(name)
        exports = self._exports(left)
        waiting = {self._submit(name, exports): name for name in left}
        again = []
        for future in self._ended(list(waiting)):
            name = waiting.pop(future)
            if future.cancelled() or isinstance(future.exception(), KilledWorker):
                again.append(name)
            else:
                self._take(name, future)
            future.release()
        # A worker that is lost takes its other cells with it, and the exports that only it had. Alone, a cell can only
        # blame itself.
        for name in again:
            for future in self._ended([self._submit(name, self._exports([name]))]):
                self._take(name, future)

    def _submit(self, name: str, exports: list[Future]) -> Future:
        key, first = f"{name}-{uuid4().hex}", name.endswith(EXPORT)
        return self.client.submit(make, self.tracked, name, self.options, *exports, key=key, priority=first)

    def _ended(self, waiting: list[Future]) -> Iterator[Future]:
        """The futures as they end, for as long as there is a scheduler; says so where no worker is left."""
        deserted = False
        while waiting:
            done = [future for future in waiting if future.done()]
            workers = True
            with contextlib.suppress(OSError, RuntimeError):  # nobody knows while the connection is lost
                workers = bool(done or self.client.nthreads())
            if self.client.status not in ("running", "connecting"):
                raise NotComparableError("the scheduler is gone. What had ended is recorded; run the same again.")
            if not workers and not deserted:
                self.show("No worker is left; waiting for one. Start it with: dask worker ADDRESS --nthreads 1")
            deserted = not workers
            waiting = [future for future in waiting if future not in done]
            yield from done
            if not done:
                time.sleep(POLL_S)

    def _exports(self, names: list[str]) -> list[Future]:
        """Every export in `reports`, sent to every worker, if one of the cells reads them."""
        if not any(Cell.parse(name).role == VERIFY for name in names):
            return []
        reports, sent = self.project / "reports", []
        for record in sorted(reports.glob(f"*-{EXPORT}")):
            folders = (record, reports / running.BUNDLES / f"jax{Cell.parse(record.name).jax}")
            files = [path.relative_to(reports) for folder in folders for path in _files(folder)]
            sent.append(self._send(Parcel.of(reports, files, [])))
        return sent

    def _send(self, parcel: Parcel) -> Future:
        for _ in range(ATTEMPTS):
            with contextlib.suppress(OSError, asyncio.TimeoutError):  # a worker was lost on the way
                return self.client.scatter(parcel, broadcast=True, hash=False)
        raise NotComparableError(
            f"no export could be sent to the workers in {ATTEMPTS} attempts; look at the scheduler."
        )

    def _take(self, name: str, future: Future) -> None:
        """Put the records of a cell that has ended where a run on this machine puts them."""
        try:
            parcel = future.result()
        except KilledWorker as error:
            times, last = error.allowed_failures + 1, error.last_worker.address
            evidence = f"{times} workers were lost while they ran it alone, last {last}"
            self.tell(stop(self.project, name, Stopped(CRASH, CRASH, evidence)))
        except Exception as error:  # whatever a worker may lack: space, a module, its exports
            self.tell(stop(self.project, name, Stopped(MISSING, "", f"no worker could run it: {error!r}")))
        else:
            _put(parcel, name, self.project / "reports")
            self.tell(parcel.lines)


def _kept(parcel: Parcel) -> Parcel:
    """A parcel as the result of a task, which dask can make again where a worker is lost."""
    return parcel


def make(tracked: Parcel, name: str, options: list[str], *exports: Parcel) -> Parcel:
    """Run the cell `name` in a folder of its own, on a worker; what it left in `reports`."""
    worker = get_worker()
    key = worker.get_current_task()

    def unwanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    with tempfile.TemporaryDirectory(dir=worker.local_directory, prefix="cell-", ignore_cleanup_errors=True) as folder:
        project = Path(folder)
        tracked.unpack(project)
        reports = output_folder(project / "reports")
        for export in exports:
            export.unpack(reports)
        sent = set(_files(reports))
        lines = run_tox(project, name, options, unwanted)
        return Parcel.of(reports, [path.relative_to(reports) for path in _files(reports) if path not in sent], lines)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _put(parcel: Parcel, name: str, reports: Path) -> None:
    """Put the records and the bundle of the cell `name` into `reports`, each folder whole, the records last.

    A record from before stays where nothing was found now.
    """
    with tempfile.TemporaryDirectory(dir=reports, prefix=".") as folder:
        arrived = Path(folder)
        parcel.unpack(arrived)
        found = sorted(path.parent for path in arrived.glob("*/run.json"))
        for path in [*arrived.glob(f"{running.BUNDLES}/*"), *found]:
            place = reports / path.relative_to(arrived)
            if path in found and _missing(path) and (place / "run.json").is_file():
                continue
            output_folder(place.parent)
            shutil.rmtree(place, ignore_errors=True)
            path.rename(place)
        if found and name not in {path.name for path in found}:
            shutil.rmtree(reports / name, ignore_errors=True)  # where it said that nothing had been exported


def _missing(folder: Path) -> bool:
    return cells.outcome(records.read(folder)).status == MISSING
