"""Where the prices of a command come from: the bundled book, the configured one, a data file, price files."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from otel_llmcost.errors import ConfigError, InputError
from otel_llmcost.pricing.book import PriceBook
from otel_llmcost.pricing.configured import configured_book
from otel_llmcost.pricing.overlays.checks import Placed
from otel_llmcost.pricing.overlays.files import FORMAT, archived_entries, compile_entries, entries_of, from_document
from otel_llmcost.pricing.overlays.fx import Fx
from otel_llmcost.pricing.refresh import Floor, fetch_data, parse_data
from otel_llmcost.settings import Settings
from otel_llmcost.yaml_file import YamlFile

FETCH_TIMEOUT_S: Final = 60
GIT_TIMEOUT_S: Final = 30


def book_named(name: str, settings: Settings) -> PriceBook:
    """A book by what the user calls it.

    `bundled`, `configured`, `genai-prices` (what is published now), a URL or file of such data, or a price file
    (`.yaml`) over the bundled book.

    Raises:
        ConfigError: a price file is wrong.
        InputError: there is no such source, or it holds no prices.
    """
    if name == "bundled":
        return PriceBook.bundled()
    if name == "configured":
        return configured_book(settings)
    if Path(name).suffix in (".yaml", ".yml"):
        return PriceBook.bundled(compile_entries(entries_of(YamlFile.read(Path(name))), Fx(settings.prices.fx)))
    try:
        raw = fetch_data(name, FETCH_TIMEOUT_S)
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or type(error).__name__}") from None
    document = _archived(raw)
    if document is not None:
        return PriceBook.bundled(from_document(document))
    try:
        data = parse_data(raw, Floor(models=1), "", time.time())
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    return PriceBook(data.snapshot, data.version)


def entries_before(source: str, paths: Sequence[Path]) -> Sequence[Placed]:
    """The entries that were in force: of a file (YAML, or an archived document), or of the price files at a git commit.

    Raises:
        ConfigError: the source does not exist or cannot be read.
    """
    if Path(source).is_file():
        text = Path(source).read_text(encoding="utf-8")
        document = _archived(text.encode())
        return archived_entries(document) if document is not None else entries_of(YamlFile.parse(text, source))
    entries: list[Placed] = []
    for path in paths:
        then = _at_commit(source, path)
        if then is not None:
            entries.extend(entries_of(YamlFile.parse(then, f"{source}:{path}")))
    return entries


def _archived(raw: bytes) -> Mapping[str, Any] | None:
    """An archived document of overlays, which is JSON and so YAML too; None for anything else."""
    if b'"format"' not in raw[:200] and b'"credits"' not in raw[:200] and not raw.lstrip().startswith(b"{"):
        return None
    try:
        document = yaml.safe_load(raw)
    except yaml.YAMLError:
        return None
    return document if isinstance(document, dict) and document.get("format") == FORMAT else None


def _at_commit(commit: str, path: Path) -> str | None:
    """A file as it was at a commit; None where it was not there yet."""
    folder, name = path.resolve().parent, path.name
    if _git(folder, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}") is None:
        raise ConfigError(f"--against {commit}: is neither a file nor a commit of the repository of {path}")
    return _git(folder, "show", f"{commit}:./{name}")


def _git(folder: Path, *args: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - fixed program, arguments are no shell text
            ["git", "-C", str(folder), *args],  # noqa: S607 - the user's git
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"--against: git cannot be run: {type(error).__name__}") from None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
