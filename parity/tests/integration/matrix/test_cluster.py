"""The matrix on a scheduler with two real workers, which are killed, interrupted and badly equipped."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import metadata

import pytest
from distributed import Client, LocalCluster

from parity import records
from parity.core.errors import UsageError
from parity.matrix import cluster as clusters
from parity.matrix.cluster import pack, run_on_cluster, unpack
from parity.matrix.tasks import tasks
from parity.records.cells import Cell
from parity.tests.support import samples
from parity.tests.support.small_matrix import BROKEN, EXPORT, NO_PYTHON, PAIRS, VERIFY, Project, ends, started

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

VERIFIED = ["split-jax1.0-tf2.1", "fleet-jax1.0-tf2.1"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler, and the worker processes that `client` starts."""
    folder = tmp_path_factory.mktemp("workers")
    with LocalCluster(n_workers=0, dashboard_address=":0") as cluster:
        cluster.processes = []
        cluster.start = partial(start, cluster, folder)
        yield cluster
        for process in cluster.processes:
            process.kill()
            process.wait()


def start(cluster, folder):
    """Start workers until there are two. Nobody else does: one that is killed stays away."""
    cluster.processes = [process for process in cluster.processes if process.poll() is None]
    options = ["--no-nanny", "--no-dashboard", "--nthreads=1", f"--local-directory={folder}"]
    command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, *options]
    with (folder / "log.txt").open("a") as log:
        while len(cluster.processes) < 2:
            cluster.processes.append(subprocess.Popen(command, stdout=log, stderr=log))


@pytest.fixture
def client(cluster):
    cluster.start()
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=30)
        yield client


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def run(cluster, project, *names, options=()):
    reported = []
    run_on_cluster(cluster.scheduler_address, project.folder, list(names), list(options), reported.append)
    return reported


def test_an_archiving_cell_is_refused_before_any_worker_is_contacted(project):
    with pytest.raises(UsageError, match=r"writes into the project, which no worker has.*tox run -e"):
        run_on_cluster("tcp://127.0.0.1:9", project.folder, [PAIRS[0], "py311-jax1.0-archive"], [], print)


def test_nothing_is_lost_when_a_worker_is_killed_in_the_middle_of_a_cell(cluster, client, project):
    project.hold(PAIRS[0])
    with ThreadPoolExecutor(1) as pool:
        matrix = pool.submit(run, cluster, project, VERIFY, *PAIRS[:2], EXPORT)
        worker, cell = project.begun(PAIRS[0])
        os.kill(worker, signal.SIGKILL)
        assert ends(cell), "what the killed worker had started goes on"
        reported = matrix.result(timeout=90)
    left = [*PAIRS[:2], EXPORT, *VERIFIED]
    assert project.outcomes() == dict.fromkeys(left, "pass")
    assert sorted(reported) == sorted(f"{name}: pass" for name in left)
    assert project.runs(PAIRS[0]) == 2
    assert [project.runs(name) for name in (PAIRS[1], EXPORT, VERIFY)] == [1, 1, 1]
    # Beside the records there is the bundle, and nothing that was on its way.
    assert sorted(path.name for path in project.reports.iterdir()) == sorted([*left, "bundles"])
    assert (project.reports / "bundles" / "jax1.0" / "weights").stat().st_size == 100_000
    assert sorted(path.name for path in (project.reports / PAIRS[0]).iterdir()) == ["index.html", "run.json"]


def test_a_cell_that_kills_every_worker_is_a_crash_and_the_others_pass(cluster, client, project, monkeypatch):
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    reported = []

    def show(line):
        reported.append(line)
        if line.startswith("No worker is left"):  # the other cell may have waited behind the one that kills
            cluster.start()

    run_on_cluster(cluster.scheduler_address, project.folder, list(PAIRS[:2]), ["--kill"], show)
    assert project.outcomes() == {PAIRS[0]: "crash", PAIRS[1]: "pass"}
    assert project.runs(PAIRS[0]) == 2  # among others, and alone
    found = records.read(project.reports / PAIRS[0])
    assert found.stopped.evidence.startswith("1 workers were lost while they ran it alone, last tcp://")
    assert found.environment["cell"] == {"jax": "1.0", "tensorflow": "2.0", "python": PAIRS[0][2] + "." + PAIRS[0][3:5]}
    assert any(f"{PAIRS[0]}: crash, " in line for line in reported)


def test_after_an_interrupt_the_workers_stop_and_nothing_is_sealed(cluster, client, project):
    project.hold(PAIRS[0])
    matrix = started(project, "-m", "parity", "matrix", PAIRS[0], f"--cluster={cluster.scheduler_address}")
    _, cell = project.begun(PAIRS[0])
    matrix.send_signal(signal.SIGINT)
    _, output = matrix.communicate(timeout=60)
    assert (matrix.returncode, output) == (130, "parity: interrupted\n")
    assert ends(cell)
    assert list(project.reports.iterdir()) == []
    run(cluster, project, PAIRS[0])
    assert project.outcomes() == {PAIRS[0]: "pass"}


def test_exports_from_before_are_sent_and_again_where_every_worker_that_had_them_is_lost(cluster, client, project):
    bundle = project.reports / "bundles" / "jax1.0"
    bundle.mkdir(parents=True)
    (bundle / "manifest.json").write_text("{}")
    (bundle / "weights").write_bytes(os.urandom(100_000))
    records.seal(project.reports / EXPORT, samples.run(cell=EXPORT, mode=records.EXPORT))
    project.hold(VERIFY)
    with ThreadPoolExecutor(1) as pool:
        matrix = pool.submit(run, cluster, project, VERIFY)
        worker, cell = project.begun(VERIFY)
        others = set(client.run(os.getpid).values()) - {worker}
        for pid in (*others, worker):
            os.kill(pid, signal.SIGKILL)
        assert ends(cell)
        for process in cluster.processes:
            process.wait()
        cluster.start()
        matrix.result(timeout=90)
    assert project.outcomes() == dict.fromkeys([EXPORT, *VERIFIED], "pass")
    assert (project.runs(EXPORT), project.runs(VERIFY)) == (0, 2)


def test_what_a_worker_cannot_begin_is_missing_and_does_not_replace_a_record(cluster, client, project):
    records.seal(project.reports / BROKEN, samples.run(cell=BROKEN, checks=[samples.check()]))
    run(cluster, project, NO_PYTHON, BROKEN)
    assert project.outcomes() == {NO_PYTHON: "missing", BROKEN: "pass"}
    assert records.read(project.reports / NO_PYTHON).stopped.evidence == "no Python 3.99 here"


def test_a_cell_that_is_up_to_date_is_not_sent_unless_it_is_asked_for(cluster, client, project):
    [task] = tasks(Cell.parse(PAIRS[0]), project.reports, [])
    sealed = samples.run(cell=PAIRS[0], checks=[samples.check()], inputs=task.request)
    records.seal(project.reports / PAIRS[0], sealed)
    assert run(cluster, project, PAIRS[0]) == [f"{PAIRS[0]}: pass (up to date)"]
    assert project.runs(PAIRS[0]) == 0
    assert run(cluster, project, PAIRS[0], options=["--fresh"]) == [f"{PAIRS[0]}: pass"]
    assert project.runs(PAIRS[0]) == 1


@pytest.mark.parametrize("package", ["parity", "tox"])
def test_a_worker_that_lacks_something_is_named(cluster, client, project, package):
    client.run(uninstall, package)
    try:
        with pytest.raises(UsageError, match=rf"the worker tcp://\S+ has no {package}\..*'parity\[matrix,cluster\]'"):
            run(cluster, project, PAIRS[0])
    finally:
        client.run(install)
    assert list(project.reports.iterdir()) == []


def uninstall(package):
    """Let no distribution of that name be found in this process."""

    def version(name, known=metadata.version):
        if name == package:
            raise metadata.PackageNotFoundError(name)
        return known(name)

    metadata.version = version


def install():
    metadata.version = metadata.version.__defaults__[0]


def test_a_scheduler_without_workers_is_named(project, monkeypatch):
    monkeypatch.setattr(clusters, "PATIENCE_S", 1)
    empty = LocalCluster(n_workers=0, processes=False, dashboard_address=":0", protocol="tcp")
    with empty, pytest.raises(UsageError, match=r"has no worker\. Start one: dask worker tcp://"):
        run(empty, project, PAIRS[0])


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "nonsense://here:1", "tcp://here"])
def test_a_wrong_address_is_named_within_seconds(project, address, monkeypatch):
    monkeypatch.setattr(clusters, "PATIENCE_S", 1)
    with pytest.raises(UsageError, match=f"no scheduler answers at {address}: .*such as tcp://10.0.0.1:8786"):
        run_on_cluster(address, project.folder, [PAIRS[0]], [], print)


def test_a_folder_that_git_does_not_know_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is not a git checkout"):
        run_on_cluster("tcp://127.0.0.1:9", tmp_path, [PAIRS[0]], [], print)


def test_without_distributed_the_extra_is_named(project):
    code = "import sys; sys.modules['distributed'] = None; from parity.cli.main import main; sys.exit(main())"
    done = samples.python("-c", code, "matrix", PAIRS[0], "--cluster", "tcp://127.0.0.1:9", cwd=project.folder)
    assert done.returncode == 2
    assert done.stderr == "parity: --cluster needs dask.distributed. Install it: pip install 'parity[cluster]'\n"


def test_packed_files_arrive_and_none_outside_of_the_folder(tmp_path):
    sent, arrived = tmp_path / "sent", tmp_path / "arrived"
    (sent / "a").mkdir(parents=True)
    (sent / "a" / "b").write_bytes(b"\0\1")
    (sent / "outside").symlink_to("/etc")
    unpack(pack(sent, clusters._files(sent, sent)), arrived)
    assert [path.relative_to(arrived).as_posix() for path in arrived.rglob("*") if path.is_file()] == ["a/b"]
