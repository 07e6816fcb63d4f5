"""The real Collector and the real rotel."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

CONFIG_DIRECTORY = Path(__file__).parents[2] / "collector-config"


def absent(reason: str) -> NoReturn:
    """Skip by name; where all is to be tested, fail."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"CI has to test this: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def otelcol() -> Path:
    """The Collector's binary; building it takes minutes the first time."""
    if shutil.which("go") is None:
        absent("Go is not installed: no OpenTelemetry Collector to run the configuration in")
    built = subprocess.run(
        [CONFIG_DIRECTORY / "build_collector.sh"], check=True, stdout=subprocess.PIPE, text=True, timeout=1_800
    )
    return Path(built.stdout.strip())


@pytest.fixture(scope="session")
def rotel_agent() -> Path:
    """rotel's binary out of its wheel, for the Python that runs the tests."""
    installed = subprocess.run(
        [CONFIG_DIRECTORY / "install_rotel.sh", sys.executable],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if installed.returncode != 0:
        absent(f"no wheel of rotel for this Python: {installed.stderr.strip()}")
    agent = Path(installed.stdout.strip())
    try:
        runs = subprocess.run([agent, "--version"], capture_output=True, text=True, check=False)
    except OSError as error:  # another libc
        absent(f"rotel does not run here: {error}")
    if runs.returncode != 0:
        absent(f"rotel does not run here: {runs.stderr.strip()}")
    return agent


@pytest.fixture(scope="session")
def javascript() -> Path:
    """A folder with the JavaScript sender and its packages, installed once."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        absent("Node.js and npm are not installed: no application in JavaScript")
    source = Path(__file__).parent / "javascript"
    version = hashlib.sha256((source / "package.json").read_bytes()).hexdigest()[:16]
    folder = CONFIG_DIRECTORY.parent / ".cache" / "javascript" / version
    if not (folder / "installed").exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / "package.json", folder)
        command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
        if installed.returncode != 0:
            absent(f"the packages of the JavaScript sender cannot be had: {installed.stderr[-500:]}")
        (folder / "installed").touch()
    shutil.copy(source / "sender.js", folder)
    return folder
