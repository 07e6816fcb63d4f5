"""Makes the golden files: an environment for each group of packages that can live together, and its driver in it.

    python tests/dialects/generate/record.py --into /some/folder [group ...]

An environment that is there is taken as it is. Needs a package index (Python 3.12; npm and Node 20 for Vercel's SDK);
the calls themselves go to a provider on loopback.
"""

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
PYTHON_GROUPS = sorted(path.stem.removeprefix("constraints-") for path in HERE.glob("constraints-*.txt"))
NPM = {  # the SDK and its providers of the same generation
    "vercel4": ("ai@4.3.19", "@ai-sdk/openai@1.3.24", "@ai-sdk/anthropic@1.2.12", "@ai-sdk/google@1", "zod@3"),
    "vercel5": ("ai@5.0.277", "@ai-sdk/openai@2", "@ai-sdk/anthropic@2", "@ai-sdk/google@2"),
    "vercel6": ("ai@6.0.326", "@ai-sdk/openai@3", "@ai-sdk/anthropic@3", "@ai-sdk/google@3"),
    "vercel7": ("ai@7.0.173", "@ai-sdk/openai@4", "@ai-sdk/anthropic@4", "@ai-sdk/google@4", "@ai-sdk/otel@1"),
}
OTEL_JS = ("@opentelemetry/api@1", "@opentelemetry/sdk-trace-node@2", "@opentelemetry/resources@2")


def python_of(folder: Path, group: str) -> Path:
    """The interpreter of a group's environment, with exactly the packages of its constraints."""
    python = folder / group / "v" / "bin" / "python"
    if not python.exists():
        venv.create(folder / group / "v", with_pip=True)
        wanted = HERE / f"constraints-{group}.txt"
        subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "-r", wanted], check=True)
    return python


def npm_folder(folder: Path, group: str) -> Path:
    found = folder / group
    if not (found / "node_modules").exists():
        found.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "init", "-y"], cwd=found, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["npm", "install", *NPM[group], *OTEL_JS], cwd=found, check=True)
    return found


def command_of(folder: Path, group: str) -> list[str | Path]:
    if group in NPM:
        return [python_of(folder, "otel"), HERE / "drive_vercel.py", npm_folder(folder, group)]
    return [python_of(folder, group), HERE / f"drive_{group}.py"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, required=True, help="folder of the environments")
    parser.add_argument("groups", nargs="*", help=f"of {', '.join([*PYTHON_GROUPS, *NPM])}; all by default")
    options = parser.parse_args()
    failed = []
    for group in options.groups or [*PYTHON_GROUPS, *NPM]:
        command = command_of(options.into.resolve(), group)
        quiet = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1"}
        if subprocess.run(command, env=quiet, check=False).returncode:
            failed.append(group)
    if failed:
        print("not recorded:", ", ".join(failed), file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
