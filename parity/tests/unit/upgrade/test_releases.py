"""The releases of an index: which are there, which are skipped, and which index is read."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from packaging.tags import platform_tags

from parity.core.errors import NotComparableError, UsageError
from parity.upgrade import releases
from parity.upgrade.releases import Release

HERE = next(iter(platform_tags()))
FILES = {
    "pkg-1.0-py3-none-any.whl": "",
    "pkg-1.1rc1-py3-none-any.whl": "",
    "pkg-1.2-py3-none-any.whl": 'data-yanked="bad  &lt;b&gt;"',
    "pkg-1.3-py3-none-any.whl": 'data-requires-python="&gt;=3.13"',
    f"pkg-1.4-cp310-cp310-{HERE}.whl": "",
    f"pkg-1.5-cp312-cp312-{HERE}.whl": "",
    "pkg-1.5.tar.gz": "",
    "pkg-1.6-cp312-cp312-win_amd64.whl": "",
    "pkg-1.7.tar.gz": "",
    "pkg-1.8-py3-none-any.whl": 'data-requires-python="&gt;=3.12.3"',
    "pkg-1.10-py3-none-any.whl": 'data-requires-python="nonsense"',
    "pkg-1.9-py3-none-any.whl": 'data-yanked=""',
    f"pkg-1.9-cp312-abi3-{HERE}.whl": "",
    "pkg.unreadable": "",
}
SELECTED = [
    Release("1.0"),
    Release("1.2", "yanked: bad <b>"),
    Release("1.3", "needs Python >=3.13"),
    Release("1.4", "no wheel for Python 3.12 here"),
    Release("1.5"),
    Release("1.6", "no wheel for Python 3.12 here"),
    Release("1.7", "no wheel for Python 3.12 here"),
    Release("1.8"),
    Release("1.9"),
    Release("1.10"),
]


@pytest.fixture(scope="module")
def address():
    """The address of an index with one package."""

    class Index(BaseHTTPRequestHandler):
        def do_GET(self):
            there = self.path == "/simple/pkg/"
            links = "".join(f'<a href="/files/{name}" {more}>{name}</a><br/>' for name, more in FILES.items())
            self.send_response(200 if there else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f"<!doctype html><html><body>{links}</body></html>".encode())

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple/"
        server.shutdown()


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch, tmp_path):
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_releases_are_listed_oldest_first_with_their_obstacles(address, monkeypatch):
    monkeypatch.setenv("UV_INDEX_URL", address)
    assert releases.list_releases("pkg", "3.12") == SELECTED


def test_a_package_that_the_index_does_not_have_is_named(address, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", address)
    with pytest.raises(UsageError, match="the package index has no nosuch"):
        releases.list_releases("nosuch", "3.12")


def test_the_password_of_an_index_is_in_no_message(monkeypatch):
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://user:secret@127.0.0.1:1/simple/")
    with pytest.raises(NotComparableError, match="cannot be read for pkg: ConnectionError") as raised:
        releases.list_releases("pkg", "3.12")
    assert "secret" not in str(raised.value)


def test_the_index_is_the_one_that_uv_and_pip_use(monkeypatch, tmp_path):
    monkeypatch.setattr(releases, "_SYSTEM", ())
    assert releases.index() is None
    configured = tmp_path / "config" / "pip" / "pip.conf"
    configured.parent.mkdir(parents=True)
    configured.write_text("[global]\nindex-url = of-pip\n", encoding="utf-8")
    assert releases.index() == "of-pip"
    given = tmp_path / "given.conf"
    given.write_text("[install]\nindex-url = of-the-file\n[global]\nindex-url = of-pip\n", encoding="utf-8")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(given))
    assert releases.index() == "of-the-file"
    for name in ("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.setenv(name, name)
        assert releases.index() == name


def test_a_pip_configuration_that_cannot_be_read_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    (tmp_path / "pip.conf").write_text("index-url without a section", encoding="utf-8")
    with pytest.raises(UsageError, match="pip's configuration cannot be read"):
        releases.index()
