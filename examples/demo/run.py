"""`make demo`: three services of a web shop run against a replay provider, and the ledger says who owes what.

No key, no network: the provider is `examples/replay_provider.py` on loopback. The services are the unmodified sample
application; environment variables are all that gives them a bill (services.py).
"""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from report import report
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from services import (
    EXAMPLES,
    SERVICES,
    ChildFailedError,
    Service,
    read_log,
    replay_provider,
    sdk_environment,
    service_environment,
    start_service,
)

DIRECTORY: Final = EXAMPLES.parent / ".demo"
POLL_SECONDS: Final = 0.1


def run_services(origin: str, ledger: Path, log: Path, outputs: Path) -> None:
    """Run the services one after another, with a progress bar: the embedded ledger belongs to one process at a time.

    Raises:
        ChildFailedError: a service ended badly.
    """
    columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        for service in SERVICES:
            task = progress.add_task(service.name, total=service.calls)
            before = len(read_log(log))
            output = output_of(service, outputs)
            environment = sdk_environment(origin) | service_environment(service, origin, ledger)
            with start_service(service, environment, output) as process:
                while process.poll() is None:
                    progress.update(task, completed=min(len(read_log(log)) - before, service.calls))
                    time.sleep(POLL_SECONDS)
            if process.returncode != 0:
                raise ChildFailedError(f"{service.name} ended with code {process.returncode}:\n{output.read_text()}")
            progress.update(task, completed=service.calls)


def output_of(service: Service, directory: Path) -> Path:
    """Where a service's output goes; it is shown only when something fails."""
    return directory / f"{service.name}.txt"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Bill lines on this machine, without a key or a network.")
    parser.add_argument(
        "--directory", type=Path, default=DIRECTORY, help="for the ledger and the logs (default: %(default)s)"
    )
    directory = parser.parse_args(arguments).directory.resolve()
    console = Console()
    ledger, log = directory / "ledger", directory / "served.jsonl"
    directory.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(ledger, ignore_errors=True)
    log.unlink(missing_ok=True)
    console.print("Three services call OpenAI, Anthropic and Groq; a replay provider on this machine answers.\n")
    try:
        with replay_provider(log) as origin:
            run_services(origin, ledger, log, directory)
    except ChildFailedError as error:
        console.print(str(error), markup=False, highlight=False)
        return 1
    code = report(f"chdb://{ledger}", read_log(log), console)
    if code != 0:
        for service in SERVICES:
            console.print(output_of(service, directory).read_text(), markup=False, highlight=False)
    return code


if __name__ == "__main__":
    sys.exit(main())
