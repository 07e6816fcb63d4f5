"""What the distribution holds and what importing it takes in."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = {"chdb", "grpc", "pandas", "pyarrow", "numpy", "starlette", "uvicorn", "clickhouse_connect", "rich", "httpx"}


def python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd="/")
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    "module",
    [
        "otel_llmcost",
        "otel_llmcost.pipeline",
        "otel_llmcost.distro",
        "otel_llmcost.cli",
        "otel_llmcost.processors.rotel",
    ],
)
def test_an_import_takes_in_none_of_the_extras(module: str) -> None:
    """What an application loads stays light."""
    loaded = python(f"import sys, {module}; print(*sys.modules)").split()
    assert set() == EXTRAS & {name.partition(".")[0] for name in loaded}


def test_every_package_on_disk_is_listed() -> None:
    """One that is not listed would vanish from the wheel without a word."""
    found = set()
    for top, prefix in (("otel_llmcost", ()), ("processors", ("otel_llmcost",)), ("exporters", ("otel_llmcost",))):
        for init in (ROOT / top).rglob("__init__.py"):  # does not follow the links in otel_llmcost/
            found.add(".".join((*prefix, *init.parent.relative_to(ROOT).parts)))
    assert found == set(PYPROJECT["tool"]["setuptools"]["packages"])


def test_the_base_dependencies_are_light() -> None:
    """Anything heavier is an extra."""
    names = {line.partition(">")[0] for line in PYPROJECT["project"]["dependencies"]}
    assert {
        "opentelemetry-sdk",
        "opentelemetry-instrumentation",
        "genai-prices",
        "pydantic",
        "pyyaml",
    } == names


def test_the_wheel_holds_every_module_and_data_file(tmp_path) -> None:
    """Built as a user's installer builds it."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {"otel_llmcost/py.typed"}
    for top, prefix in (("otel_llmcost", ""), ("processors", "otel_llmcost/"), ("exporters", "otel_llmcost/")):
        for pattern in ("*.py", "*.sql", "*.json"):
            files = subprocess.run(
                ["git", "ls-files", "-co", "--exclude-standard", f"{top}/**{pattern}", f"{top}/{pattern}"],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split()
            expected |= {prefix + name for name in files}
    assert expected == packed


def test_the_pins_name_versions_and_no_place() -> None:
    """No index, no host, no path: whoever installs chooses where from."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    assert [] == [line for line in lines if "==" not in line or "/" in line or "@" in line]
