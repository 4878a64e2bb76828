"""What a run ran on, and what the handshake between writer and reader foretells."""

import json
import re
import socket

import pytest

from parity import environment
from parity.environment import MAY_BREAK, WILL_BREAK, WILL_WORK, Reader, Writer, foresee
from parity.tests import samples


@pytest.mark.parametrize(
    ("reader", "outlook", "said"),
    [
        (Reader("1.9.0", 9), WILL_WORK, "up to 1.9.0"),
        (Reader("1.10.0", 10), WILL_WORK, "up to 1.10.0"),
        (Reader("2.0.0", 9), WILL_WORK, "up to 2.0.0"),
        (Reader("1.8.9", 9), MAY_BREAK, "StableHLO 1.9.0, TensorFlow reads up to 1.8.9"),
        (Reader("0.20.0", 9), MAY_BREAK, "StableHLO 1.9.0, TensorFlow reads up to 0.20.0"),
        (Reader("1.9.0", 8), WILL_BREAK, "convention 9, TensorFlow accepts up to 8"),
        (Reader("1.8.0", 8), WILL_BREAK, "convention 9, TensorFlow accepts up to 8"),
        (Reader(None, 8), WILL_BREAK, "convention 9, TensorFlow accepts up to 8"),
        (Reader(None, 9), MAY_BREAK, "does not say"),
        (Reader("1.9.0", None), MAY_BREAK, "does not say"),
        (Reader(None, None), MAY_BREAK, "does not say"),
    ],
)
def test_the_outlook(reader, outlook, said):
    found, reason = foresee(Writer("1.9.0", 9), reader)
    assert found == outlook
    assert said in reason


def test_versions_are_compared_as_numbers():
    assert foresee(Writer("1.10.0", 9), Reader("1.9.12", 9))[0] == MAY_BREAK
    assert foresee(Writer("1.9.12", 9), Reader("1.10.0", 9))[0] == WILL_WORK


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
