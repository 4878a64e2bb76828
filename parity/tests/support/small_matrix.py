"""A project with a matrix of its own that takes no framework: its cells leave records by hand.

A cell says that it has begun, and waits where a test asks it to, over named pipes: whoever reads the one knows that the
cell runs, and whoever writes the other lets it go on.
"""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

PYTHON = f"py{sys.version_info.major}{sys.version_info.minor}"
EXPORT = f"{PYTHON}-jax1.0-export"
PAIRS = tuple(f"{PYTHON}-jax1.0-tf2.{minor}" for minor in range(3))
VERIFY = f"{PYTHON}-tf2.1-verify"
NO_PYTHON = "py399-jax1.0-tf2.9"  # which no machine finds
BROKEN = f"{PYTHON}-jax1.0-tf2.8"

# The interpreter of the tests comes before the shims of whoever manages interpreters here.
os.environ["PATH"] = f"{Path(sys.base_prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}"

TOX = """\
[tox]
skip_missing_interpreters = true
[testenv]
skip_install = true
allowlist_externals = *
set_env = UV_PYTHON_DOWNLOADS = never
commands = {python} {cell} {{env_name}} {{tox_root}}/reports {notes} {{posargs}}
[testenv:{broken}]
commands = {python} -c "import sys; print('parity: no such luck', file=sys.stderr); sys.exit(2)"
"""


class Project:
    """The checkout in `folder`, and beside it `notes`, which the cells write wherever they run."""

    def __init__(self, folder):
        self.folder, self.notes = folder / "project", folder / "notes"
        self.reports = self.folder / "reports"
        self.folder.mkdir()
        self.notes.mkdir()
        tox = TOX.format(python=sys.executable, cell=__file__, notes=self.notes, broken=BROKEN)
        (self.folder / "tox.ini").write_text(tox)
        git = ["git", "-C", str(self.folder)]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "add", "."], check=True)

    def hold(self, name):
        """Let the cell `name` wait in its midst, for ever or until `release`."""
        for end in ("begun", "go_on"):
            os.mkfifo(self.notes / f"{name}.{end}")

    def begun(self, name):
        """Wait until the cell `name` has begun; the process ids of its worker and of the cell."""
        descriptor = os.open(self.notes / f"{name}.begun", os.O_RDONLY | os.O_NONBLOCK)
        try:
            assert select.select([descriptor], [], [], 60)[0], f"{name} has not begun"
            worker, cell = os.read(descriptor, 100).split()
        finally:
            os.close(descriptor)
        return int(worker), int(cell)

    def release(self, name):
        (self.notes / f"{name}.go_on").write_text("go on")

    def runs(self, name):
        """How many times the cell `name` was begun."""
        path = self.notes / f"{name}.runs"
        return len(path.read_text().splitlines()) if path.is_file() else 0

    def outcomes(self):
        """The status of every sealed record, by name."""
        from parity import records
        from parity.records import cells

        found = {path.parent.name: records.read(path) for path in self.reports.glob("*/run.json")}
        assert all(run.cell == name for name, run in found.items())
        return {name: cells.outcome(run).status for name, run in found.items()}


def started(project, *arguments):
    """Start a Python command in a process of its own, which accepts interrupts whoever started the tests."""
    accept = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", accept, sys.executable, *arguments],
        cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ends(pid, seconds=30):
    """Whether the process `pid`, anybody's child, ends within so many seconds."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def guarded():
    """Return the id of the process that started the tox of this one: a worker, or a process on this machine."""
    pid = os.getpid()
    while b"orphan_guard" not in Path(f"/proc/{pid}/cmdline").read_bytes():
        pid = parent(pid)
    return parent(pid)


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def main(name, reports, notes, *options):
    from parity import records
    from parity.tests.support import samples

    reported = [option.partition("=")[2] for option in options if option.startswith("--reports=")]
    reports, notes = Path([reports, *reported][-1]), Path(notes)
    with (notes / f"{name}.runs").open("a") as runs:
        runs.write(f"{os.getpid()}\n")
    begun, go_on = notes / f"{name}.begun", notes / f"{name}.go_on"
    again = len((notes / f"{name}.runs").read_text().splitlines()) > 1
    if "--kill" in options and name == PAIRS[0]:
        os.kill(guarded(), signal.SIGKILL)
        signal.pause()
    if begun.exists() and not again:
        recorder = records.Recorder(reports / name, samples.run(cell=name))
        recorder.add(samples.planned())
        signal.alarm(60)  # a test that fails does not hang
        begun.write_text(f"{guarded()} {os.getpid()}")
        go_on.read_text()
    left = {name: records.JOINT}
    if name == EXPORT:
        bundle = reports / "bundles" / "jax1.0"
        bundle.mkdir(parents=True)
        (bundle / "manifest.json").write_text("{}")
        (bundle / "weights").write_bytes(os.urandom(100_000))
        left = {name: records.EXPORT}
    if name == VERIFY:
        assert (reports / "bundles" / "jax1.0" / "weights").stat().st_size == 100_000
        left = {"split-jax1.0-tf2.1": records.SPLIT, "fleet-jax1.0-tf2.1": records.FLEET}
    for record, mode in left.items():
        run = samples.run(cell=record, mode=mode, checks=[samples.check()])
        records.seal(reports / record, run)
        (reports / record / "index.html").write_text("<!doctype html>")
        print(f"{record}: pass")


if __name__ == "__main__":
    main(*sys.argv[1:])
