"""What a run ran on."""

import json
import re
import socket

import pytest

from parity.core import environment
from parity.tests.support import samples

ONE_CPU = """
import json, os
from parity.core import environment
os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
print(json.dumps([environment.cores(), len(environment.machine()["affinity"])], separators=(",", ":")))
"""


def test_versions_name_every_package():
    found = environment.versions()
    assert list(found) == list(environment.PACKAGES)
    assert found["numpy"] is not None
    assert found["pytest"] == pytest.__version__


def test_everything_installed_is_named_once_and_by_its_version_alone():
    found = environment.installed()
    assert found["numpy"] == environment.versions()["numpy"]
    assert "pytest-benchmark" in found
    assert all(re.fullmatch(r"[a-z0-9-]+", name) and "/" not in version for name, version in found.items())


def test_what_is_not_installed_has_no_version():
    assert environment._version("no-such-package-anywhere") is None
    assert environment._version("no-such-package-anywhere", "pytest") == pytest.__version__


def test_the_machine_is_described():
    found = environment.machine()
    always = ["system", "architecture", "python", "cpu", "cores", "instruction_sets"]
    hints = ["affinity", "governor", "min_mhz", "max_mhz", "memory_bytes", "load", "flags"]
    assert list(found) == [*always, *hints]
    assert found["cores"] == len(found["affinity"]) >= 1
    assert all(found[name] for name in always)
    assert found["memory_bytes"] > 2**28
    assert found["load"] >= 0


def test_affinity_is_what_this_process_may_use():
    [cpu] = samples.python("-c", ONE_CPU).stdout.split()
    assert json.loads(cpu) == [1, 1]


def test_frequencies_are_told_in_mhz_where_the_system_tells_them(tmp_path, monkeypatch):
    assert environment._frequency(9999) == {"governor": None, "min_mhz": None, "max_mhz": None}
    for name, text in (("scaling_governor", "powersave"), ("cpuinfo_min_freq", "800000"), ("cpuinfo_max_freq", "x")):
        (tmp_path / name).write_text(f"{text}\n")
    monkeypatch.setattr(environment, "_FREQUENCY", f"{tmp_path}")
    assert environment._frequency(0) == {"governor": "powersave", "min_mhz": 800, "max_mhz": None}


def test_flags_are_those_of_xla_and_threads_without_paths_and_virtual_devices(monkeypatch):
    given = "--xla_dump_to=/home/me --xla_force_host_platform_device_count=2 --xla_cpu_enable_fast_math=true"
    monkeypatch.setenv("XLA_FLAGS", given)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "2")
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    found = ["--xla_cpu_enable_fast_math=true", "OMP_NUM_THREADS=1", "TF_NUM_INTEROP_THREADS=2"]
    assert environment.machine()["flags"] == found
    monkeypatch.delenv("XLA_FLAGS")
    assert environment._flags() == found[1:]


def test_neither_host_nor_user_is_named():
    person = "someone_with_a_name"
    known = {"USER": person, "LOGNAME": person, "USERNAME": person, "HOME": f"/home/{person}", "HOSTNAME": person}
    code = "import json; from parity.core import environment as e; print(json.dumps([e.versions(), e.machine()]))"
    done = samples.python("-c", code, env=known)
    versions, machine = json.loads(done.stdout)
    assert {**machine, "load": None} == {**environment.machine(), "load": None}
    assert person not in done.stdout
    words = re.findall(r"[\w.-]+", json.dumps([list(versions.values()), list(machine.values())]))
    assert socket.gethostname() not in words
    assert socket.getfqdn() not in words
