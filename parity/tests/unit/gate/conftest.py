"""What the tests of the gate share."""

import pytest

from parity import gate


@pytest.fixture
def policy(tmp_path):
    """Reads a policy from a text."""

    def write(text):
        (tmp_path / "policy.toml").write_text(text, encoding="utf-8")
        return gate.load_policy(tmp_path / "policy.toml")

    return write
