"""The processes of the demo: the replay provider, and the sample application as any user would run it:

OTEL_PYTHON_DISTRO=llmcost OTEL_LLMCOST_LEDGER=chdb:///… opentelemetry-instrument python app.py
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

EXAMPLES: Final = Path(__file__).resolve().parents[1]
READY: Final = re.compile(r"http://127\.0\.0\.1:\d+")
STOP_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Service:
    """One process of the sample application and who owns it."""

    name: str
    team: str
    workload: str
    calls: int


SERVICES: Final = (
    Service("support-bot", "cx", "support", 120),
    Service("shop-search", "discovery", "search", 120),
    Service("nightly-batch", "data", "batch", 80),
)


class ChildFailedError(Exception):
    """A process of the demo ended badly; the text is what it printed."""


@contextmanager
def replay_provider(log: Path, *options: str) -> Iterator[str]:
    """A running replay provider, as its origin (`http://127.0.0.1:PORT`). The log is complete once the block ends."""
    command = [sys.executable, str(EXAMPLES / "replay_provider.py"), "--port", "0", "--log", str(log), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 (our own file)
        try:
            assert process.stdout is not None
            ready = READY.search(process.stdout.readline())
            if ready is None:
                raise ChildFailedError("the replay provider did not start")
            yield ready[0]
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def read_log(log: Path) -> list[dict[str, Any]]:
    """What the provider served so far, in the order in which it finished."""
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True) if log.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def sdk_environment(origin: str) -> dict[str, str]:
    """The SDKs' standard variables, pointing at the replay provider."""
    return {
        "OPENAI_BASE_URL": f"{origin}/openai/v1",
        "OPENAI_API_KEY": "sk-not-a-real-key",
        "ANTHROPIC_BASE_URL": f"{origin}/anthropic",
        "ANTHROPIC_API_KEY": "sk-ant-not-a-real-key",
        "GROQ_BASE_URL": f"{origin}/groq",
        "GROQ_API_KEY": "gsk-not-a-real-key",
        "NO_PROXY": "127.0.0.1",
    }


def service_environment(service: Service, origin: str, ledger: Path) -> dict[str, str]:
    """Everything that turns the plain application into one with a bill: environment variables and nothing else."""
    host = origin.removeprefix("http://")
    sellers = {f"{host}/{seller}": seller for seller in ("openai", "anthropic", "groq")}
    return {
        "OTEL_PYTHON_DISTRO": "llmcost",
        "OTEL_SERVICE_NAME": service.name,
        "OTEL_RESOURCE_ATTRIBUTES": f"team={service.team},deployment.environment.name=demo",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_LLMCOST_CONFIG": str(EXAMPLES / "demo" / "llmcost.yaml"),
        "OTEL_LLMCOST_LEDGER": f"chdb://{ledger}",
        # The provider's port is known only now, so its hosts cannot stand in the file.
        "OTEL_LLMCOST_PROVIDERS_HOSTS": json.dumps(sellers),
    }


def inherited_environment() -> dict[str, str]:
    """Our own environment without what would configure the services otherwise."""
    foreign = ("OTEL_", "OPENAI_", "ANTHROPIC_", "GROQ_", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def start_service(service: Service, environment: Mapping[str, str], output: Path) -> subprocess.Popen[bytes]:
    """Start the sample application under `opentelemetry-instrument`; what it prints goes to the file."""
    launcher = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    app = [sys.executable, str(EXAMPLES / "support_app" / "app.py")]
    options = ["--workload", service.workload, "--calls", str(service.calls)]
    with output.open("wb") as file:
        return subprocess.Popen(  # noqa: S603 (our own file)
            [launcher, *app, *options],
            env=inherited_environment() | environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
