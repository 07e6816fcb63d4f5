"""Fixtures of the tests with real SDKs."""

import pytest
from billing import Bill


@pytest.fixture
def bill() -> Bill:
    return Bill()


@pytest.fixture(params=["sync", "async"])
def flavour(request: pytest.FixtureRequest) -> str:
    """Which of an SDK's two clients."""
    return request.param


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stands between the SDKs and loopback."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
