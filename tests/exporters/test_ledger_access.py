"""Credentials and certificates of a ledger: from the URL, the environment and files, and shown nowhere."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from chdb_server import PASSWORD, USER, ChdbServer, serve
from factories import make_call
from otel_llmcost.errors import ConfigError, RetryableError
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger, LedgerUrl

SECRET = "hunter2-s3cret"
PREFIX = "OTEL_LLMCOST_LEDGER_"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChdbServer]:
    with serve(tmp_path / "ledger") as running:
        yield running


def with_tls(server: ChdbServer, authority: trustme.CA, *, asks_for_certificate: bool = False) -> str:
    """The server speaks TLS from here on; its URL."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if asks_for_certificate:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return f"clickhouses://{USER}@127.0.0.1:{server.server_port}"


@pytest.fixture
def files(tmp_path: Path, authority: trustme.CA) -> dict[str, str]:
    """Paths of an authority's certificate, of a client's with its key, and of a file with the password."""
    ours = authority.issue_cert("client@llmcost")
    paths = {name: tmp_path / name for name in ("ca", "cert", "key", "password")}
    authority.cert_pem.write_to_path(paths["ca"])
    ours.cert_chain_pems[0].write_to_path(paths["cert"])
    ours.private_key_pem.write_to_path(paths["key"])
    paths["password"].write_text(PASSWORD + "\n")
    return {name: str(path) for name, path in paths.items()}


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("clickhouse://h", {}, ("default", "")),
        ("clickhouse://h", {"CLICKHOUSE_USER": "u", "CLICKHOUSE_PASSWORD": "p"}, ("u", "p")),
        ("clickhouse://h", {PREFIX + "USER": "v", PREFIX + "PASSWORD": "q", "CLICKHOUSE_PASSWORD": "p"}, ("v", "q")),
        ("clickhouse://u:p@h", {PREFIX + "USER": "v", PREFIX + "PASSWORD": "q"}, ("u", "p")),
        ("clickhouse://u@h", {PREFIX + "PASSWORD": "q"}, ("u", "q")),
    ],
)
def test_the_nearest_credentials_count(url: str, environ: dict[str, str], expected: tuple[str, str]) -> None:
    """The URL's own, then ours, then ClickHouse's."""
    options = LedgerUrl.parse(url, environ).access.options()
    assert expected == (options["username"], options["password"])


def test_a_password_in_a_file_is_read_at_every_connection(server, files, monkeypatch) -> None:
    """One that is changed lets in again without a restart."""
    password = Path(files["password"])
    password.write_text("old\n")
    monkeypatch.setenv(PREFIX + "PASSWORD_FILE", files["password"])
    sink = open_sink(f"clickhouse://{USER}@127.0.0.1:{server.server_port}")
    with pytest.raises(RetryableError, match="check the user and the password"):
        sink.write([make_call(1)])
    password.write_text(PASSWORD + "\n")
    sink.write([make_call(1)])
    sink.close()
    password.unlink()
    with pytest.raises(RetryableError, match="cannot be read"):
        sink.write([make_call(1)])


def test_a_ledger_behind_tls_is_trusted_by_its_authority(server, authority, files, monkeypatch) -> None:
    """And by no other."""
    url = with_tls(server, authority)
    monkeypatch.setenv(PREFIX + "PASSWORD_FILE", files["password"])
    with pytest.raises(RetryableError):
        Ledger.open(url)
    monkeypatch.setenv(PREFIX + "CA_FILE", files["ca"])
    sink = open_sink(url)
    sink.write([make_call(1)])
    sink.close()
    with Ledger.open(url) as ledger:
        assert [(1,)] == ledger.query("SELECT count() FROM calls").rows


def test_a_server_that_asks_for_a_certificate_gets_ours(server, authority, files, monkeypatch) -> None:
    """Beside the password, which says who we are."""
    url = with_tls(server, authority, asks_for_certificate=True)
    monkeypatch.setenv(PREFIX + "PASSWORD", PASSWORD)
    monkeypatch.setenv(PREFIX + "CA_FILE", files["ca"])
    with pytest.raises(RetryableError):
        Ledger.open(url)
    monkeypatch.setenv(PREFIX + "CERT_FILE", files["cert"])
    monkeypatch.setenv(PREFIX + "KEY_FILE", files["key"])
    with Ledger.open(url) as ledger:
        assert ledger.client.server_version


def test_a_certificate_alone_says_who_we_are(files) -> None:
    """Without a password the server is asked to take the certificate for it."""
    environ = {PREFIX + "CERT_FILE": files["cert"], PREFIX + "KEY_FILE": files["key"]}
    assert "tls_mode" not in LedgerUrl.parse("clickhouses://u@h", environ).access.options()


@pytest.mark.parametrize(
    ("url", "names", "message"),
    [
        ("clickhouse://h", {"PASSWORD": SECRET, "PASSWORD_FILE": "password"}, "are both set"),
        ("clickhouse://h", {"PASSWORD_FILE": "nonexistent"}, "PASSWORD_FILE: .*nonexistent: cannot be read: No such"),
        ("clickhouses://h", {"CA_FILE": "nonexistent"}, "CA_FILE: .*cannot be read"),
        ("clickhouses://h", {"KEY_FILE": "key"}, "set OTEL_LLMCOST_LEDGER_CERT_FILE too"),
        ("clickhouse://h", {"CA_FILE": "ca"}, "without TLS; write clickhouses://"),
    ],
)
def test_a_mistake_is_told_at_start_up(
    tmp_path: Path, files: dict[str, str], url: str, names: dict[str, str], message: str
) -> None:
    """Before a line waits for it; no text has a password in it."""
    environ = {PREFIX + name: files.get(value, str(tmp_path / value)) for name, value in names.items()}
    if names.get("PASSWORD"):
        environ[PREFIX + "PASSWORD"] = SECRET
    with pytest.raises(ConfigError, match=message) as caught:
        LedgerUrl.parse(url, environ)
    assert SECRET not in str(caught.value)


def test_no_credential_shows_in_a_repr() -> None:
    """Nor in that of what holds it."""
    parsed = LedgerUrl.parse("clickhouse://someone@h", {PREFIX + "PASSWORD": SECRET})
    assert "someone" not in repr(parsed)
    assert SECRET not in repr(parsed)
