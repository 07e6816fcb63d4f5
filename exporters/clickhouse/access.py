"""How a ledger's server lets us in: credentials and certificates, from the URL, the environment and files.

A password is, the first that is there: that of the URL, OTEL_LLMCOST_LEDGER_PASSWORD, the content of
OTEL_LLMCOST_LEDGER_PASSWORD_FILE, CLICKHOUSE_PASSWORD. The file is read at every connection, so that a password that is
changed needs no restart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import SplitResult, unquote

from otel_llmcost.errors import ConfigError, RetryableError
from otel_llmcost.settings import LEDGER_ACCESS

USER, PASSWORD, PASSWORD_FILE, CA_FILE, CERT_FILE, KEY_FILE = LEDGER_ACCESS
MAX_PASSWORD_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True)
class Access:
    """User, password and certificates. Neither shows in a repr."""

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    @classmethod
    def of(cls, url: SplitResult, environ: Mapping[str, str]) -> Self:
        """
        Raises:
            ConfigError: a file cannot be read, or two variables contradict each other.
        """
        if environ.get(PASSWORD) and environ.get(PASSWORD_FILE):
            raise ConfigError(f"environment: {PASSWORD} and {PASSWORD_FILE} are both set; take one away")
        files = [environ.get(name, "") for name in (CA_FILE, CERT_FILE, KEY_FILE)]
        if files[2] and not files[1]:
            raise ConfigError(f"environment: {KEY_FILE} is the key of a certificate: set {CERT_FILE} too")
        if any(files) and url.scheme != "clickhouses":
            raise ConfigError("environment: certificates are set for a ledger without TLS; write clickhouses://")
        for name in (PASSWORD_FILE, CA_FILE, CERT_FILE, KEY_FILE):
            if problem := _problem_of(environ.get(name, "")):
                raise ConfigError(f"environment: {name}: {problem}")
        password = unquote(url.password or "") or environ.get(PASSWORD, "")
        password_file = "" if password else environ.get(PASSWORD_FILE, "")
        return cls(
            unquote(url.username or "") or environ.get(USER, "") or environ.get("CLICKHOUSE_USER", "") or "default",
            password or ("" if password_file else environ.get("CLICKHOUSE_PASSWORD", "")),
            password_file,
            *files,
        )

    def options(self) -> dict[str, Any]:
        """Options of the client library for a new connection.

        Raises:
            RetryableError: the password's file cannot be read any more.
        """
        options: dict[str, Any] = {"username": self.user, "password": self._password()}
        files = {"ca_cert": self.ca_file, "client_cert": self.cert_file, "client_cert_key": self.key_file}
        options |= {name: file for name, file in files.items() if file}
        if self.cert_file and options["password"]:
            options["tls_mode"] = "strict"  # the certificate opens the connection, the password says who we are
        return options

    def _password(self) -> str:
        if not self.password_file:
            return self.password
        if problem := _problem_of(self.password_file):
            raise RetryableError(f"{PASSWORD_FILE}: {problem}")
        return _head_of(self.password_file).decode("utf-8", "replace").strip("\r\n")


def _problem_of(path: str) -> str:
    """Why a file cannot be read; empty where it can, or there is none to be read."""
    try:
        if path:
            _head_of(path)
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror or type(error).__name__}"
    return ""


def _head_of(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(MAX_PASSWORD_BYTES)


NOBODY: Final = Access()
