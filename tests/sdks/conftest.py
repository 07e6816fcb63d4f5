"""Fixtures of the tests with real SDKs."""

from pathlib import Path

import certifi
import pytest
from billing import Bill


@pytest.fixture
def bill() -> Bill:
    return Bill()


@pytest.fixture(params=["sync", "async"])
def flavour(request: pytest.FixtureRequest) -> str:
    """Which of an SDK's two clients."""
    return request.param


@pytest.fixture(scope="session")
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of one certificate authority: a client of plain HTTP reads them all for nothing, at 40 ms a client."""
    end = "-----END CERTIFICATE-----\n"
    bundle = tmp_path_factory.mktemp("tls") / "authorities.pem"
    bundle.write_text(Path(certifi.where()).read_text(encoding="utf-8").partition(end)[0] + end, encoding="utf-8")
    return bundle


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch, one_authority: Path) -> None:
    """Nothing stands between the SDKs and loopback."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(one_authority))
