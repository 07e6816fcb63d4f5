"""Price files from disk and from the archive → `Overlays`, with every mistake at its line."""

from collections.abc import Iterable, Mapping, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from otel_llmcost.config_types import FxRate
from otel_llmcost.errors import ConfigError
from otel_llmcost.pricing.overlays.checks import Placed, problems_of
from otel_llmcost.pricing.overlays.document import SECTIONS, PriceFile
from otel_llmcost.pricing.overlays.fx import USD, Fx
from otel_llmcost.pricing.overlays.overlays import Overlays
from otel_llmcost.settings import Settings
from otel_llmcost.yaml_file import YamlFile, explain_mistake

FORMAT = 1
"""Of the archived document."""


def overlays_of(settings: Settings) -> Overlays | None:
    """The overlays that the configuration names; None where it names none.

    Raises:
        ConfigError: every mistake of the files, one a line, each with its file and line.
    """
    if not settings.prices.overlays:
        return None
    entries = read_entries(overlay_paths(settings.prices.overlays))
    return compile_entries(entries, Fx(settings.prices.fx), known_dimensions(settings))


def known_dimensions(settings: Settings) -> Sequence[str]:
    """Dimensions that entries may ask for."""
    rules = settings.attribution.rules
    return [*settings.attribution.dimensions, *(name for rule in rules for name in (*rule.set, *rule.from_baggage))]


def overlay_paths(patterns: Iterable[str]) -> Sequence[Path]:
    """The files that names and patterns stand for, each once.

    Raises:
        ConfigError: a pattern matches no file.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        # pathlib takes no absolute patterns
        names = sorted(glob(pattern)) if has_magic(pattern) else [pattern]  # noqa: PTH207
        if not names:
            raise ConfigError(f"prices.overlays: no file matches {pattern}")
        found.update(dict.fromkeys(Path(name) for name in names))
    return list(found)


def read_entries(paths: Iterable[Path]) -> Sequence[Placed]:
    """The entries of files, each with its place.

    Raises:
        ConfigError: every mistake within entries, one a line.
    """
    entries: list[Placed] = []
    mistakes: list[str] = []
    for path in paths:
        try:
            entries.extend(entries_of(YamlFile.read(path)))
        except ConfigError as error:
            mistakes.append(str(error))
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return entries


def entries_of(document: YamlFile) -> Sequence[Placed]:
    """The entries of one file, in their currency.

    Raises:
        ConfigError: every mistake within entries, one a line.
    """
    try:
        file = PriceFile.model_validate(document.data)
    except ValidationError as error:
        lines = []
        for detail in error.errors(include_url=False):
            location, text = explain_mistake(detail, PriceFile)
            lines.append(f"{document.place(location)}{text}")
        raise ConfigError("\n".join(lines)) from None
    placed = []
    for section, index, entry in file.entries():
        currency = entry.currency or file.currency
        in_currency = entry.model_copy(update={"currency": None if currency == USD else currency})
        placed.append(Placed(section, in_currency, document.place((section, index))))
    return placed


def compile_entries(entries: Sequence[Placed], fx: Fx, dimensions: Iterable[str] | None = None) -> Overlays:
    """
    Raises:
        ConfigError: everything that is wrong between the entries, one a line; warnings are none of it.
    """
    problems = [str(problem) for problem in problems_of(entries, fx, dimensions) if not problem.warning]
    if problems:
        raise ConfigError("\n".join(problems))
    sections: dict[str, list[Any]] = {section: [] for section in SECTIONS}
    for placed in entries:
        sections[placed.section].append(placed.entry)
    return Overlays(PriceFile.model_validate(sections), fx)


def from_document(document: Mapping[str, Any]) -> Overlays:
    """The overlays that `Overlays.to_document` wrote: the same prices and the same version.

    Raises:
        ConfigError: the document is none, or of a later format.
    """
    return compile_entries(archived_entries(document), _archived_fx(document))


def archived_entries(document: Mapping[str, Any]) -> Sequence[Placed]:
    """The entries of an archived document.

    Raises:
        ConfigError: the document is none, or of a later format.
    """
    if document.get("format") != FORMAT:
        raise ConfigError(
            f"archived overlays: format {document.get('format')!r} is unknown; this version reads {FORMAT}"
        )
    data = {key: value for key, value in document.items() if key not in ("format", "fx")}
    return entries_of(YamlFile("archived overlays", data, None))


def _archived_fx(document: Mapping[str, Any]) -> Fx:
    try:
        return Fx(TypeAdapter(dict[str, list[FxRate]]).validate_python(document.get("fx", {})))
    except ValidationError as error:
        raise ConfigError(f"archived overlays: fx: {error.errors(include_url=False)[0]['msg']}") from None
