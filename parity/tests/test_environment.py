"""What a run ran on."""

import json
import re
import socket

import pytest

from parity import environment
from parity.tests import samples


def test_versions_name_every_package():
    found = environment.versions()
    assert list(found) == list(environment.PACKAGES)
    assert found["numpy"] is not None
    assert found["pytest"] == pytest.__version__


def test_what_is_not_installed_has_no_version():
    assert environment._version("no-such-package-anywhere") is None
    assert environment._version("no-such-package-anywhere", "pytest") == pytest.__version__


def test_the_machine_is_described():
    found = environment.machine()
    assert list(found) == ["system", "architecture", "python", "cpu", "cores", "instruction_sets"]
    assert found["cores"] >= 1
    assert all(found.values())


def test_neither_host_nor_user_is_named():
    person = "someone_with_a_name"
    known = {"USER": person, "LOGNAME": person, "USERNAME": person, "HOME": f"/home/{person}", "HOSTNAME": person}
    code = "import json; from parity import environment as e; print(json.dumps([e.versions(), e.machine()]))"
    done = samples.python("-c", code, env=known)
    versions, machine = json.loads(done.stdout)
    assert machine == environment.machine()
    assert person not in done.stdout
    words = re.findall(r"[\w.-]+", json.dumps([list(versions.values()), list(machine.values())]))
    assert socket.gethostname() not in words
    assert socket.getfqdn() not in words
