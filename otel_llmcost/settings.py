"""`llmcost.yaml` and the environment → frozen `Settings`, validated at start-up.

The same file serves the application, the OTLP stage and the command line. Everything it says can be said by the
environment too: `OTEL_LLMCOST_LEDGER` is `ledger`, `OTEL_LLMCOST_ATTRIBUTION_DIMENSIONS` is
`attribution.dimensions`; values are read as YAML and win over the file. `OTEL_LLMCOST_CONFIG` names the file.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from otel_llmcost.errors import ConfigError, nearest

ENV_PREFIX: Final = "OTEL_LLMCOST_"
ENV_CONFIG: Final = "OTEL_LLMCOST_CONFIG"
LEDGER_SCHEMES: Final = ("clickhouse", "clickhouses", "chdb", "otlp", "otlps")
DIMENSION_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")


def _check_ledger(url: str) -> str:
    if url == "off":
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("is no URL") from None  # the parser's own text quotes the password
    if parts.scheme not in LEDGER_SCHEMES:
        raise ValueError(f"must be 'off' or a URL that starts with {', '.join(s + '://' for s in LEDGER_SCHEMES)}")
    if parts.scheme == "chdb" and not parts.path.strip("/"):
        raise ValueError("chdb needs the path of a directory: chdb:///var/lib/llmcost")
    if parts.scheme != "chdb" and not parts.hostname:
        raise ValueError(f"names no host: {parts.scheme}://host:port")
    return url


def _check_dimension(name: str) -> str:
    if not DIMENSION_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no dimension name: lower-case letters, digits and _, at most 63")
    return name


LedgerUrl = Annotated[str, AfterValidator(_check_ledger)]
DimensionName = Annotated[str, AfterValidator(_check_dimension)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Rule(_Section):
    """One attribution rule; a later rule overrides an earlier one. It does `set` or `from_baggage`, or both."""

    when: dict[str, str] = Field(default_factory=dict)
    """Conditions, all of which must hold: `service`, `provider`, `model`, `span.<attribute>`, `resource.<attribute>`
    or a dimension, against a value or a shell pattern (`support-*`)."""
    set: dict[DimensionName, str] = Field(default_factory=dict)
    """Dimension → value; `{resource.k8s.namespace.name}`, `{span.user.id}`, `{service}` are replaced. A template with
    a missing value sets nothing."""
    from_baggage: list[DimensionName] = Field(default_factory=list)
    """Dimensions taken from baggage entries of the same name (in-process), or from span attributes of that name, as
    OpenTelemetry's baggage span processor leaves them."""


class AttributionSettings(_Section):
    """Who pays for a call."""

    dimensions: list[DimensionName] = Field(default_factory=lambda: ["team", "feature", "customer"])
    """Dimensions that every line carries, beside the built-in user, session, agent, workflow and run."""
    rules: list[Rule] = Field(default_factory=list)
    """Applied in order; a later rule overrides."""
    unattributed: str = "(none)"
    """Value of a dimension that no rule set."""


class ProviderSettings(_Section):
    """Where providers are reached."""

    hosts: dict[str, str] = Field(default_factory=dict)
    """`host`, `host:port` or either with a path prefix → the seller's name, for a gateway or a server of your own:
    `{"llm.internal:8443/openai": openai}`."""
    stream_usage: Annotated[bool, Field(strict=False)] = True
    """Ask OpenAI and Azure OpenAI for the usage of chat streams that do not ask themselves, and take the answer out
    again before the application sees it."""
    estimate: Annotated[bool, Field(strict=False)] = True
    """Count tokens ourselves where a chat stream ends without anybody telling its usage: status `estimated`."""
    stream_usage_hosts: dict[str, bool] = Field(default_factory=dict)
    """The same for single hosts, as in `hosts`: `true` for a compatible server that knows `stream_options`, `false` to
    leave one alone."""


class DeliverySettings(_Section):
    """How lines travel from the application to the ledger."""

    queue_size: Annotated[int, Field(ge=1, le=10_000_000)] = 50_000
    """Spans that wait in memory at most; what does not fit is counted in `llmcost.dropped`."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 2_000
    """Lines written at once at most."""
    flush_interval_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 1_000
    """Longest wait of a line before it is written."""
    shutdown_timeout_ms: Annotated[int, Field(ge=0, le=600_000)] = 10_000
    """Longest wait for the ledger when the application ends."""


class MetricsSettings(_Section):
    """The metrics `llmcost.*`."""

    dimensions: list[DimensionName] = Field(default_factory=lambda: ["team", "feature"])
    """Dimensions that are attributes of metrics. Each multiplies the series: name only those of few values."""


class Settings(_Section):
    """The whole configuration."""

    ledger: LedgerUrl = "off"
    """Where bill lines go: `clickhouse://user@host:8123/llmcost`, `clickhouses://…`, `chdb:///path`,
    `otlp://host:4317`, `otlps://…` or `off`."""
    disabled: Annotated[bool, Field(strict=False)] = False
    """True: nothing is instrumented and nothing is written."""
    usage_cost_attribute: Annotated[bool, Field(strict=False)] = True
    """Also write `gen_ai.usage.cost`, the key that today's readers look for."""
    attribution: AttributionSettings = Field(default_factory=AttributionSettings)
    providers: ProviderSettings = Field(default_factory=ProviderSettings)
    delivery: DeliverySettings = Field(default_factory=DeliverySettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)


def load_settings(environ: Mapping[str, str], path: Path | None = None) -> Settings:
    """Read the file (`path`, else `OTEL_LLMCOST_CONFIG`, else none) and the environment.

    Raises:
        ConfigError: every mistake, one a line, each with its file and line or its variable.
    """
    file = path or (Path(environ[ENV_CONFIG]) if environ.get(ENV_CONFIG) else None)
    document = _Document.read(file) if file else _Document.empty()
    overrides = _environment(environ)
    try:
        return Settings.model_validate(_merged(document.data, overrides))
    except ValidationError as error:
        lines = [document.describe(detail, overrides) for detail in error.errors(include_url=False)]
        raise ConfigError("\n".join(lines)) from None


def environment_names() -> dict[str, tuple[str, ...]]:
    """Every variable that sets a key, with the key's path in the file."""
    return {ENV_PREFIX + "_".join(path).upper(): path for path in _leaves(Settings)}


def json_schema() -> dict[str, Any]:
    """The file's JSON Schema, for editors."""
    return Settings.model_json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def _leaves(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _leaves(info.annotation, (*prefix, name))
        else:
            yield (*prefix, name)


def _environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The nested values that the environment sets."""
    names = environment_names()
    found: dict[str, Any] = {}
    for variable in sorted(environ):
        if not variable.startswith(ENV_PREFIX) or variable == ENV_CONFIG or not environ[variable].strip():
            continue  # as everywhere in OpenTelemetry, an empty variable is one that is not set
        if variable not in names:
            raise ConfigError(f"{variable}: unknown variable{nearest(variable, sorted(names))}")
        *parents, leaf = names[variable]
        section = found
        for parent in parents:
            section = section.setdefault(parent, {})
        section[leaf] = _environment_value(variable, environ[variable])
    return found


def _environment_value(variable: str, text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{variable}: not YAML: {error}") from None
    # YAML 1.1 reads a bare `off` as False; the ledger's `off` is a word.
    return text if variable == f"{ENV_PREFIX}LEDGER" else value


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return merged


class _Document:
    """A YAML file with the line of every key."""

    def __init__(self, file: str, data: dict[str, Any], root: yaml.Node | None) -> None:
        self.file = file
        self.data = data
        self._root = root

    @classmethod
    def empty(cls) -> "_Document":
        return cls("", {}, None)

    @classmethod
    def read(cls, path: Path) -> "_Document":
        try:
            text = path.read_text(encoding="utf-8")
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            data = yaml.safe_load(text)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read: {error}") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{path}: not YAML: {error}") from None
        if data is None:
            return cls(str(path), {}, None)
        if not isinstance(data, dict):
            raise ConfigError(f"{path}:1: must be a mapping of keys, is a {type(data).__name__}")
        if data.get("ledger") is False:
            data["ledger"] = "off"  # YAML 1.1 reads a bare `off` as False
        _reject_repeated_keys(path, root)
        return cls(str(path), data, root)

    def describe(self, detail: ErrorDetails, overrides: Mapping[str, Any]) -> str:
        """One mistake as `where: key: what, and what to do`."""
        location = tuple(part for part in detail["loc"] if part != "[key]")
        dotted = ".".join(str(part) for part in location)
        if detail["type"] == "extra_forbidden":
            message = f"unknown key{nearest(str(location[-1]), sorted(_fields_at(location[:-1])))}"
        else:
            message = detail["msg"].removeprefix("Value error, ")
        return f"{self._where(location, overrides)}{dotted}: {message}"

    def _where(self, location: tuple[int | str, ...], overrides: Mapping[str, Any]) -> str:
        node: Any = overrides
        for depth, part in enumerate(location):
            if not isinstance(node, dict) or part not in node:
                break
            node = node[part]
            if not isinstance(node, dict) or depth == len(location) - 1:
                return "environment: "
        return f"{self.file}:{self._line(location)}: " if self.file else ""

    def _line(self, location: tuple[int | str, ...]) -> int:
        node, line = self._root, 1
        for part in location:
            if isinstance(node, yaml.MappingNode):
                pair = next(((k, v) for k, v in node.value if k.value == str(part)), None)
                if pair is None:
                    break
                line, node = pair[0].start_mark.line + 1, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
        return line


def _reject_repeated_keys(path: Path, node: yaml.Node | None) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise ConfigError(f"{path}:{line}: {key.value}: set twice, first on line {seen[key.value]}")
            seen[key.value] = line
            _reject_repeated_keys(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _reject_repeated_keys(path, item)


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    """Names of the keys that are allowed at a place of the file."""
    model: type[BaseModel] = Settings
    for part in location:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[str(part)].annotation
        arguments = getattr(annotation, "__args__", ())
        model = next(t for t in (annotation, *arguments) if isinstance(t, type) and issubclass(t, BaseModel))
    return list(model.model_fields)
